"""Random configurations: what a family's `draws.py` draws, and the comparison with the reference.

A family declares `draw(dice)`, which gives a configuration, inputs and flags that the reference
takes; `tests/models/parity_draws.py` runs them. Sizes are tiny and odd, and every field is drawn,
those without effect included.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import tfzoo
from tests.support import reference
from tests.support.compare import difference, flatten
from tfzoo.layers.activations import ACTIVATIONS

__all__ = ["Dice", "Draw", "clip_text_config", "compare_draw"]

_NAMES = sorted(set(ACTIVATIONS) - {"selu"})  # which the reference does not have


@dataclass(frozen=True)
class Draw:
    """One random configuration.

    Attributes:
        model: Class name in tfzoo; the reference's is the same without `TF`.
        config: Fields of the config.
        inputs: Arrays by name, labels included.
        flags: Further keywords of the call.
        to_torch: Makes the reference's inputs.
        method: What is called, where it is not the model itself; our output may have more fields.
    """

    model: str
    config: Mapping[str, Any]
    inputs: Mapping[str, Any]
    flags: Mapping[str, Any] = field(default_factory=dict)
    to_torch: Callable[[Any], dict[str, Any]] = reference.torch_inputs
    method: str = ""


class Dice:
    """Random choices from a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def integer(self, low: int, high: int) -> int:
        """An integer from `low` to `high`, both included."""
        return int(self.rng.integers(low, high + 1))

    def one_of(self, *choices: Any) -> Any:
        """One of some values."""
        return choices[self.integer(0, len(choices) - 1)]

    def chance(self, probability: float = 0.5) -> bool:
        """True with a probability."""
        return bool(self.rng.random() < probability)

    def mostly(self, usual: Any, *others: Any) -> Any:
        """The usual value two times of three, else one of the others."""
        return usual if self.chance(2 / 3) else self.one_of(*others)

    def number(self, low: float = 0.0, high: float = 1.0) -> float:
        """A number between two others."""
        return round(float(self.rng.uniform(low, high)), 4)

    def floats(self, *shape: int) -> np.ndarray:
        """Normally distributed float32."""
        return self.rng.normal(size=shape).astype("float32")

    def integers(self, below: int, *shape: int) -> np.ndarray:
        """int64 from 0."""
        return self.rng.integers(0, below, shape)

    def mask(self, *shape: int) -> np.ndarray:
        """A mask of 0 and 1 of any kind: padding on a side, holes, all or nothing; of any dtype."""
        lengths = self.rng.integers(0, shape[-1] + 1, (*shape[:-1], 1))
        padding = np.arange(shape[-1]) < lengths
        holes = self.rng.random(shape) < 0.6
        mask = self.one_of(padding, padding[..., ::-1], holes, np.ones(shape, bool))
        return np.ascontiguousarray(mask).astype(self.mostly("int64", "float32", "bool", "int32"))

    def factors(self, *shape: int) -> np.ndarray:
        """Factors of attention heads."""
        return self.rng.choice([0.0, 0.5, 1.0], size=shape).astype("float32")

    def indices(self, classes: int, *shape: int) -> np.ndarray:
        """Class indices, some of them -100, which is ignored; never all, whose mean is 0 / 0."""
        labels = self.integers(classes, *shape)
        labels[self.rng.random(shape) < 0.3] = -100
        labels.reshape(-1)[self.integer(0, labels.size - 1)] = self.integer(0, classes - 1)
        return labels

    def activation(self, *without: str) -> str:
        """The name of an activation, other than those given."""
        return self.one_of(*(name for name in _NAMES if name not in without))

    def epsilon(self) -> float:
        """An epsilon of layer norms."""
        return self.one_of(1e-12, 1e-6, 1e-5, 1e-3, 0.1)

    def heads(self) -> tuple[int, int]:
        """Heads and a width of at least 8: norms of fewer channels amplify rounding."""
        heads = self.integer(1, 4)
        return heads, heads * self.integer(math.ceil(8 / heads), 24 // heads)

    def side(self, patch: int, most: int = 3) -> int:
        """Pixels of some patches and a rest that makes none."""
        return patch * self.integer(1, most) + self.integer(0, patch - 1)

    def outputs(self) -> tuple[dict[str, bool], dict[str, bool]]:
        """The outputs that are asked for, by the config and by flags of the call."""
        asked = {name: self.chance() for name in ("output_hidden_states", "output_attentions")}
        return ({}, asked) if self.chance() else (asked, {})

    def class_labels(self, count: int, classes: int, problem_type: str | None) -> np.ndarray:
        """Labels of a classifier, of a kind that fits; the kind is inferred where None."""
        inferred = self.one_of("single_label_classification", "multi_label_classification")
        kind = problem_type or ("regression" if classes == 1 else inferred)
        if kind == "single_label_classification":
            return self.indices(classes, count)
        if kind == "multi_label_classification":
            return self.integers(2, count, classes).astype("float32")
        return self.floats(count) if classes == 1 else self.floats(count, classes)

    def problem_type(self) -> str | None:
        """The kind of a classifier's loss."""
        kinds = ("regression", "single_label_classification", "multi_label_classification")
        return self.mostly(None, *kinds)


def clip_text_config(dice: Dice, longest: int) -> dict[str, Any]:
    """The config of a CLIP text tower for texts of up to `longest` tokens."""
    heads, width = dice.heads()
    return {
        "vocab_size": dice.integer(3, 49),
        "hidden_size": width,
        "intermediate_size": dice.integer(1, 24),
        "num_hidden_layers": dice.integer(0, 2),
        "num_attention_heads": heads,
        "max_position_embeddings": dice.integer(1, longest),
        "hidden_act": dice.activation(),
        "layer_norm_eps": dice.epsilon(),
        "attention_dropout": dice.number(),
        "initializer_range": dice.number(),
        "initializer_factor": dice.number(),
        **{f"{name}_token_id": dice.integer(0, 2) for name in ("pad", "bos", "eos")},
    }


def compare_draw(draw: Draw, seed: int, folder: Path) -> dict[str, float]:
    """Compare all outputs of a draw, by name and as a tuple, with those of the reference.

    Returns:
        The difference of each field, as a part of its largest magnitude.

    Raises:
        AssertionError: Other fields or shapes.
    """
    oracle = reference.random_model(draw.model.removeprefix("TF"), dict(draw.config), seed)
    oracle.save_pretrained(folder)
    model = getattr(tfzoo, draw.model).from_pretrained(folder)
    call, ask = (getattr(one, draw.method or "__call__") for one in (model, oracle))
    found = {}
    for form, flags in (("", {}), ("tuple ", {"return_dict": False})):
        with reference.torch.no_grad():
            outputs = ask(**draw.to_torch(draw.inputs), **draw.flags, **flags)
        expected = flatten(outputs, lambda tensor: tensor.detach().numpy(), form)
        ours = flatten(call(**draw.inputs, **draw.flags, **flags), prefix=form)
        if draw.method:
            ours = {name: value for name, value in ours.items() if name in expected}
        assert sorted(ours) == sorted(expected), f"{sorted(ours)} != {sorted(expected)}"
        found |= {name: _difference(ours[name], expected[name], name) for name in expected}
    return found


def _difference(have: np.ndarray, want: np.ndarray, name: str) -> float:
    """As `difference`, of a single number below 1 absolute: a small loss is left of large terms."""
    share = difference(have, want, name)
    if want.size != 1:
        return share
    return float(np.abs(have - want).item()) / max(1.0, float(np.abs(want).item()))
