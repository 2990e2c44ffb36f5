"""Classification of videos by the labels that a model was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tfzoo.auto import AutoImageProcessor, TFAutoModelForVideoClassification
from tfzoo.io import VideoClip
from tfzoo.tasks.base import Task
from tfzoo.tasks.classification import ClassifiedVideo
from tfzoo.tasks.inputs import clip_of
from tfzoo.tasks.scores import finite, probabilities, ranked

__all__ = ["VideoClassification"]

_STILL = "a still image, taken as a clip of {} equal frames"


@dataclass(frozen=True, eq=False, kw_only=True)
class VideoClassification(Task):
    """Classifies videos.

    Args:
        top_k: How many labels; all if None.
        num_frames: How many frames are used; the checkpoint's number if None.

    Example:
        >>> import tfzoo
        >>> task = tfzoo.pipeline("video-classification", top_k=2)
        >>> result = task("clip.mp4")
        >>> len(result.frames), len(result.predictions)
        (8, 2)
    """

    top_k: int | None = 5
    num_frames: int | None = None

    name: ClassVar[str] = "video-classification"
    auto: ClassVar[Any] = TFAutoModelForVideoClassification
    processor_auto: ClassVar[Any] = AutoImageProcessor
    does: ClassVar[str] = "classifies videos"
    kind: ClassVar[str] = "clip"

    def read(self, source: Any) -> VideoClip:
        return clip_of(source, self.frame_choice(self.num_frames))

    def answer(self, items: Sequence[VideoClip]) -> list[ClassifiedVideo]:
        images = getattr(self.processor, "image_processor", self.processor)
        pixels = images([list(clip.frames) for clip in items], return_tensors="np")["pixel_values"]
        logits = finite(self._logits(pixels))
        # A model that looks at each frame by itself gives a row for each.
        logits = logits.reshape(len(items), -1, logits.shape[-1]).mean(axis=1, dtype="float64")
        labels = self._labels()
        return [
            ClassifiedVideo(
                frames=clip.indices.tolist(),
                predictions=ranked(scores, labels, self.top_k),
                note=_STILL.format(len(clip)) if clip.total_frames == 1 < len(clip) else None,
            )
            for clip, scores in zip(items, self._scores(logits), strict=True)
        ]

    def _labels(self) -> Mapping[int, str]:
        return self.model.config.id2label

    def _logits(self, pixels: np.ndarray) -> Any:
        """(B, labels) or (B T, labels)."""
        return self.model(pixel_values=pixels, training=False, return_dict=True).logits

    def _scores(self, logits: np.ndarray) -> np.ndarray:
        independent = self.model.config.problem_type == "multi_label_classification"
        return probabilities(logits, independent)
