"""Warnings that point at the line of the user's that caused them."""

from __future__ import annotations

import sys
import warnings

__all__ = ["warn"]

# The packages whose lines tell a user nothing: tfzoo, and what may stand between it and the user.
_INNER = {
    "concurrent",
    "contextlib",
    "functools",
    "importlib",
    "keras",
    "tensorflow",
    "tfzoo",
    "threading",
    "weights_convert",
}


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the nearest line outside of tfzoo and Keras, however deep inside the cause lies.

    Args:
        message: What is wrong, and what to do.
        category: The kind of warning.

    Example:
        >>> import warnings
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     warn("mind the gap")
        >>> caught[0].category.__name__, str(caught[0].message)
        ('UserWarning', 'mind the gap')
    """
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _INNER:
        frame = frame.f_back
    place, known = frame.f_globals, frame.f_globals.setdefault("__warningregistry__", {})
    warnings.warn_explicit(
        message, category, frame.f_code.co_filename, frame.f_lineno, place.get("__name__"), known
    )
