"""Record what the reference makes of the cases of TVP's image processor.

Run `python -m tests.support.record_tvp_preprocessing` after a change of the cases; it needs
transformers 4.57.6.
"""

from __future__ import annotations

import numpy as np

from tests.models.tvp.image_cases import CASES, RECORDED
from tests.support.record_preprocessing import digest, thinned


def main() -> None:
    """Write the recording anew."""
    from tests.support.reference import transformers

    recorded = {}
    for case in CASES:
        processor = transformers.TvpImageProcessor(**case.init)
        pixels = processor(case.videos(), return_tensors="np", **case.call).pixel_values
        recorded[f"{case.name}.digest"] = digest(pixels)
        recorded[f"{case.name}.sample"] = thinned(pixels)
    np.savez_compressed(RECORDED, **recorded)
    print(f"{len(CASES)} cases, {RECORDED.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
