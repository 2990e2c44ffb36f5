"""One line about values that would fill the screen."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Any

__all__ = ["brief", "brief_repr"]


def brief(values: Mapping[str, Any]) -> str:
    """Named values in one line: arrays by shape and dtype, lists by their lengths.

    Example:
        >>> brief({"ids": np.zeros((2, 7), int), "texts": [["a", "b"]], "fps": 25.0})
        '(ids=(2, 7) int64, texts=1 x 2 x str, fps=25.0)'
    """
    return f"({', '.join(f'{name}={_brief(value)}' for name, value in values.items())})"


def brief_repr(owner: object, values: Mapping[str, Any]) -> str:
    """A `repr` of one line, see `brief`.

    Args:
        owner: The object that is shown.
        values: What it holds, by name.
    """
    return type(owner).__name__ + brief(values)


def _brief(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return _of_items(value)
    return _shape(value) or reprlib.repr(value)


def _of_items(value: Any) -> str:
    """Of nested lists how many items each level has, and what lies inside."""
    if not isinstance(value, (list, tuple)):
        return _shape(value) or type(value).__name__
    kinds = {_of_items(item) for item in value}
    inner = kinds.pop() if len(kinds) == 1 else "different" if kinds else ""
    return f"{len(value)} x {inner}" if inner else "[]"


def _shape(value: Any) -> str:
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        return ""
    dtype = getattr(value.dtype, "name", str(value.dtype).removeprefix("torch."))
    return f"{tuple(value.shape)} {dtype}"
