"""Signatures of the documented calls, traced without writing anything."""

from __future__ import annotations

import importlib
import json
from typing import Any

import keras
import tensorflow as tf

from tests.support.cases import Case
from tests.support.classes import model_families
from tests.support.paths import FIXTURES
from tfzoo.core.outputs import flattened

RECORDED = FIXTURES / "signatures"

Sides = dict[str, dict[str, list[Any]]]


def smallest_case(model: str, family: str) -> Case:
    """The first of the family's cases that is of this class."""
    cases = importlib.import_module(f"tests.models.{family}.cases").CASES
    return next(case for case in cases if case.model == model)


def traced_signature(case: Case) -> tuple[Sides, list[str]]:
    """The signature that `model.export` would write, and the names of the fields it shows.

    Returns:
        `inputs` and `outputs`, name -> [dtype, sizes], None for a free axis; and all field names
        of the head's output class.
    """
    model = case.tf_class(case.tf_class.config_class(**case.config))
    specs = {
        name: tf.TensorSpec(spec.shape, spec.dtype, name)
        for name, spec in model._table.specs(model.config).items()
    }
    fields: list[str] = []

    def serve(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        outputs = model(**inputs, return_dict=True)
        fields.extend(outputs.field_names())
        return flattened(outputs)  # as `serving_outputs` does: one trace gives both

    traced = tf.function(serve, input_signature=[specs], autograph=False).get_concrete_function()
    sides = {"inputs": _described(specs), "outputs": _described(traced.structured_outputs)}
    keras.backend.clear_session()
    return sides, fields


def _described(tensors: dict[str, Any]) -> dict[str, list[Any]]:
    return {
        name: [value.dtype.name, None if value.shape.rank is None else value.shape.as_list()]
        for name, value in sorted(tensors.items())
    }


def recorded_signatures(family: str) -> dict[str, Sides]:
    """Of each class of a family."""
    return json.loads((RECORDED / f"{family}.json").read_text(encoding="utf-8"))


def as_text(signatures: dict[str, Sides]) -> str:
    """The recorded file: a line for each tensor."""
    lines = ["{"]
    for i, (model, sides) in enumerate(sorted(signatures.items())):
        lines.append(f'{"," if i else ""}"{model}": {{')
        for j, (side, tensors) in enumerate(sides.items()):
            rows = [f"{json.dumps(n)}: {json.dumps(value)}" for n, value in tensors.items()]
            body = ",\n    ".join(rows)
            lines.append(f'  {"," if j else ""}"{side}": {{\n    {body}}}')
        lines.append("}")
    return "\n".join([*lines, "}"]) + "\n"


def families_of_classes() -> dict[str, list[str]]:
    """Family -> its model classes."""
    found: dict[str, list[str]] = {}
    for model, family in model_families().items():
        found.setdefault(family, []).append(model)
    return found
