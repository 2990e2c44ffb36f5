"""What a family offers to export: its signatures, the options it takes, and common refusals."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import tensorflow as tf

from tfzoo.core.inputs import Input, InputTable
from tfzoo.core.warn import warn

__all__ = [
    "DEFAULT",
    "Endpoint",
    "ServingError",
    "ServingOptions",
    "check_head",
    "check_processor",
    "check_tokenizer",
    "class_names",
    "default_endpoint",
]

DEFAULT = "serving_default"
_TOKENS = 8  # of the default example's texts; fewer where the model takes no more


class ServingError(ValueError):
    """A model, processor or option that cannot be exported together; nothing was written."""


@dataclass(frozen=True)
class Endpoint:
    """One signature of a SavedModel.

    Args:
        name: Name of the signature, e.g. `"classify_frames"`.
        function: Takes the inputs as keywords, returns a flat dict of named tensors. It is traced
            into the graph: only core TensorFlow operations.
        inputs: Name -> spec of each input; the first axis is the batch, of any size.
        example: Name -> a small valid request (batch of one). It is run before the model is
            published, and becomes the warm-up request and the client example of the documents.
    """

    name: str
    function: Callable[..., dict[str, tf.Tensor]]
    inputs: Mapping[str, tf.TensorSpec]
    example: Mapping[str, np.ndarray]

    @classmethod
    def of(
        cls, name: str, function: Callable[..., dict[str, tf.Tensor]], **example: np.ndarray | list
    ) -> Endpoint:
        """Make an endpoint whose inputs are free in two axes at most, and else as in the example.

        Args:
            name: See the class.
            function: See the class.
            **example: The example's arrays by name; a list holds strings.

        Example:
            >>> twice = Endpoint.of("twice", lambda x: {"y": 2.0 * x}, x=np.ones(1, "float32"))
            >>> twice.inputs["x"].shape, float(twice.function(**twice.example)["y"][0])
            (TensorShape([None]), 2.0)
        """
        arrays = {k: np.array(v, object) if isinstance(v, list) else v for k, v in example.items()}
        specs = {
            key: tf.TensorSpec(
                [None] * min(value.ndim, 2) + [*value.shape[2:]],
                tf.string if value.dtype == object else value.dtype,
                key,
            )
            for key, value in arrays.items()
        }
        return cls(name, function, specs, arrays)


# ---- options
@dataclass(frozen=True)
class ServingOptions:
    """What a user may choose about the signatures; each family's file says which it takes.

    Args:
        labels: Name of each class, in the order of the model's outputs; the config's where None.
        queries: Texts that are encoded once and stored in the model, e.g. what to detect.
        top_k: Most answers given for one item, best first.
        threshold: Least score of a detection, from 0 to 1.
        iou_threshold: Overlap from which the weaker of two boxes is dropped, from 0 to 1.
        max_detections: Rows of the padded answer for one image.
        max_pixels: Height times width from which an image is refused before it is decoded.

    Raises:
        ServingError: A value that no family could serve.

    Example:
        >>> ServingOptions(labels=["cat", "dog"], top_k=1).labels
        ('cat', 'dog')
    """

    labels: Sequence[str] | None = None
    queries: Sequence[str] | None = None
    top_k: int = 5
    threshold: float = 0.1
    iou_threshold: float = 0.3
    max_detections: int = 100
    max_pixels: int = 2**26

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            object.__setattr__(self, name, check(name, getattr(self, name)))

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of all options, in order."""
        return tuple(field.name for field in fields(cls))


def _texts(name: str, value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, (str, bytes)):
        raise ServingError(f"{name} must be a list of texts, got the one text {value!r}.")
    try:
        texts = tuple(value)
    except TypeError:
        kind = type(value).__name__
        raise ServingError(f"{name} must be a list of texts, got {kind}.") from None
    wrong = [text for text in texts if not isinstance(text, str) or not text.strip()]
    if wrong or not texts:
        what = f"{wrong[0]!r} in it" if wrong else "an empty one"
        raise ServingError(f"{name} must be a list of texts, none of them empty; got {what}.")
    return texts


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ServingError(f"{name} must be an integer of at least 1, got {value!r}.")
    if value >= 2**31:
        raise ServingError(f"{name} must fit into 31 bits, got {value}.")
    return int(value)


def _share(name: str, value: Any) -> float:
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not 0 <= value <= 1:
        raise ServingError(f"{name} must be a number from 0 to 1, got {value!r}.")
    return float(value)


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(("labels", "queries"), _texts),
    **dict.fromkeys(("top_k", "max_detections", "max_pixels"), _count),
    **dict.fromkeys(("threshold", "iou_threshold"), _share),
}


# ---- refusals
def check_head(model: Any, *heads: type) -> None:
    """Refuse a model of another class than those whose outputs answer in the user's terms."""
    if isinstance(model, heads):
        return
    *others, last = (head.__name__ for head in heads)
    served = f"{', '.join(others)} and {last} have" if others else f"{last} has"
    raise ServingError(
        f"{type(model).__name__} has no signature in the user's terms; {served}. model.export "
        "writes its inputs and outputs as they are."
    )


def check_processor(model: Any, processor: Any, *kinds: type) -> None:
    """Refuse a processor or tokenizer of another class than `kinds`, the usual one first."""
    if not isinstance(processor, kinds):
        raise ServingError(
            f"{type(model).__name__} is served with a {kinds[0].__name__}, got a "
            f"{type(processor).__name__}."
        )


def check_tokenizer(tokenizer: Any, vocab_size: int) -> None:
    """Refuse a tokenizer that has more ids than a model takes."""
    if len(tokenizer) > vocab_size:
        raise ServingError(
            f"The tokenizer has {len(tokenizer)} ids, the model takes {vocab_size} (vocab_size): "
            "it is another model's."
        )


def class_names(
    options: ServingOptions, count: int, own: Mapping[int, str], owner: str
) -> tuple[str, ...]:
    """The name of each class, in the order of the model's outputs.

    Args:
        options: Its `labels` take precedence.
        count: Number of classes.
        own: Index -> name, the config's.
        owner: Name of the model, for the error.

    Raises:
        ServingError: There are more or fewer names than classes.

    Warns:
        UserWarning: The config has no names but LABEL_0, LABEL_1, ...

    Example:
        >>> class_names(ServingOptions(), 2, {1: "dog", 0: "cat"}, "TFModel")
        ('cat', 'dog')
    """
    if options.labels is None:
        names = tuple(own[index] for index in sorted(own))
        if len(names) == count:
            if names == tuple(f"LABEL_{index}" for index in range(count)):
                warn(
                    f"{owner} answers LABEL_0, LABEL_1, ..., since its config has no names of "
                    "classes: pass labels=, or id2label= to from_pretrained."
                )
            return names
        raise ServingError(
            f"{owner} has {count} classes, and its config names {len(names)}: pass labels= with a "
            "name for each, in the order of the model's outputs."
        )
    if len(options.labels) != count:
        raise ServingError(
            f"labels must name each of the {count} classes of {owner}, got {len(options.labels)}."
        )
    return tuple(options.labels)


# ---- the model as it is
def default_endpoint(model: Any, tokens: int | None = _TOKENS) -> Endpoint:
    """The signature that `model.export` writes, as an endpoint with an example.

    Args:
        model: Any model of tfzoo.
        tokens: Length of the example's texts; where None, as long as the model takes them.

    Example:
        >>> import tfzoo
        >>> model = tfzoo.TFTimesformerForVideoClassification.from_pretrained("checkpoint")
        >>> endpoint = default_endpoint(model)
        >>> endpoint.name, endpoint.example["pixel_values"].shape
        ('serving_default', (1, 8, 3, 48, 48))
    """
    table = InputTable(model.inputs_table, (), type(model).__name__)
    specs = {
        name: tf.TensorSpec(spec.shape, spec.dtype, name)
        for name, spec in table.specs(model.config).items()
    }
    example = {
        row.name: _values(row, specs[row.name], model.config, tokens)
        for row in table.rows
        if row.name in specs
    }
    return Endpoint(DEFAULT, model.serving_outputs, specs, example)


def _values(row: Input, spec: tf.TensorSpec, config: Any, tokens: int | None) -> np.ndarray:
    """Ones for ids and masks (an id of 0 may be padding), zeros for all others."""
    axes = [axis.rpartition(".")[2] for axis in row.exported or row.shape]
    shape = [
        _size(axis, place, config, tokens) if size is None else size
        for place, (axis, size) in enumerate(zip(axes, spec.shape, strict=True))
    ]
    is_filled = row.dtype == "mask" or row.name == "input_ids"
    return np.full(shape, int(is_filled), spec.dtype.as_numpy_dtype)


def _size(axis: str, place: int, config: Any, tokens: int | None) -> int:
    """A size for a free axis that the model takes."""
    if axis in ("frames", "fixed_frames"):  # also where clips are given frame after frame
        return config.num_frames
    if place == 0:
        return 1
    if axis in ("height", "width"):
        return config.image_size
    if axis == "sequence":
        longest = getattr(config, "text_config", config).max_position_embeddings
        return longest if tokens is None else min(tokens, longest)
    return 1
