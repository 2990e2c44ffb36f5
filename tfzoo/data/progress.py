"""A bar while files are counted for the first time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from tqdm import tqdm

__all__ = ["Progress", "reporter"]

Progress = bool | Callable[[int, int | None], None]


@contextlib.contextmanager
def reporter(
    progress: Progress, unit: str, total: int | None = None
) -> Iterator[Callable[[int], None]]:
    """A function to call with what is done so far.

    Args:
        progress: True shows a bar on a terminal, False nothing; a function is called with
            (done, total).
        unit: What is counted.
        total: How much there is, if known.

    Returns:
        A context that gives the function.

    Example:
        >>> with reporter(lambda done, total: print(done, total), "file", 3) as report:
        ...     report(1)
        1 3
    """
    if callable(progress):
        yield lambda done: progress(done, total)
        return
    # disable=None: silent where the output is no terminal.
    scaled = unit == "B"
    with tqdm(total=total, unit=unit, unit_scale=scaled, disable=None if progress else True) as bar:
        yield lambda done: bar.update(done - bar.n)
