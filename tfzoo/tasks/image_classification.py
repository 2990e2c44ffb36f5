"""Classification of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tfzoo.auto import AutoImageProcessor, TFAutoModelForImageClassification
from tfzoo.models.perceiver.heads.vision import CLASSIFIERS
from tfzoo.models.perceiver.image_processor import PerceiverImageProcessor
from tfzoo.tasks.base import Task
from tfzoo.tasks.classification import ClassifiedImage
from tfzoo.tasks.inputs import image_of
from tfzoo.tasks.scores import finite, probabilities, ranked

__all__ = ["ImageClassification", "classify_image"]


@dataclass(frozen=True, eq=False, kw_only=True)
class ImageClassification(Task):
    """Classifies images.

    Args:
        top_k: How many labels; all if None.

    Example:
        >>> import tfzoo
        >>> task = tfzoo.pipeline("image-classification", top_k=3)
        >>> len(task("photo.jpg"))
        3
    """

    top_k: int | None = 5

    name: ClassVar[str] = "image-classification"
    auto: ClassVar[Any] = TFAutoModelForImageClassification
    processor_auto: ClassVar[Any] = AutoImageProcessor
    does: ClassVar[str] = "classifies images"
    kind: ClassVar[str] = "image"

    def read(self, source: Any) -> Any:
        return image_of(source)

    def answer(self, items: Sequence[Any]) -> list[ClassifiedImage]:
        inputs = self.processor(list(items), return_tensors="np")
        logits = finite(self.model(**inputs, training=False, return_dict=True).logits)
        config = self.model.config
        scores = probabilities(logits, config.problem_type == "multi_label_classification")
        return [
            ClassifiedImage(predictions=ranked(row, config.id2label, self.top_k)) for row in scores
        ]


def classify_image(
    model: Any, image: Any, processor: PerceiverImageProcessor | None = None, top_k: int = 5
) -> Any:
    """The most likely labels of an image, as pairs; `tfzoo.pipeline` does more.

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
    processor = _processor_of(model) if processor is None else processor
    found = ImageClassification(model, processor, top_k=top_k, batch_size=64)(image)
    if isinstance(found, ClassifiedImage):
        return [(row.label, row.score) for row in found]
    return [[(row.label, row.score) for row in one] for one in found]


def _processor_of(model: Any) -> PerceiverImageProcessor:
    """The processor beside the checkpoint that a model was loaded from."""
    name = model.config.name_or_path
    if not name:
        raise ValueError(
            "The model was not loaded from a checkpoint, so that its processor is unknown: pass "
            "processor=PerceiverImageProcessor(...)."
        )
    return PerceiverImageProcessor.from_pretrained(name)
