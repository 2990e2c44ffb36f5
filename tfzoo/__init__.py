"""tfzoo: vision-language and video models for TensorFlow and Keras 3.

`import tfzoo` loads nothing heavy; every public name is imported on its first use::

    import tfzoo
    model = tfzoo.TFTimesformerForVideoClassification.from_pretrained("path/to/checkpoint")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfzoo.auto import *  # noqa: F403
    from tfzoo.core.config import ConfigError, PretrainedConfig  # noqa: F401

__version__ = "0.1.0"

# Names that belong to no family, and the module that has each.
_SHARED = {
    "AutoConfig": "auto",
    "AutoImageProcessor": "auto",
    "AutoProcessor": "auto",
    "AutoTokenizer": "auto",
    "TFAutoModel": "auto",
    "TFAutoModelForImageClassification": "auto",
    "TFAutoModelForMaskedLM": "auto",
    "TFAutoModelForPreTraining": "auto",
    "TFAutoModelForQuestionAnswering": "auto",
    "TFAutoModelForSequenceClassification": "auto",
    "TFAutoModelForVideoClassification": "auto",
    "TFAutoModelForVideoGrounding": "auto",
    "TFAutoModelForZeroShotObjectDetection": "auto",
    "load_model": "auto",
    "ConfigError": "core.config",
    "PretrainedConfig": "core.config",
    "HubError": "hub",
    "VideoError": "io",
    "ImageError": "io",
    "read_image": "io",
    "read_video": "io",
    "sample_frame_indices": "io",
    "ModelOutput": "core.outputs",
    "TFPreTrainedModel": "modeling.base",
    "default_checkpoint": "assets",
    "ServingError": "export",
    "export_serving": "export",
}

_MODULES = ("data", "metrics", "viz")  # found after `import tfzoo` alone


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module 'tfzoo' has no attribute {name!r}")
    if name in _SHARED:
        return getattr(importlib.import_module(f"tfzoo.{_SHARED[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"tfzoo.{name}")
    registry = importlib.import_module("tfzoo.registry")  # `from` would ask this very function
    if name in registry.public_names():
        return registry.import_name(name)
    raise AttributeError(
        f"module 'tfzoo' has no attribute {name!r}. `tfzoo list` shows every class."
    )


def __dir__() -> list[str]:
    registry = importlib.import_module("tfzoo.registry")
    return sorted([*globals(), *_SHARED, *_MODULES, *registry.public_names()])
