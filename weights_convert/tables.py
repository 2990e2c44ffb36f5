"""Plain text for terminals: tables of aligned columns, shapes and sizes."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["cell", "megabytes", "print_table", "shape_text"]


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of texts under their titles, the columns aligned.

    Args:
        titles: one for each column.
        rows: as many texts each.

    Example:
        >>> print_table(("name", "MB"), [("a.weight", "0.10")])
        name      MB
        a.weight  0.10
    """
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    for row in (titles, *rows):
        cells = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def cell(value: str | Sequence[int] | None) -> str:
    """Return the text of a name or a shape; a dash for what is not there.

    Example:
        >>> cell(None), cell((2, 3))
        ('-', '(2, 3)')
    """
    if value is None:
        return "-"
    return value if isinstance(value, str) else shape_text(value)


def shape_text(shape: Sequence[int]) -> str:
    """Return a shape as it is written in messages.

    Example:
        >>> shape_text([3])
        '(3)'
    """
    return f"({', '.join(map(str, shape))})"


def megabytes(size: int) -> str:
    """Return a number of bytes in millions.

    Example:
        >>> megabytes(2_500_000)
        '2.50'
    """
    return f"{size / 1e6:.2f}"
