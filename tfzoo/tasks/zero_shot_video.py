"""Classification of videos by labels that the user names."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from tfzoo.auto import AutoProcessor, TFAutoModel
from tfzoo.core.config import ConfigError, PretrainedConfig
from tfzoo.tasks.scores import probabilities
from tfzoo.tasks.video_classification import VideoClassification

__all__ = ["ZeroShotVideo"]


@dataclass(frozen=True, eq=False, kw_only=True)
class ZeroShotVideo(VideoClassification):
    """Classifies videos by any labels, with a model that compares videos with texts.

    Args:
        candidate_labels: The labels, a list or with commas between; they are encoded once.
        hypothesis_template: Sentence around each label, with `{}` in its place.
        top_k: How many labels; all if None.
        num_frames: How many frames are used; the checkpoint's number if None.

    Example:
        >>> import tfzoo
        >>> task = tfzoo.pipeline("zero-shot-video-classification")
        >>> labels = ["the camera pans left", "the camera stays still"]
        >>> task("clip.mp4", candidate_labels=labels)[0].label
        'the camera stays still'
    """

    candidate_labels: Sequence[str] | str | None = None
    hypothesis_template: str = "{}"
    top_k: int | None = None

    name: ClassVar[str] = "zero-shot-video-classification"
    processor_auto: ClassVar[Any] = AutoProcessor
    does: ClassVar[str] = "compares videos with texts"
    needs: ClassVar[tuple[str, ...]] = ("candidate_labels",)

    @classmethod
    def model_class(cls, config: PretrainedConfig) -> type:
        wanted = TFAutoModel.class_for(config)
        if not hasattr(wanted, "zero_shot_classifier"):
            raise ConfigError(f"{wanted.__name__} does not compare videos with texts.")
        return wanted

    def asked(self) -> Sequence[str]:
        return self.candidate_labels

    @cached_property
    def _classifier(self) -> Any:
        with warnings.catch_warnings():  # about what the model refuses
            warnings.filterwarnings("ignore", "A text has .* tokens, the model takes")
            return self.model.zero_shot_classifier(
                self.candidate_labels, self.hypothesis_template, self.processor
            )

    def _labels(self) -> Mapping[int, str]:
        return dict(enumerate(self.candidate_labels))

    def _logits(self, pixels: np.ndarray) -> Any:
        return self._classifier(pixels)

    def _scores(self, logits: np.ndarray) -> np.ndarray:
        return probabilities(logits)
