"""Errors and warnings about files of training data."""

from __future__ import annotations

from tfzoo.core.untrusted import escaped

__all__ = ["BrokenFileWarning", "DataError", "shown"]

_SHOWN = 5
_LONGEST = 200  # characters of a name


class DataError(ValueError):
    """Files that make no training set; the message names the file or line, and what to do.

    While a set is read, `tf.data` raises it as `tf.errors.InvalidArgumentError`, with its message.
    """


class BrokenFileWarning(UserWarning):
    """Something was left out of a training set, as `on_error="skip"` asks; given once for each."""


def shown(names: list[str]) -> str:
    """The first few of a list, for a message, and how many more there are.

    Example:
        >>> shown(list("abcdefg"))
        'a, b, c, d, e and 2 more'
    """
    more = len(names) - _SHOWN
    first = escaped(", ".join(name[:_LONGEST] for name in names[:_SHOWN]))
    return first + (f" and {more} more" if more > 0 else "")
