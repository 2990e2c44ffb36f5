"""Detection of the objects in images and videos that texts describe, or an image shows."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from tfzoo.auto import TFAutoModelForZeroShotObjectDetection
from tfzoo.io import VideoClip
from tfzoo.io.sampling import FrameChoice
from tfzoo.preprocessing.boxes import suppress
from tfzoo.preprocessing.image import to_channels_last
from tfzoo.tasks.base import Prediction, Result, Task, percent
from tfzoo.tasks.inputs import clip_of, image_of, image_or_clip_of
from tfzoo.tasks.scores import best, finite

__all__ = [
    "DetectedFrame",
    "DetectedObjects",
    "DetectedVideo",
    "Detection",
    "ZeroShotObjectDetection",
]

_SMALLEST = 320  # pixels of a drawing's longer side: on a smaller one labels cannot be read
_SHOWN, _SHOWN_FRAMES = 5, 8  # objects in a line, and frames of a video in an image
_QUERY_IMAGE = "query image"  # the label of what an image shows


@dataclass(frozen=True)
class Detection(Prediction):
    """An object: its label and score, and its box as x0, y0, x1, y1 in pixels."""

    box: list[float]


@dataclass(frozen=True, kw_only=True)
class DetectedObjects(Result):
    """The objects in an image that score above a threshold, the best first.

    Their boxes are clipped to the image.
    """

    threshold: float
    detections: list[Detection]

    @property
    def rows(self) -> Sequence[Detection]:
        return self.detections

    def line(self) -> str:
        if not self.detections:
            return self.lines()[0]
        parts = [
            f"{row.label} {percent(row.score)} at {' '.join(f'{x:.0f}' for x in row.box)}"
            for row in self.detections[:_SHOWN]
        ]
        more = len(self.detections) - len(parts)
        return ", ".join(parts) + (f" and {more} more" if more else "")

    def lines(self) -> list[str]:
        if not self.detections:
            return [f"nothing found that scores above {100 * self.threshold:g} %"]
        width = max(len(row.label) for row in self.detections)
        return [
            f"{rank:3d}  {100 * row.score:6.2f} %  {row.label:{width}}  "
            + " ".join(f"{value:7.1f}" for value in row.box)
            for rank, row in enumerate(self.detections, 1)
        ]

    def draw(self) -> Image.Image:
        return _drawn(image_of(self.source), self.detections)


@dataclass(frozen=True)
class DetectedFrame:
    """The objects in a frame of a video, the frame's number, and its time in seconds."""

    frame: int
    seconds: float
    detections: list[Detection]


@dataclass(frozen=True, kw_only=True)
class DetectedVideo(Result):
    """The objects in the frames of a video; a sequence of the frames."""

    drawn_as: ClassVar[str] = ".mp4"

    threshold: float
    duration: float
    frames: list[DetectedFrame]

    @property
    def rows(self) -> Sequence[DetectedFrame]:
        return self.frames

    def line(self) -> str:
        names = {row.label: None for frame in self.frames for row in frame.detections}
        with_some = sum(bool(frame.detections) for frame in self.frames)
        found = f"{', '.join(names)} in {with_some}" if names else "nothing found"
        return f"{found} of {len(self.frames)} frames"

    def lines(self) -> list[str]:
        rows = []
        for frame in self.frames:
            rows.append(f"frame {frame.frame}, {frame.seconds:.2f} s")
            rows += DetectedObjects(threshold=self.threshold, detections=frame.detections).lines()
        return rows

    def draw(self) -> Image.Image:
        from tfzoo.viz import draw_frames

        places = np.unique(np.linspace(0, len(self.frames) - 1, _SHOWN_FRAMES).astype(int))
        shown = [self.frames[place] for place in places.tolist()]
        numbers = [frame.frame for frame in shown]
        clip = clip_of(self.source, numbers)
        drawn = [
            np.asarray(_drawn(pixels, frame.detections))
            for pixels, frame in zip(clip.frames, shown, strict=True)
        ]
        return draw_frames(drawn, numbers, total=clip.total_frames)

    def plot(self, path: str | os.PathLike[str] | None = None) -> Image.Image:
        """Draw some frames, see `Result.plot`.

        To a file of a video (.mp4, .mov, .mkv) all frames are written with their boxes, as long as
        the video lasts.
        """
        from tfzoo.io.video_writer import VIDEO_FORMATS, write_video

        if path is None or Path(path).suffix.lower() not in VIDEO_FORMATS:
            return super().plot(path)
        fps = len(self.frames) / self.duration if self.duration else 25.0
        write_video(path, self._drawn_frames(), fps)
        return self.draw()

    def _drawn_frames(self) -> Iterator[np.ndarray]:
        clip = clip_of(self.source, [frame.frame for frame in self.frames])
        for pixels, frame in zip(clip.frames, self.frames, strict=True):
            yield np.asarray(_drawn(pixels, frame.detections))


def _drawn(image: Any, detections: Sequence[Detection]) -> Image.Image:
    from tfzoo.viz import draw_detections

    columns = {"scores": "score", "labels": "index", "boxes": "box"}
    found = {c: [getattr(row, n) for row in detections] for c, n in columns.items()}
    names = {row.index: row.label for row in detections}
    return draw_detections(image, found, names, min_size=_SMALLEST)


@dataclass(frozen=True, eq=False, kw_only=True)
class ZeroShotObjectDetection(Task):
    """Finds the objects in images and videos that texts describe, or that an image shows.

    Args:
        candidate_labels: What to look for, a list or with commas between; encoded once.
        hypothesis_template: Sentence around each label, with `{}` in its place.
        query_image: An image of what to look for, instead of labels: path, address, bytes, Pillow
            image or array.
        query_box: Where on that image it is, as x0, y0, x1, y1 in pixels; anywhere if None.
        threshold: Objects that score above it are found. With a query image, scores are relative
            to the best box of the image, see `post_process_image_guided_detection`.
        top_k: How many objects of an image at most; all if None.
        iou_threshold: Of boxes of one label whose intersection over union is above it, the best
            one is kept; 1 keeps all.
        num_frames: How many frames of a video are looked at, evenly spaced; all if None.

    Example:
        >>> import tfzoo
        >>> task = tfzoo.pipeline("zero-shot-object-detection")
        >>> scene = tfzoo.default_checkpoint("owlv2-shapes") / "sample.png"
        >>> found = task(scene, candidate_labels=["red circle", "green square"], threshold=0.3)
        >>> sorted(row.label for row in found)
        ['green square', 'red circle']
    """

    candidate_labels: Sequence[str] | str | None = None
    hypothesis_template: str = "{}"
    query_image: Any = None
    query_box: Sequence[float] | None = None
    threshold: float = 0.1  # the processors' own default
    top_k: int | None = None
    iou_threshold: float = 0.3  # that of exported models
    num_frames: int | None = None

    name: ClassVar[str] = "zero-shot-object-detection"
    auto: ClassVar[Any] = TFAutoModelForZeroShotObjectDetection
    does: ClassVar[str] = "finds the objects in an image that texts describe"
    kind: ClassVar[str] = "image or video"
    needs: ClassVar[tuple[str, ...]] = ("candidate_labels", "query_image")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.candidate_labels is not None and self.query_image is not None:
            raise ValueError("Give candidate_labels or query_image, not both.")
        if self.query_box is not None and self.query_image is None:
            raise ValueError("query_box is a place on the query_image: give that as well.")

    def asked(self) -> Sequence[str]:
        return self.candidate_labels or ()

    def read(self, source: Any) -> Any:
        count = self.num_frames
        return image_or_clip_of(source, None if count is None else FrameChoice(count))

    def answer(self, items: Sequence[Any]) -> list[DetectedObjects | DetectedVideo]:
        frames = [list(i.frames) if isinstance(i, VideoClip) else [i] for i in items]
        found = iter(self._detected([image for images in frames for image in images]))
        results: list[DetectedObjects | DetectedVideo] = []
        for item in items:
            if isinstance(item, VideoClip):
                results.append(self._video(item, [next(found) for _ in item.frames]))
            else:
                results.append(DetectedObjects(threshold=self.threshold, detections=next(found)))
        return results

    def _video(self, clip: VideoClip, found: list[list[Detection]]) -> DetectedVideo:
        rows = zip(clip.indices.tolist(), clip.timestamps.tolist(), found, strict=True)
        frames = [DetectedFrame(*row) for row in rows]
        return DetectedVideo(threshold=self.threshold, duration=clip.duration, frames=frames)

    def _detected(self, images: Sequence[Any]) -> Iterator[list[Detection]]:
        """What is found in each image."""
        for start in range(0, len(images), self.batch_size):
            batch = list(images[start : start + self.batch_size])
            sizes = [_size(image) for image in batch]
            pixels = self.processor(images=batch, return_tensors="np").pixel_values
            detect = self._described if self.query_image is None else self._shown
            yield from map(self._rows, detect(pixels, sizes))

    def _described(self, pixels: np.ndarray, sizes: list[tuple[int, int]]) -> list[dict[str, Any]]:
        """What the texts describe."""
        outputs = self.model.detect(pixels, self._bank)
        for values in (outputs.logits, outputs.pred_boxes):
            finite(values)
        return self.processor.post_process_object_detection(
            outputs, threshold=self.threshold, target_sizes=sizes, clip=True
        )

    def _shown(self, pixels: np.ndarray, sizes: list[tuple[int, int]]) -> list[dict[str, Any]]:
        """What the query image shows."""
        query, box = self._query
        outputs = self.model.image_guided_detection(pixels, query, query_boxes=box)
        for values in (outputs.logits, outputs.target_pred_boxes):
            finite(values)
        found = self.processor.post_process_image_guided_detection(
            outputs, threshold=0.0, nms_threshold=self.iou_threshold, target_sizes=sizes, clip=True
        )
        for one in found:
            kept = one["scores"] > self.threshold
            one.update(scores=one["scores"][kept], boxes=one["boxes"][kept])
            one["labels"] = np.zeros(len(one["scores"]), int)
        return found

    def _rows(self, found: dict[str, Any]) -> list[Detection]:
        """The objects of an image: inside it, the best of those that overlap, the best first."""
        x0, y0, x1, y1 = found["boxes"].T
        inside = (x0 < x1) & (y0 < y1)  # the others lie in the padding
        scores, labels, boxes = (found[name][inside] for name in ("scores", "labels", "boxes"))
        kept = np.zeros(len(scores), bool)
        for label in np.unique(labels):
            places = np.flatnonzero(labels == label)
            kept[places[suppress(boxes[places], scores[places], self.iou_threshold)]] = True
        scores, labels, boxes = scores[kept], labels[kept], boxes[kept]
        order = best(scores, self.top_k)
        rows = zip(*(part[order].tolist() for part in (scores, labels, boxes)), strict=True)
        names = self.candidate_labels or [_QUERY_IMAGE]
        return [Detection(names[i], score, i, box) for score, i, box in rows]

    @cached_property
    def _bank(self) -> Any:
        texts = [self.hypothesis_template.replace("{}", label) for label in self.candidate_labels]
        with warnings.catch_warnings():  # about what the model refuses
            warnings.filterwarnings("ignore", "A text has .* tokens, the model takes")
            return self.model.encode_queries(texts, self.processor)

    @cached_property
    def _query(self) -> tuple[np.ndarray, np.ndarray | None]:
        """The query image as the model takes it, and the box on it, as parts of that."""
        image = image_of(self.query_image)
        pixels = self.processor(images=image, return_tensors="np").pixel_values
        if self.query_box is None:
            return pixels, None
        height, width = _size(image)
        if self.query_box[2] > width or self.query_box[3] > height:
            raise ValueError(
                f"query_box: expected a place on the query_image of {width} x {height} pixels, got "
                f"{self.query_box}."
            )
        is_square = self.processor.image_processor.square_canvas
        scale = np.array([max(height, width)] * 4 if is_square else [width, height] * 2, "float32")
        return pixels, np.asarray([self.query_box], "float32") / scale


def _size(image: Any) -> tuple[int, int]:
    """Height and width of an image."""
    return image.size[::-1] if isinstance(image, Image.Image) else to_channels_last(image).shape[:2]
