"""Video grounding: when in a video what a sentence says happens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from PIL import Image

from tfzoo.auto import TFAutoModelForVideoGrounding
from tfzoo.io import VideoClip, VideoError
from tfzoo.tasks.base import Result, Task
from tfzoo.tasks.inputs import clip_of, is_file
from tfzoo.tasks.scores import finite

__all__ = ["GroundedVideo", "Moment", "VideoGrounding"]


@dataclass(frozen=True)
class Moment:
    """A query, and when it happens, in seconds."""

    query: str
    start: float
    end: float


@dataclass(frozen=True, kw_only=True)
class GroundedVideo(Result):
    """The moments of a video, its length in seconds, and the numbers of the frames used."""

    duration: float
    frames: list[int]
    moments: list[Moment]

    @property
    def rows(self) -> Sequence[Moment]:
        return self.moments

    def line(self) -> str:
        return ", ".join(f"{m.query} {m.start:.1f} to {m.end:.1f} s" for m in self.moments)

    def lines(self) -> list[str]:
        rows = [
            f"{number:3d}  {row.start:7.1f} s to {row.end:7.1f} s  {row.query}"
            for number, row in enumerate(self.moments, 1)
        ]
        frames = " ".join(map(str, self.frames))
        return [*rows, f"of {self.duration:.1f} s, frames {frames}"]

    def draw(self) -> Image.Image:
        from tfzoo.viz import draw_timeline

        clip = clip_of(self.source, self.frames)
        spans = [(row.start, row.end) for row in self.moments]
        queries = [row.query for row in self.moments]
        return draw_timeline(clip.frames, spans, self.duration, queries, times=clip.timestamps)


@dataclass(frozen=True, eq=False, kw_only=True)
class VideoGrounding(Task):
    """Finds when in a video what sentences say happens.

    Each video is encoded once for all sentences, and answered by itself, whatever `batch_size`.
    Frames in memory need a time: give a `tfzoo.io.VideoClip`, as `tfzoo.read_video` makes it.

    Args:
        queries: The sentences, or one.
        num_frames: How many frames are used; the checkpoint's number, and at least 2, if None.
        max_text_length: Most tokens of a sentence, longer ones are refused; the smallest limit of
            the tokenizer, the model and the checkpoint if None.

    Example:
        >>> import tfzoo
        >>> task = tfzoo.pipeline("video-grounding")
        >>> moment, = task("clip.mp4", queries="when does the camera turn left?")
        >>> moment.query
        'when does the camera turn left?'
    """

    queries: Sequence[str] | str | None = None
    num_frames: int | None = None
    max_text_length: int | None = None

    name: ClassVar[str] = "video-grounding"
    auto: ClassVar[Any] = TFAutoModelForVideoGrounding
    does: ClassVar[str] = "finds when in a video something happens"
    kind: ClassVar[str] = "video"
    needs: ClassVar[tuple[str, ...]] = ("queries",)

    def asked(self) -> Sequence[str]:
        return self.queries

    def read(self, source: Any) -> VideoClip:
        clip = clip_of(source, self.frame_choice(self.num_frames))
        if clip.duration <= 0:
            name = source if is_file(source) and not isinstance(source, bytes) else "The video"
            raise VideoError(
                f"{name}: expected a video that says how long it is. Give a file of a video, or a "
                "VideoClip with its duration."
            )
        return clip

    def answer(self, items: Sequence[VideoClip]) -> list[GroundedVideo]:
        return [self._grounded(clip) for clip in items]

    def _grounded(self, clip: VideoClip) -> GroundedVideo:
        pixels = self.processor(videos=clip.frames, return_tensors="np")
        logits = finite(self.model.ground(self._texts, self.model.encode_video(pixels)).logits)
        parts = clip.seconds_of(logits) / clip.duration
        spans = self.processor.post_process_batch(parts, clip.duration)
        moments = [Moment(q, *span) for q, span in zip(self.queries, spans, strict=True)]
        return GroundedVideo(duration=clip.duration, frames=clip.indices.tolist(), moments=moments)

    @cached_property
    def _texts(self) -> Any:
        config = self.model.config
        limits = [self.processor.tokenizer.model_max_length, config.max_position_embeddings]
        own = getattr(config, "max_text_length", None)  # in the published files, for the processor
        return self.processor(
            text=self.queries,
            max_text_length=self.max_text_length or min(limits if own is None else [*limits, own]),
            padding=True,
            return_tensors="np",
        )
