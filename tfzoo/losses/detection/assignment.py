"""The cheapest one-to-one assignment in operations of the backend, for XLA."""

from __future__ import annotations

from typing import NamedTuple

from keras import ops

from tfzoo.core.types import Tensor

__all__ = ["assign"]


class _Matching(NamedTuple):
    """The assignment so far, of B problems at once.

    Attributes:
        of_row: (B, N), dual variables of the rows.
        of_column: (B, M), dual variables of the columns.
        owner: (B, N), the column of each row, -1 where it is free.
        chosen: (B, M), the row of each column, -1 where it has none.
    """

    of_row: Tensor
    of_column: Tensor
    owner: Tensor
    chosen: Tensor


class _Search(NamedTuple):
    """The search for the cheapest path from a column to a free row.

    Attributes:
        column: (B,), whose row was reached last.
        low: (B,), cost of the path to that row.
        cost: (B, N), of the cheapest known path to each row.
        before: (B, N), the column before the row on that path.
        seen: (B, N), rows whose path is final and goes on to their column.
        end: (B,), the free row, -1 until one is found.
    """

    column: Tensor
    low: Tensor
    cost: Tensor
    before: Tensor
    seen: Tensor
    end: Tensor


def assign(cost: Tensor, real: Tensor) -> Tensor:
    """Give each column a row of its own at the least total cost.

    It takes about M² steps over N numbers. Nothing is checked: costs that are not finite give an
    arbitrary assignment.

    Args:
        cost: (B, N, M), N at least M.
        real: (B, M) booleans, False for columns that are padding.

    Returns:
        (B, M) int32, the row of each column, -1 for padding.

    Source: Jonker and Volgenant 1987, "A shortest augmenting path algorithm for dense and sparse
        linear assignment problems", without its preparatory steps.

    Example:
        >>> cost = ops.convert_to_tensor([[[1.0, 2.0], [0.0, 5.0], [9.0, 9.0]]])
        >>> ops.convert_to_numpy(assign(cost, ops.ones((1, 2), "bool"))).tolist()
        [[1, 0]]
    """
    costs = ops.transpose(cost, (0, 2, 1))  # (B, M, N)
    batch, columns, rows = ops.shape(costs)
    matching = _Matching(
        ops.zeros((batch, rows), cost.dtype),
        ops.zeros((batch, columns), cost.dtype),
        ops.full((batch, rows), -1, "int32"),
        ops.full((batch, columns), -1, "int32"),
    )

    def add(column: Tensor, matching: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(_add(costs, ops.cast(column, "int32"), real, _Matching(*matching)))

    return ops.fori_loop(0, columns, add, tuple(matching))[-1]


def _add(costs: Tensor, column: Tensor, real: Tensor, old: _Matching) -> _Matching:
    """Assign one more column along the cheapest path, which may move others."""
    columns = ops.shape(costs)[1]
    start = ops.zeros_like(old.owner[:, 0]) + column
    is_real = _at(real, start)
    found = _search(costs, start, is_real, old)
    spare = ops.where(found.seen, found.low[:, None] - found.cost, 0.0)
    of_column = old.of_column + ops.where(old.chosen >= 0, _at_each(spare, old.chosen), 0.0)
    of_column = of_column + ops.where(_is_at(start, columns), found.low[:, None], 0.0)
    owner, chosen = _moved(found, start, is_real, old)
    keep = is_real[:, None]
    return _Matching(
        ops.where(keep, old.of_row - spare, old.of_row),
        ops.where(keep, of_column, old.of_column),
        owner,
        chosen,
    )


def _search(costs: Tensor, start: Tensor, is_real: Tensor, matching: _Matching) -> _Search:
    """Dijkstra's search over rows, by reduced costs, until each problem has reached a free row."""
    columns, rows = ops.shape(costs)[1:]

    def step(*state: Tensor) -> tuple[Tensor, ...]:
        old = _Search(*state)
        reduced = ops.take_along_axis(costs, old.column[:, None, None], axis=1)[:, 0]
        reduced = reduced - _at(matching.of_column, old.column)[:, None] - matching.of_row
        path = old.low[:, None] + reduced
        is_open, goes_on = ops.logical_not(old.seen), old.end < 0
        better = (path < old.cost) & is_open & goes_on[:, None]
        cost = ops.where(better, path, old.cost)
        before = ops.where(better, old.column[:, None], old.before)
        nearest = ops.cast(ops.argmin(ops.where(is_open, cost, float("inf")), axis=1), "int32")
        owner = _at(matching.owner, nearest)
        is_end, passes = goes_on & (owner < 0), goes_on & (owner >= 0)
        return (
            ops.where(passes, owner, old.column),
            ops.where(goes_on, _at(cost, nearest), old.low),
            cost,
            before,
            old.seen | (_is_at(nearest, rows) & passes[:, None]),
            ops.where(is_end, nearest, old.end),
        )

    zeros = ops.zeros_like(matching.of_row)
    first = _Search(
        start,
        zeros[:, 0],
        zeros + float("inf"),
        ops.zeros_like(matching.owner) - 1,
        ops.zeros_like(matching.owner, "bool"),
        ops.where(is_real, -1, 0),
    )
    state = ops.while_loop(
        lambda *state: ops.any(_Search(*state).end < 0), step, tuple(first), columns
    )
    return _Search(*state)


def _moved(found: _Search, start: Tensor, is_real: Tensor, old: _Matching) -> tuple[Tensor, Tensor]:
    """Move each column on the path to the next row."""
    columns, rows = ops.shape(old.chosen)[1], ops.shape(old.owner)[1]

    def step(owner: Tensor, chosen: Tensor, row: Tensor, goes_on: Tensor) -> tuple[Tensor, ...]:
        column = _at(found.before, row)
        left = _at(chosen, column)
        owner = ops.where(_is_at(row, rows) & goes_on[:, None], column[:, None], owner)
        chosen = ops.where(_is_at(column, columns) & goes_on[:, None], row[:, None], chosen)
        return owner, chosen, left, goes_on & (column != start)

    state = (old.owner, old.chosen, found.end, is_real)
    state = ops.while_loop(lambda *state: ops.any(state[-1]), step, state, columns)
    return state[0], state[1]


def _at(values: Tensor, places: Tensor) -> Tensor:
    """(B, K), (B,) -> (B,), one value of each row."""
    return _at_each(values, places[:, None])[:, 0]


def _at_each(values: Tensor, places: Tensor) -> Tensor:
    """(B, K), (B, L) -> (B, L); places below 0 give an arbitrary value."""
    return ops.take_along_axis(values, ops.maximum(places, 0), axis=1)


def _is_at(places: Tensor, count: int) -> Tensor:
    """(B,) -> (B, count) booleans, True at the place."""
    return places[:, None] == ops.arange(count, dtype="int32")[None]
