"""What goes wrong with files of training data."""

from __future__ import annotations

__all__ = ["BrokenFileWarning", "DataError", "shown"]

_SHOWN = 5


class DataError(ValueError):
    """Files that are no training set; the message names the file, or the line, and what to do.

    While a set is read, `tf.data` raises it as `tf.errors.InvalidArgumentError`, with its words.
    """


class BrokenFileWarning(UserWarning):
    """Something was left out of a training set, as `on_error="skip"` asks; said once of each."""


def shown(names: list[str]) -> str:
    """The first few of a list, for a message.

    Args:
        names: At least one.

    Returns:
        They, separated by commas, and how many more there are.

    Example:
        >>> shown(list("abcdefg"))
        'a, b, c, d, e and 2 more'
    """
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
