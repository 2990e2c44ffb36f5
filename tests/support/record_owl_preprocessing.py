"""Record what the reference makes of OWL's preprocessing and post-processing cases.

Run `python -m tests.support.record_owl_preprocessing` after a change of the cases; it needs
transformers 4.57.6.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.models.owlv2.image_cases import CASES, RECORDED, random_outputs
from tests.support.record_preprocessing import thinned

SIZES = [(480, 640), (640, 480)]


def reference(name: str, **init: Any) -> Any:
    """A processor of transformers."""
    from tests.support.reference import transformers

    return getattr(transformers, name)(**init)


def as_torch(outputs: Any) -> Any:
    """Outputs as the reference wants them."""
    from tests.support.reference import torch

    return SimpleNamespace(**{k: torch.tensor(v) for k, v in vars(outputs).items()})


def detections(name: str) -> dict[str, np.ndarray]:
    """Both post-processings of random outputs by the reference."""
    from tests.support.reference import torch

    processor, outputs = reference(name), as_torch(random_outputs())
    sizes = torch.tensor(SIZES)
    found = {
        "object": processor.post_process_object_detection(outputs, 0.3, sizes),
        "guided": processor.post_process_image_guided_detection(outputs, 0.2, 0.3, sizes),
    }
    return {
        f"{name}.{kind}.{index}.{key}": value.numpy()
        for kind, results in found.items()
        for index, result in enumerate(results)
        for key, value in result.items()
        if value is not None
    }


def main() -> None:
    """Write the recording anew."""
    recorded = {**detections("Owlv2ImageProcessor"), **detections("OwlViTImageProcessor")}
    for case in CASES:
        processor = reference(case.processor, **case.init)
        pixels = processor(case.images(), return_tensors="np", **case.call).pixel_values
        recorded[f"{case.name}.shape"] = np.array(pixels.shape)
        recorded[f"{case.name}.sample"] = thinned(pixels)
    np.savez_compressed(RECORDED, **recorded)
    print(f"{len(CASES)} cases, {RECORDED.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
