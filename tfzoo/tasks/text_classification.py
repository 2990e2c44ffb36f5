"""Classification of texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tfzoo.auto import AutoTokenizer, TFAutoModelForSequenceClassification
from tfzoo.tasks.base import Task
from tfzoo.tasks.classification import ClassifiedText
from tfzoo.tasks.scores import finite, probabilities, ranked
from tfzoo.tasks.texts import padded

__all__ = ["TextClassification"]


@dataclass(frozen=True, eq=False, kw_only=True)
class TextClassification(Task):
    """Classifies texts.

    Args:
        top_k: How many labels; all if None.

    Example:
        >>> import tfzoo
        >>> config = tfzoo.PerceiverConfig(num_latents=4, d_latents=32, d_model=16, num_labels=2,
        ...     num_self_attends_per_block=1, max_position_embeddings=64)
        >>> model = tfzoo.TFPerceiverForSequenceClassification(config)
        >>> task = tfzoo.pipeline(model=model, processor=tfzoo.PerceiverTokenizer())
        >>> sorted(row.label for row in task("a fine film"))
        ['LABEL_0', 'LABEL_1']
    """

    top_k: int | None = 5

    name: ClassVar[str] = "text-classification"
    auto: ClassVar[Any] = TFAutoModelForSequenceClassification
    processor_auto: ClassVar[Any] = AutoTokenizer
    does: ClassVar[str] = "classifies texts"
    kind: ClassVar[str] = "text"

    def answer(self, items: Sequence[str]) -> list[ClassifiedText]:
        config = self.model.config
        _, batch = padded(self.processor, items, config.max_position_embeddings)
        logits = finite(self.model(**batch, training=False, return_dict=True).logits)
        scores = probabilities(logits, config.problem_type == "multi_label_classification")
        return [
            ClassifiedText(predictions=ranked(row, config.id2label, self.top_k)) for row in scores
        ]
