"""The errors of this package: malformed files, weights that do not fit, wrong usage."""

from __future__ import annotations

from collections.abc import Iterable

from tfzoo.core.untrusted import escaped

__all__ = ["CheckpointError", "UsageError", "WeightMismatchError"]

Mismatch = tuple[str, tuple[int, ...], tuple[int, ...]]

_SHOWN = 20  # rows of a section in the text; the attributes hold them all


class UsageError(ValueError):
    """Arguments of a command that parse but make no sense together; exit code 2.

    Example:
        >>> raise UsageError("DST must end in .keras")
        Traceback (most recent call last):
        ...
        weights_convert.errors.UsageError: DST must end in .keras
    """


class CheckpointError(ValueError):
    """A checkpoint file that is malformed, unreadable or missing.

    Example:
        >>> raise CheckpointError("model.safetensors: 5 bytes, expected at least 8")
        Traceback (most recent call last):
        ...
        weights_convert.errors.CheckpointError: model.safetensors: 5 bytes, expected at least 8
    """


class WeightMismatchError(CheckpointError):
    """A checkpoint whose tensors are not those that the model needs; the text reads like a diff.

    Args:
        missing: names that the model needs and the checkpoint lacks.
        unexpected: names in the checkpoint that belong to nothing in the model.
        mismatched: (name, expected shape, found shape), shapes in the checkpoint's layout.
        advice: one sentence on what to do.

    Example:
        >>> error = WeightMismatchError(["a.weight"], [], [("b.bias", (3,), (4,))], "Try another.")
        >>> error.missing, error.mismatched
        (('a.weight',), (('b.bias', (3,), (4,)),))
    """

    def __init__(
        self,
        missing: Iterable[str] = (),
        unexpected: Iterable[str] = (),
        mismatched: Iterable[Mismatch] = (),
        advice: str = "",
    ) -> None:
        self.missing: tuple[str, ...] = tuple(sorted(missing))
        self.unexpected: tuple[str, ...] = tuple(sorted(unexpected))
        self.mismatched: tuple[Mismatch, ...] = tuple(sorted(mismatched))
        self.advice = advice
        super().__init__(self._text())

    def __reduce__(self) -> tuple[type, tuple]:  # so that a worker process can send it back
        return type(self), (self.missing, self.unexpected, self.mismatched, self.advice)

    def _text(self) -> str:
        shapes = [
            f"{name}: expected {_shape(want)}, found {_shape(got)}"
            for name, want, got in self.mismatched
        ]
        sections = [
            _section("missing from the checkpoint", "-", self.missing),
            _section("unexpected in the checkpoint", "+", self.unexpected),
            _section("shapes that differ", "!", shapes),
        ]
        head = "the checkpoint does not fit the model"
        return "\n".join([head, *filter(None, sections), self.advice]).rstrip()


def _section(title: str, mark: str, rows: Iterable[str]) -> str:
    """One titled list, cut after ``_SHOWN`` rows; empty without rows."""
    rows = list(rows)
    if not rows:
        return ""
    lines = [f"{title} ({len(rows)}):", *(f"  {mark} {escaped(row)}" for row in rows[:_SHOWN])]
    if len(rows) > _SHOWN:
        lines.append(f"  ... and {len(rows) - _SHOWN} more")
    return "\n".join(lines)


def _shape(shape: tuple[int, ...]) -> str:
    return "(" + ", ".join(map(str, shape)) + ")"
