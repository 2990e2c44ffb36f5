"""Batch jobs beyond one machine: an exported SavedModel over many files, by Apache Beam.

`pip install tfzoo[beam]`, then `python -m tfzoo.beam --help`; or `RunInference` with
`SavedModelHandler` in a pipeline of your own. Apache Beam holds protobuf below 7, so give it an
environment of its own. Names load on first use, and only they need Apache Beam.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfzoo.beam.handler import SavedModelHandler
    from tfzoo.beam.pipeline import PredictFiles
    from tfzoo.beam.reading import Reading, reading_for

_MODULES = {
    "PredictFiles": "pipeline",
    "Reading": "reading",
    "SavedModelHandler": "handler",
    "reading_for": "reading",
}

__all__ = ["PredictFiles", "Reading", "SavedModelHandler", "reading_for"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
