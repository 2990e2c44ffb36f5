"""Classification of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tfzoo.auto import AutoImageProcessor, TFAutoModelForImageClassification
from tfzoo.io import read_image
from tfzoo.models.perceiver.heads.vision import CLASSIFIERS
from tfzoo.models.perceiver.image_processor import PerceiverImageProcessor
from tfzoo.tasks.base import Progress, Result, Task, ranking_lines
from tfzoo.tasks.scores import best, check_count, finite, probabilities

__all__ = ["ClassifiedImage", "ImageClassification", "classify_image"]


@dataclass(frozen=True)
class ClassifiedImage(Result):
    """The most likely labels of an image and their probabilities, the best first."""

    predictions: list[tuple[str, float]]

    def to_dict(self) -> dict[str, Any]:
        rows = [{"label": label, "score": score} for label, score in self.predictions]
        return {"predictions": rows}

    def lines(self) -> list[str]:
        return ranking_lines(self.predictions)


@dataclass(eq=False, kw_only=True)
class ImageClassification(Task):
    """Classifies images, by their `top_k` most likely labels."""

    top_k: int = 5

    auto: ClassVar[Any] = TFAutoModelForImageClassification
    processor_auto: ClassVar[Any] = AutoImageProcessor
    does: ClassVar[str] = "classifies images"
    inputs: ClassVar[tuple[str, ...]] = ("image",)

    def read(self, *inputs: Any, progress: Progress = False) -> np.ndarray:
        return read_image(inputs[0])

    def answer(self, inputs: np.ndarray) -> ClassifiedImage:
        return ClassifiedImage(classify_image(self.model, inputs, self.processor, self.top_k))


def classify_image(
    model: Any, image: Any, processor: PerceiverImageProcessor | None = None, top_k: int = 5
) -> Any:
    """The most likely labels of an image.

    Args:
        model: A `TFPerceiverForImageClassificationLearned`, `...Fourier` or `...ConvProcessing`.
        image: Path, Pillow image or array, see `flatten_images`; or a list of B.
        processor: Makes the model's inputs; that beside the model's checkpoint where None.
        top_k: How many labels.

    Returns:
        Pairs of label and probability, the best first; a list of B such lists for a list.

    Raises:
        TypeError: Another model, or something that is not an image.
        ValueError: No processor, images that do not fit, or a model whose outputs are not finite.

    Example:
        >>> import tfzoo
        >>> config = tfzoo.PerceiverConfig(num_latents=4, d_latents=32, num_labels=3,
        ...     num_self_attends_per_block=1, num_cross_attention_heads=1)
        >>> model = tfzoo.TFPerceiverForImageClassificationConvProcessing(config)
        >>> processor = tfzoo.PerceiverImageProcessor(size=64)
        >>> ranking = tfzoo.classify_image(model, "photo.jpg", processor)
        >>> sorted(label for label, probability in ranking)
        ['LABEL_0', 'LABEL_1', 'LABEL_2']
    """
    if not isinstance(model, CLASSIFIERS):
        raise TypeError(
            f"model: expected a {' or '.join(c.__name__ for c in CLASSIFIERS)}, got a "
            f"{type(model).__name__}."
        )
    check_count(top_k)
    processor = _processor_of(model) if processor is None else processor
    inputs = processor(image, return_tensors="np")
    logits = finite(model(**inputs, training=False, return_dict=True).logits)
    scores = probabilities(logits, model.config.problem_type == "multi_label_classification")
    labels = model.config.id2label
    ranked = [
        [(labels[index], float(row[index])) for index in best(row, top_k).tolist()]
        for row in scores
    ]
    return ranked if isinstance(image, (list, tuple)) or np.ndim(image) == 4 else ranked[0]


def _processor_of(model: Any) -> PerceiverImageProcessor:
    """The processor beside the checkpoint that a model was loaded from."""
    name = model.config.name_or_path
    if not name:
        raise ValueError(
            "The model was not loaded from a checkpoint, so that its processor is unknown: pass "
            "processor=PerceiverImageProcessor(...)."
        )
    return PerceiverImageProcessor.from_pretrained(name)
