"""Video grounding: when in a video what a sentence says happens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from PIL import Image

from tfzoo.auto import TFAutoModelForVideoGrounding
from tfzoo.io import VideoClip, read_video
from tfzoo.tasks.base import Progress, Result, Task
from tfzoo.tasks.scores import finite

__all__ = ["GroundedVideo", "Moment", "VideoGrounding"]


@dataclass(frozen=True)
class Moment:
    """A query, and when it happens, in seconds."""

    query: str
    start: float
    end: float


@dataclass(frozen=True)
class GroundedVideo(Result):
    """The moments of a video, its length in seconds, and the places of the frames used."""

    duration: float
    frames: list[int]
    moments: list[Moment]

    def lines(self) -> list[str]:
        rows = [
            f"{number:3d}  {row.start:7.1f} s to {row.end:7.1f} s  {row.query}"
            for number, row in enumerate(self.moments, 1)
        ]
        frames = " ".join(map(str, self.frames))
        return [*rows, f"of {self.duration:.1f} s, frames {frames}"]


@dataclass(eq=False, kw_only=True)
class VideoGrounding(Task):
    """Finds when in a video what sentences say happens; the video is encoded once for all of them.

    Args:
        queries: The sentences.
        num_frames: How many frames are used; the model's number, and at least 2, if None.
    """

    queries: Sequence[str]
    num_frames: int | None = None

    auto: ClassVar[Any] = TFAutoModelForVideoGrounding
    does: ClassVar[str] = "finds when in a video something happens"
    inputs: ClassVar[tuple[str, ...]] = ("video",)

    def __post_init__(self) -> None:
        config = self.model.config
        limits = [self.processor.tokenizer.model_max_length, config.max_position_embeddings]
        own = getattr(config, "max_text_length", None)  # in the published files, for the processor
        self._texts = self.processor(
            text=self.queries,
            max_text_length=min(limits if own is None else [*limits, own]),
            padding=True,
            return_tensors="np",
        )

    def read(self, *inputs: Any, progress: Progress = False) -> VideoClip:
        # Prompts of one frame are those of all frames, and a moment needs two.
        count = self.num_frames or max(self.model.config.num_frames, 2)
        clip = read_video(inputs[0], num_frames=count, sampling="spread", progress=progress)
        if clip.duration <= 0:
            raise ValueError(f"{inputs[0]}: the file does not say how long the video is.")
        return clip

    def answer(self, inputs: VideoClip) -> GroundedVideo:
        pixels = self.processor(videos=inputs.frames, return_tensors="np")
        logits = finite(self.model.ground(self._texts, self.model.encode_video(pixels)).logits)
        spans = self.processor.post_process_batch(logits, inputs.duration)
        moments = [Moment(q, *span) for q, span in zip(self.queries, spans, strict=True)]
        return GroundedVideo(inputs.duration, inputs.indices.tolist(), moments)

    def draw(self, inputs: VideoClip, result: GroundedVideo) -> Image.Image:
        """Draw the moments on a time axis under frames of the video."""
        from tfzoo.viz import draw_timeline

        times = inputs.indices * (inputs.duration / inputs.total_frames)
        spans = [(row.start, row.end) for row in result.moments]
        return draw_timeline(inputs.frames, spans, inputs.duration, self.queries, times=times)
