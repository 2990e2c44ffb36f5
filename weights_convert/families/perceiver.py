"""Perceiver's map: the engine under ``perceiver.`` in models for a task, its parts optional."""

from __future__ import annotations

from weights_convert.rules import FamilyMap

__all__ = ["MAP"]

MAP = FamilyMap(
    base_prefix="perceiver",
    rows=(
        ("attention.layernorm1", "attention.self.layernorm1"),
        ("attention.layernorm2", "attention.self.layernorm2"),
        ("attention.query", "attention.self.query"),
        ("attention.key", "attention.self.key"),
        ("attention.value", "attention.self.value"),
        ("attention.out", "attention.output.dense"),
        ("mlp.fc1", "mlp.dense1"),
        ("mlp.fc2", "mlp.dense2"),
    ),
    heads=(
        "perceiver.input_preprocessor",
        "perceiver.decoder",
        "perceiver.output_postprocessor",
        "embedding_decoder",
    ),
)
