"""Record what the reference makes of the preprocessing cases.

Run `python -m tests.support.record_preprocessing` after a change of the cases; it needs
transformers 4.57.6.
"""

from __future__ import annotations

import hashlib

import numpy as np

from tests.preprocessing.videomae_cases import CASES, RECORDED


def digest(array: np.ndarray) -> np.ndarray:
    """A checksum of shape, dtype and bytes."""
    array = np.ascontiguousarray(array)
    head = f"{array.shape}{array.dtype}".encode()
    return np.frombuffer(hashlib.sha256(head + array.tobytes()).digest(), np.uint8)


def thinned(array: np.ndarray) -> np.ndarray:
    """Every 13th value, to see how far a result is off when its checksum differs."""
    return array.reshape(-1)[::13][:600]


def main() -> None:
    """Write the recording anew."""
    from tests.support.reference import transformers

    recorded = {}
    for case in CASES:
        processor = transformers.VideoMAEImageProcessor(**case.init)
        pixels = processor(case.videos(), return_tensors="np", **case.call).pixel_values
        recorded[f"{case.name}.digest"] = digest(pixels)
        recorded[f"{case.name}.sample"] = thinned(pixels)
    RECORDED.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(RECORDED, **recorded)
    print(f"{len(CASES)} cases, {RECORDED.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
