"""tfzoo: vision-language and video models for TensorFlow and Keras 3.

`import tfzoo` loads nothing heavy; every public name is imported on its first use::

    import tfzoo
    model = tfzoo.TFTimesformerForVideoClassification.from_pretrained("path/to/checkpoint")
"""

from __future__ import annotations

import difflib
import importlib
from typing import Any

from tfzoo.core.lazy import attach

__version__ = "0.1.0"

# Names that belong to no family, by the module that has them.
_MODULES = {
    "assets": ("default_checkpoint",),
    "auto": (
        "AutoConfig",
        "AutoImageProcessor",
        "AutoProcessor",
        "AutoTokenizer",
        "TFAutoModel",
        "TFAutoModelForImageClassification",
        "TFAutoModelForMaskedLM",
        "TFAutoModelForPreTraining",
        "TFAutoModelForQuestionAnswering",
        "TFAutoModelForSequenceClassification",
        "TFAutoModelForVideoClassification",
        "TFAutoModelForVideoGrounding",
        "TFAutoModelForZeroShotObjectDetection",
        "load_model",
    ),
    "core.config": ("ConfigError", "PretrainedConfig"),
    "core.outputs": ("ModelOutput",),
    "export": ("ServingError", "export_serving"),
    "hub": ("HubError",),
    "io": ("ImageError", "VideoError", "read_image", "read_video", "sample_frame_indices"),
    "modeling.base": ("TFPreTrainedModel",),
    "tasks": ("pipeline",),
    "tasks.fill_mask": ("FilledText", "fill_mask"),
    "tasks.image_classification": ("classify_image",),
    "tasks.multimodal_autoencoding": ("DecodedVideo", "autoencode_video"),
    "tasks.optical_flow": ("compute_flow",),
}
_PACKAGES = ("data", "metrics", "viz")  # found after `import tfzoo` alone

_shared, _, _SHARED = attach(__name__, _MODULES)


def __getattr__(name: str) -> Any:
    if name == "__all__":  # asked for by `from tfzoo import *` alone, which loads every name
        return _public()
    if name in _SHARED or name.startswith("__"):
        return _shared(name)
    if name in _PACKAGES:
        return importlib.import_module(f"tfzoo.{name}")
    registry = importlib.import_module("tfzoo.registry")  # `from` would ask this very function
    if name in registry.public_names():
        return registry.import_name(name)
    near = [f"TF{name}", *difflib.get_close_matches(name, _public(), 1)]
    found = next((one for one in near if one in _public()), None)
    hint = f"did you mean {found}?" if found else "`tfzoo list` shows every class."
    raise AttributeError(f"module 'tfzoo' has no attribute {name!r}: {hint}")


def _public() -> list[str]:
    registry = importlib.import_module("tfzoo.registry")
    return sorted({*_SHARED, *_PACKAGES, *registry.public_names()})


def __dir__() -> list[str]:
    return sorted({*globals(), *_public()})
