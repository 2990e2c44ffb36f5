"""Labels with their probabilities: what classifications of videos, images and texts answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from tfzoo.tasks.base import Prediction, Result, percent, ranking_lines
from tfzoo.tasks.inputs import clip_of, image_of

__all__ = ["ClassifiedImage", "ClassifiedText", "ClassifiedVideo", "Ranking"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranking(Result):
    """The most likely labels, the best first."""

    predictions: list[Prediction]

    @property
    def rows(self) -> Sequence[Prediction]:
        return self.predictions

    def line(self) -> str:
        return ", ".join(f"{row.label} {percent(row.score)}" for row in self.predictions)

    def lines(self) -> list[str]:
        return ranking_lines((row.label, row.score) for row in self.predictions)

    def draw(self) -> Image.Image:
        return self._draw()

    def _draw(self, image: Image.Image | None = None, title: str = "") -> Image.Image:
        from tfzoo.viz import draw_ranking

        return draw_ranking([(p.label, p.score) for p in self.predictions], image, title=title)


@dataclass(frozen=True, kw_only=True)
class ClassifiedImage(Ranking):
    """The most likely labels of an image, the best first."""

    def draw(self) -> Image.Image:
        return self._draw(image_of(self.source))


@dataclass(frozen=True, kw_only=True)
class ClassifiedText(Ranking):
    """The most likely labels of a text, the best first."""

    def draw(self) -> Image.Image:
        return self._draw(title=self.source)


@dataclass(frozen=True, kw_only=True)
class ClassifiedVideo(Ranking):
    """The most likely labels of a video, the best first, and the numbers of the frames used."""

    frames: list[int]

    def lines(self) -> list[str]:
        return [*super().lines(), "frames " + " ".join(map(str, self.frames))]

    def draw(self) -> Image.Image:
        from tfzoo.viz import draw_frames

        clip = clip_of(self.source, self.frames)
        used = draw_frames(clip.frames, self.frames, total=clip.total_frames, width=640)
        return self._draw(used)
