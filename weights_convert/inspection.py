"""What a checkpoint holds, at a glance: its tensors in groups, and what its config says."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weights_convert.errors import CheckpointError
from weights_convert.tensors import TensorInfo

__all__ = ["groups", "read_config"]

Row = dict[str, Any]


def groups(tensors: Mapping[str, TensorInfo]) -> list[Row]:
    """Fold names that differ in their indices alone.

    Args:
        tensors: name -> dtype and shape.

    Returns:
        For each group its name, in which ``*`` stands for an index, the number of tensors, their
        dtypes and shapes, and their bytes; layer 2 before layer 10.

    Example:
        >>> tensors = {f"layer.{i}.bias": TensorInfo("F32", (4,)) for i in range(12)}
        >>> groups(tensors)[0]["name"], groups(tensors)[0]["count"]
        ('layer.*.bias', 12)
    """
    rows: dict[str, Row] = {}
    for name in sorted(tensors, key=_natural):
        info = tensors[name]
        folded = re.sub(r"(?<![^.])\d+(?![^.])", "*", name)
        empty = {"name": folded, "count": 0, "dtypes": [], "shapes": [], "bytes": 0}
        row = rows.setdefault(folded, empty)
        row["count"] += 1
        row["bytes"] += info.nbytes
        for key, value in (("dtypes", info.dtype), ("shapes", list(info.shape))):
            if value not in row[key]:
                row[key].append(value)
    return list(rows.values())


def read_config(path: Path) -> Row | None:
    """Return the config beside the weights, None if there is none.

    Args:
        path: folder or file of the checkpoint.

    Returns:
        The values of ``config.json``.

    Raises:
        CheckpointError: it is no JSON object.

    Example:
        >>> read_config(Path("no/such/folder")) is None
        True
    """
    config = (path if path.is_dir() else path.parent) / "config.json"
    if not config.is_file():
        return None
    try:
        values = json.loads(config.read_bytes())
    except ValueError as error:
        raise CheckpointError(f"{config}: no valid JSON: {error}") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{config}: expected a JSON object, found {values!r:.100}")
    return values


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key that puts layer 2 before layer 10."""
    return [(int(part) if part.isdecimal() else -1, part) for part in name.split(".")]
