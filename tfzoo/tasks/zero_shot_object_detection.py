"""Detection of the objects in an image that texts describe."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from PIL import Image

from tfzoo.auto import TFAutoModelForZeroShotObjectDetection
from tfzoo.io import read_image
from tfzoo.tasks.base import Prediction, Progress, Result, Task
from tfzoo.tasks.scores import best, finite

__all__ = ["DetectedObjects", "Detection", "ZeroShotObjectDetection"]


@dataclass(frozen=True)
class Detection(Prediction):
    """An object: its label and score, and its box as x0, y0, x1, y1 in pixels."""

    box: list[float]


@dataclass(frozen=True)
class DetectedObjects(Result):
    """The objects in an image that score above a threshold, the best first.

    Their boxes are clipped to the image.
    """

    threshold: float
    detections: list[Detection]

    def lines(self) -> list[str]:
        if not self.detections:
            return [f"nothing found that scores above {100 * self.threshold:g} %"]
        width = max(len(row.label) for row in self.detections)
        return [
            f"{rank:3d}  {100 * row.score:6.2f} %  {row.label:{width}}  "
            + " ".join(f"{value:7.1f}" for value in row.box)
            for rank, row in enumerate(self.detections, 1)
        ]


@dataclass(eq=False, kw_only=True)
class ZeroShotObjectDetection(Task):
    """Finds the objects in an image that texts describe.

    Args:
        labels: What to look for.
        template: Sentence around each label, with `{}` in its place.
        threshold: Objects that score above it are found.
        top_k: How many objects at most; all if None.
    """

    labels: Sequence[str]
    template: str = "{}"
    threshold: float = 0.1  # the processors' own default
    top_k: int | None = None

    auto: ClassVar[Any] = TFAutoModelForZeroShotObjectDetection
    does: ClassVar[str] = "finds the objects in an image that texts describe"
    inputs: ClassVar[tuple[str, ...]] = ("image",)

    def read(self, *inputs: Any, progress: Progress = False) -> Image.Image:
        return Image.fromarray(read_image(inputs[0]))

    def answer(self, inputs: Image.Image) -> DetectedObjects:
        texts = [self.template.replace("{}", label) for label in self.labels]
        self._check_lengths(texts)
        encoded = self.processor(text=[texts], images=inputs, return_tensors="np")
        outputs = self.model(**encoded, training=False, return_dict=True)
        for values in (outputs.logits, outputs.pred_boxes):
            finite(values)
        (found,) = self.processor.post_process_object_detection(
            outputs, threshold=self.threshold, target_sizes=[inputs.size[::-1]], clip=True
        )
        x0, y0, x1, y1 = found["boxes"].T
        inside = (x0 < x1) & (y0 < y1)  # the others lie in the padding
        scores, labels, boxes = (found[name][inside] for name in ("scores", "labels", "boxes"))
        order = best(scores, self.top_k)
        rows = zip(*(part[order].tolist() for part in (scores, labels, boxes)), strict=True)
        return DetectedObjects(
            self.threshold, [Detection(self.labels[i], score, i, box) for score, i, box in rows]
        )

    def draw(self, inputs: Image.Image, result: DetectedObjects) -> Image.Image:
        """Draw the boxes on the image."""
        from tfzoo.viz import draw_detections

        columns = {"scores": "score", "labels": "index", "boxes": "box"}
        found = {c: [getattr(row, n) for row in result.detections] for c, n in columns.items()}
        return draw_detections(inputs, found, self.labels)

    def _check_lengths(self, texts: Sequence[str]) -> None:
        """Refuse a text that is too long, by name."""
        tokenizer = self.processor.tokenizer
        with warnings.catch_warnings():  # the tokenizer's warning does not name the text
            warnings.filterwarnings("ignore", "A text has .* tokens, the model takes")
            lengths = map(len, tokenizer(texts)["input_ids"])
        for text, length in zip(texts, lengths, strict=True):
            if length > tokenizer.model_max_length:
                raise ValueError(
                    f"{text!r} has {length} tokens, the model takes "
                    f"{tokenizer.model_max_length}: choose a shorter label or template."
                )
