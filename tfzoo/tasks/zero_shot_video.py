"""Classification of videos by labels that the user names."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tfzoo.auto import AutoProcessor, TFAutoModel
from tfzoo.core.config import ConfigError, PretrainedConfig
from tfzoo.tasks.scores import probabilities
from tfzoo.tasks.video_classification import VideoClassification

__all__ = ["ZeroShotVideo"]


@dataclass(eq=False, kw_only=True)
class ZeroShotVideo(VideoClassification):
    """Classifies videos by any labels, with a model that compares videos with texts.

    Args:
        labels: The labels, which are encoded once.
        template: Sentence around each label, with `{}` in its place.
        top_k: How many labels; all if None.
        num_frames: How many frames are used; the model's number if None.
    """

    labels: Sequence[str]
    template: str = "{}"
    top_k: int | None = None

    processor_auto: ClassVar[Any] = AutoProcessor
    does: ClassVar[str] = "compares videos with texts"

    def __post_init__(self) -> None:
        with warnings.catch_warnings():  # about what the model refuses
            warnings.filterwarnings("ignore", "A text has .* tokens, the model takes")
            self._classifier = self.model.zero_shot_classifier(
                self.labels, self.template, self.processor
            )

    @classmethod
    def model_class(cls, config: PretrainedConfig) -> type:
        wanted = TFAutoModel.class_for(config)
        if not hasattr(wanted, "zero_shot_classifier"):
            raise ConfigError(f"{wanted.__name__} does not compare videos with texts.")
        return wanted

    def _num_frames(self) -> int:
        return self.model.config.vision_config.num_frames

    def _labels(self) -> Mapping[int, str]:
        return dict(enumerate(self.labels))

    def _logits(self, pixels: np.ndarray) -> Any:
        return self._classifier(pixels)

    def _scores(self, logits: np.ndarray) -> np.ndarray:
        return probabilities(logits.mean(axis=0, dtype="float64"))
