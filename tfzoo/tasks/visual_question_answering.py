"""Answers to questions about an image that is given as features of its regions."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar

from PIL import Image

from tfzoo.auto import AutoTokenizer, TFAutoModelForQuestionAnswering
from tfzoo.data.regions import (
    RegionFeatureError,
    RegionFeatures,
    open_region_features,
    region_batch,
)
from tfzoo.tasks.base import Result, Task, percent
from tfzoo.tasks.classification import Ranking
from tfzoo.tasks.scores import finite, probabilities, ranked

__all__ = ["AnsweredQuestion", "VisualQuestionAnswering"]


@dataclass(frozen=True, kw_only=True)
class AnsweredQuestion(Ranking):
    """The most likely answers to a question about an image, the best first.

    Attributes:
        question: The question.
        image: The image's name in its file.
    """

    question: str
    image: str

    @property
    def answer(self) -> str:
        """The most likely answer."""
        return self.predictions[0].label

    @property
    def score(self) -> float:
        """The probability of the answer."""
        return self.predictions[0].score

    def to_dict(self) -> dict[str, Any]:
        return {"answer": self.answer, "score": self.score, **super().to_dict()}

    def line(self) -> str:
        return f"{self.question}  {self.answer} ({percent(self.score)})"

    def lines(self) -> list[str]:
        return [self.line()]

    def draw(self) -> Image.Image:
        return self._draw(title=self.question)


@dataclass(frozen=True, eq=False, kw_only=True)
class VisualQuestionAnswering(Task):
    """Answers a question about images, each given as the features of its regions.

    An input is a file or folder of region features, see `tfzoo.data.regions`; if it holds several
    images, the answers come one after the other, from an iterator. Or one image's `RegionFeatures`.

    Args:
        question: The question.
        top_k: How many answers; all if None.

    Example:
        >>> import tfzoo
        >>> task = tfzoo.pipeline("visual-question-answering")
        >>> regions = tfzoo.default_checkpoint("lxmert-easy-vqa") / "sample.tsv"
        >>> task(regions, question="what color is the circle?").answer
        'yellow'
    """

    question: str | None = None
    top_k: int | None = 5

    name: ClassVar[str] = "visual-question-answering"
    auto: ClassVar[Any] = TFAutoModelForQuestionAnswering
    processor_auto: ClassVar[Any] = AutoTokenizer
    does: ClassVar[str] = "answers questions about the regions of images"
    kind: ClassVar[str] = "regions"
    needs: ClassVar[tuple[str, ...]] = ("question",)

    def asked(self) -> Sequence[str]:
        return (self.question,)

    @classmethod
    def split(cls, inputs: Any) -> tuple[list[Any] | Iterator[Any], bool]:
        if isinstance(inputs, RegionFeatures):
            return [inputs], True
        if not isinstance(inputs, (str, os.PathLike)):
            return super().split(inputs)
        records = _records(inputs)
        first, second = next(records, None), next(records, None)
        if first is None:
            raise RegionFeatureError(f"{inputs}: expected features of images, got none.")
        if second is None:
            return [inputs], True
        return chain([first, second], records), False

    def read(self, source: Any) -> RegionFeatures:
        if isinstance(source, RegionFeatures):
            return source
        if not isinstance(source, (str, os.PathLike)):
            raise TypeError(
                "Expected a file or folder of region features, or a RegionFeatures, got a "
                f"{type(source).__name__}."
            )
        if not self.split(source)[1]:
            raise RegionFeatureError(
                f"{source}: expected features of one image in each file of a list, got several. "
                "Give the file alone."
            )
        return next(_records(source))

    def answer(self, items: Sequence[RegionFeatures]) -> list[AnsweredQuestion]:
        texts = self.processor([self.question] * len(items), return_tensors="np")
        tokens = {name: texts[name] for name in ("input_ids", "attention_mask")}
        inputs: Mapping[str, Any] = {**tokens, **region_batch(items)}
        outputs = self.model(**inputs, training=False, return_dict=True)
        scores = probabilities(finite(outputs.question_answering_score))
        labels = self.model.config.id2label
        return [
            AnsweredQuestion(
                question=self.question,
                image=item.image_id,
                predictions=ranked(row, labels, self.top_k),
            )
            for item, row in zip(items, scores, strict=True)
        ]

    def finished(self, source: Any, result: Result) -> Result:
        # The name alone: a file of features may be far larger than the memory.
        return super().finished(getattr(source, "image_id", source), result)


def _records(path: str | os.PathLike[str]) -> Iterator[RegionFeatures]:
    """The images of a file, one in memory at a time."""
    with open_region_features(path) as images:
        yield from images.records()
