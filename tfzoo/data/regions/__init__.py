"""LXMERT's visual inputs: region features that a detector has found beforehand.

LXMERT does not see images. It takes, for each image, the features of some regions (36 of 2048
numbers each, in the published weights' training) and their boxes, from the Faster R-CNN of
bottom-up attention. No part of tfzoo computes them from pixels; the files that its authors and
others have published hold them for the common datasets. This module reads those files, brings the
boxes to the form that the model expects, and notices what would spoil its answers silently.

    from tfzoo.data.regions import open_region_features, region_batch
    with open_region_features("val2014_obj36.tsv") as images:
        inputs = region_batch([images["COCO_val2014_000000000042"]])
        check_region_features(**inputs)
        outputs = model(input_ids=..., **inputs)
"""

from __future__ import annotations

from tfzoo.data.regions.features import (
    RegionFeatureError,
    RegionFeatures,
    RegionFeatureWarning,
    check_region_features,
    normalize_boxes,
    region_batch,
)
from tfzoo.data.regions.files import (
    RegionFeatureFile,
    open_region_features,
    write_region_features,
)

__all__ = [
    "RegionFeatureError",
    "RegionFeatureFile",
    "RegionFeatureWarning",
    "RegionFeatures",
    "check_region_features",
    "normalize_boxes",
    "open_region_features",
    "region_batch",
    "write_region_features",
]
