"""The cheapest one-to-one assignment as operations of the backend, for XLA."""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

__all__ = ["assign"]


class _Matching(NamedTuple):
    """What is assigned so far, in B problems at once.

    Attributes:
        of_row: (B, N), dual variables of the rows.
        of_column: (B, M), dual variables of the columns.
        owner: (B, N), the column of each row, -1 for none.
        chosen: (B, M), the row of each column, -1 for none.
    """

    of_row: Any
    of_column: Any
    owner: Any
    chosen: Any


class _Search(NamedTuple):
    """The search for the cheapest way from a column to a free row.

    Attributes:
        column: (B,), whose row was reached last.
        low: (B,), what the way there costs.
        cost: (B, N), of the cheapest way to each row that is known.
        before: (B, N), the column from which that way comes.
        seen: (B, N), rows whose way is final and goes on to their column.
        end: (B,), the free row, -1 as long as there is none.
    """

    column: Any
    low: Any
    cost: Any
    before: Any
    seen: Any
    end: Any


def assign(cost: Any, real: Any) -> Any:
    """Give each column a row of its own, so that the sum of the costs is least.

    It takes about M² steps over N numbers. Nothing is checked: where a cost is not finite, the
    answer means nothing, but there is one.

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

    def add(column: Any, matching: Any) -> Any:
        return tuple(_add(costs, ops.cast(column, "int32"), real, _Matching(*matching)))

    return ops.fori_loop(0, columns, add, tuple(matching))[-1]


def _add(costs: Any, column: Any, real: Any, old: _Matching) -> _Matching:
    """Assign one column more, the cheapest way, which may move others."""
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


def _search(costs: Any, start: Any, is_real: Any, matching: _Matching) -> _Search:
    """Dijkstra's search over rows, by reduced costs, until each problem has met a free row."""
    columns, rows = ops.shape(costs)[1:]

    def step(*state: Any) -> tuple[Any, ...]:
        old = _Search(*state)
        reduced = ops.take_along_axis(costs, old.column[:, None, None], axis=1)[:, 0]
        reduced = reduced - _at(matching.of_column, old.column)[:, None] - matching.of_row
        way = old.low[:, None] + reduced
        is_open, goes_on = ops.logical_not(old.seen), old.end < 0
        better = (way < old.cost) & is_open & goes_on[:, None]
        cost = ops.where(better, way, old.cost)
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


def _moved(found: _Search, start: Any, is_real: Any, old: _Matching) -> tuple[Any, Any]:
    """The assignment after each column on the way has moved on to the next row."""
    columns, rows = ops.shape(old.chosen)[1], ops.shape(old.owner)[1]

    def step(owner: Any, chosen: Any, row: Any, goes_on: Any) -> tuple[Any, ...]:
        column = _at(found.before, row)
        left = _at(chosen, column)
        owner = ops.where(_is_at(row, rows) & goes_on[:, None], column[:, None], owner)
        chosen = ops.where(_is_at(column, columns) & goes_on[:, None], row[:, None], chosen)
        return owner, chosen, left, goes_on & (column != start)

    state = (old.owner, old.chosen, found.end, is_real)
    state = ops.while_loop(lambda *state: ops.any(state[-1]), step, state, columns)
    return state[0], state[1]


def _at(values: Any, places: Any) -> Any:
    """(B, K), (B,) -> (B,), one of each line."""
    return _at_each(values, places[:, None])[:, 0]


def _at_each(values: Any, places: Any) -> Any:
    """(B, K), (B, L) -> (B, L); places below 0 give any value."""
    return ops.take_along_axis(values, ops.maximum(places, 0), axis=1)


def _is_at(places: Any, count: int) -> Any:
    """(B,) -> (B, count) booleans, True at the place."""
    return places[:, None] == ops.arange(count, dtype="int32")[None]
