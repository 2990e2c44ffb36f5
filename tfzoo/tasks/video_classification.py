"""Classification of videos by the labels that a model was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tfzoo.auto import AutoImageProcessor, TFAutoModelForVideoClassification
from tfzoo.io import VideoClip
from tfzoo.tasks.base import Prediction, Progress, Result, Task, ranking_lines
from tfzoo.tasks.files import read_clip
from tfzoo.tasks.scores import best, finite, probabilities

__all__ = ["ClassifiedVideo", "VideoClassification"]


@dataclass(frozen=True)
class ClassifiedVideo(Result):
    """The most likely labels of a video, the best first, and the places of the frames used."""

    frames: list[int]
    predictions: list[Prediction]

    def lines(self) -> list[str]:
        rows = ranking_lines((row.label, row.score) for row in self.predictions)
        return [*rows, "frames " + " ".join(map(str, self.frames))]


@dataclass(eq=False, kw_only=True)
class VideoClassification(Task):
    """Classifies videos.

    Args:
        top_k: How many labels; all if None.
        num_frames: How many frames are used; the model's number if None.

    Example:
        >>> import tfzoo
        >>> task = VideoClassification.from_pretrained(tfzoo.default_checkpoint(), top_k=2)
        >>> result = task.answer(task.read("clip.mp4"))
        >>> len(result.frames), len(result.predictions)
        (8, 2)
    """

    top_k: int | None = 5
    num_frames: int | None = None

    auto: ClassVar[Any] = TFAutoModelForVideoClassification
    processor_auto: ClassVar[Any] = AutoImageProcessor
    does: ClassVar[str] = "classifies videos"
    inputs: ClassVar[tuple[str, ...]] = ("clip",)

    def read(self, *inputs: Any, progress: Progress = False) -> VideoClip:
        return read_clip(
            Path(inputs[0]),
            self.num_frames or self._num_frames(),
            getattr(self.model.config, "sampling", "uniform"),
            getattr(self.model.config, "frame_sample_rate", 1),
            progress,
        )

    def answer(self, inputs: VideoClip) -> ClassifiedVideo:
        images = getattr(self.processor, "image_processor", self.processor)
        pixels = images(list(inputs.frames), return_tensors="np")["pixel_values"]
        scores = self._scores(finite(self._logits(pixels)))
        labels = self._labels()
        ranking = [
            Prediction(labels[i], float(scores[i]), i) for i in best(scores, self.top_k).tolist()
        ]
        return ClassifiedVideo(inputs.indices.tolist(), ranking)

    def _num_frames(self) -> int:
        return self.model.config.num_frames

    def _labels(self) -> Mapping[int, str]:
        return self.model.config.id2label

    def _logits(self, pixels: np.ndarray) -> Any:
        """(rows, labels); of a model that looks at each frame by itself, a row for each."""
        return self.model(pixel_values=pixels, training=False, return_dict=True).logits

    def _scores(self, logits: np.ndarray) -> np.ndarray:
        """The probabilities of the averaged rows."""
        independent = self.model.config.problem_type == "multi_label_classification"
        return probabilities(logits.mean(axis=0, dtype="float64"), independent)
