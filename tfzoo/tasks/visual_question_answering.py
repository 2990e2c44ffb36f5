"""Answers to questions about an image that is given as features of its regions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from tfzoo.auto import AutoTokenizer, TFAutoModelForQuestionAnswering
from tfzoo.tasks.base import Progress, Result, Task
from tfzoo.tasks.scores import finite, probabilities

__all__ = ["AnsweredQuestion", "VisualQuestionAnswering"]


@dataclass(frozen=True)
class AnsweredQuestion(Result):
    """The most likely answer to a question, and its probability."""

    question: str
    answer: str
    score: float

    def lines(self) -> list[str]:
        return [f"{self.question}  {self.answer} ({100 * self.score:.1f} %)"]


@dataclass(eq=False, kw_only=True)
class VisualQuestionAnswering(Task):
    """Answers a question about the first image of a file of region features."""

    question: str

    auto: ClassVar[Any] = TFAutoModelForQuestionAnswering
    processor_auto: ClassVar[Any] = AutoTokenizer
    does: ClassVar[str] = "answers questions about images"
    inputs: ClassVar[tuple[str, ...]] = ("regions",)

    def read(self, *inputs: Any, progress: Progress = False) -> dict[str, Any]:
        from tfzoo.data.regions import open_region_features, region_batch

        with open_region_features(inputs[0]) as images:
            return region_batch([images[next(iter(images))]])

    def answer(self, inputs: dict[str, Any]) -> AnsweredQuestion:
        texts = self.processor([self.question], return_tensors="np")
        tokens = {name: texts[name] for name in ("input_ids", "attention_mask")}
        outputs = self.model(**tokens, **inputs, training=False, return_dict=True)
        (scores,) = probabilities(finite(outputs.question_answering_score))
        answer = int(scores.argmax())
        label = self.model.config.id2label[answer]
        return AnsweredQuestion(self.question, label, float(scores[answer]))
