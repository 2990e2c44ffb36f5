"""What the image processors of OWLv2 and OWL-ViT share."""

from __future__ import annotations

from tfzoo.models.owlv2.postprocessing import OwlPostProcessing
from tfzoo.preprocessing.image_features import ImageFeatures, warn_if_rescaled
from tfzoo.preprocessing.single_steps import Size, height_and_width, step

__all__ = [
    "CLIP_MEAN",
    "CLIP_STD",
    "OwlImageProcessor",
    "Size",
    "height_and_width",
    "step",
    "warn_if_rescaled",
]

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class OwlImageProcessor(OwlPostProcessing, ImageFeatures):
    """What both have in common: the steps before the model and those after it."""
