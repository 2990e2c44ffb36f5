"""TimeSformer's map: ``timesformer.`` in front of the base model where there is a classifier."""

from __future__ import annotations

from weights_convert.rules import FamilyMap

__all__ = ["MAP"]

MAP = FamilyMap(
    base_prefix="timesformer",
    rows=(
        ("attention.qkv", "attention.attention.qkv"),
        ("attention.out", "attention.output.dense"),
        ("temporal_attention.qkv", "temporal_attention.attention.qkv"),
        ("temporal_attention.out", "temporal_attention.output.dense"),
        ("mlp.fc1", "intermediate.dense"),
        ("mlp.fc2", "output.dense"),
    ),
    heads=("classifier",),
)
