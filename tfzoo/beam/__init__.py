"""Batch jobs beyond one machine: a checkpoint or a SavedModel over many files, by Apache Beam.

`pip install tfzoo[beam]`, then `python -m tfzoo.beam --help`; or `RunInference` with `TaskHandler`
or `SavedModelHandler` in a pipeline of your own. Apache Beam needs protobuf below 7, so give it an
environment of its own. Names load on first use, and only they need Apache Beam.
"""

from tfzoo.core.lazy import attach

_MODULES = {
    "handler": ("SavedModelHandler", "TaskHandler"),
    "pipeline": ("AnswerFiles", "PredictFiles"),
    "reading": ("Reading", "local_file", "reading_for"),
}

__getattr__, __dir__, __all__ = attach(__name__, _MODULES)
