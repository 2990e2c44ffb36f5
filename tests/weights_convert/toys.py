"""Toys for these tests: slots without a framework, and safetensors files built byte by byte."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from weights_convert.plan import TensorInfo
from weights_convert.rules import FamilyMap

FAMILY = FamilyMap(
    base_prefix="net",
    rows=(("attention.out", "attention.output.dense"), ("mlp.fc1", "intermediate.dense")),
    heads=("classifier",),
    ignore=("position_ids", "num_batches_tracked"),
)


@dataclass(frozen=True)
class ToySlot:
    kind: str
    shape: tuple[int, ...]


def toy_slots(*, base: bool, head: bool = False) -> dict[str, ToySlot]:
    """A model's variables: with the base prefix or not, with a head or not."""
    prefix = "net." if base else ""
    slots = {
        f"{prefix}embeddings.cls_token": ToySlot("raw", (1, 1, 4)),
        f"{prefix}embeddings.patch.kernel": ToySlot("conv2d", (2, 2, 3, 4)),
        f"{prefix}layer.0.attention.out.kernel": ToySlot("dense", (4, 4)),
        f"{prefix}layer.0.mlp.fc1.kernel": ToySlot("dense", (4, 8)),
        f"{prefix}layer.0.mlp.fc1.bias": ToySlot("dense", (8,)),
        f"{prefix}norm.gamma": ToySlot("norm", (4,)),
    }
    if head:
        slots["classifier.kernel"] = ToySlot("dense", (4, 3))
        slots["classifier.bias"] = ToySlot("dense", (3,))
    return slots


def toy_tensors(*, base: bool, head: bool = False) -> dict[str, TensorInfo]:
    """What a checkpoint of that model holds, written down independently of the map."""
    prefix = "net." if base else ""
    shapes = {
        f"{prefix}embeddings.cls_token": (1, 1, 4),
        f"{prefix}embeddings.patch.weight": (4, 3, 2, 2),
        f"{prefix}layer.0.attention.output.dense.weight": (4, 4),
        f"{prefix}layer.0.intermediate.dense.weight": (8, 4),
        f"{prefix}layer.0.intermediate.dense.bias": (8,),
        f"{prefix}norm.weight": (4,),
    }
    if head:
        shapes |= {"classifier.weight": (3, 4), "classifier.bias": (3,)}
    return {name: TensorInfo("F32", shape) for name, shape in shapes.items()}


def raw_file(header: object, data: bytes = b"", *, length: int | None = None) -> bytes:
    """The bytes of a file with any header, sound or not."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def tensor(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def source(name: str, array: np.ndarray, dtype: str = "F32"):
    """One item of what ``write_checkpoint`` takes."""
    return name, dtype, array.shape, lambda: array


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
