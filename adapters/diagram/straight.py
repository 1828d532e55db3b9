"""Fewer corners: bends and labels move under each other where their neighbours and the frames leave room."""

from __future__ import annotations

from adapters.diagram.grid import FRAME_PAD, Grid, Item

__all__ = ["SIDE", "nearest", "straighten"]

SIDE = 10
"""Pixels that a line keeps from the corner of a box."""
_PASSES, _REACH, _CLOSE = 4, 30, 10


def straighten(grid: Grid) -> None:
    """Move what may move, at most so far that a small step in a line disappears."""
    ranks = grid.ranks()
    spans = {area: _span(grid, area) for area in grid.areas}
    for _ in range(_PASSES):
        for chain in grid.chains.values():
            for before, item, after in zip(chain, chain[1:], chain[2:], strict=False):
                low, high = _room(grid, ranks[item.rank], spans, item)
                wishes = sorted((nearest(before, item), nearest(after, item)), key=lambda x: abs(x - item.x))
                good = [x for x in wishes if x != item.x and low <= x <= high]
                item.x = good[0] if good else item.x


def nearest(end: Item, item: Item) -> int:
    """Return the x at `end` from which a line would run straight to `item`, or nearly so."""
    reach = max(0, end.width // 2 - SIDE) if end.kind == "block" else 0
    return max(end.x - reach, min(item.x, end.x + reach))


def _room(grid: Grid, rank: list[Item], spans: dict[str, tuple[int, int]], item: Item) -> tuple[int, int]:
    """Return the lowest and highest x that `item` may have: between its neighbours, on its side of every frame."""
    half = (item.width + 1) // 2
    low, high = item.x - _REACH, item.x + _REACH
    place = rank.index(item)
    for other in rank[:place]:
        low = max(low, other.x + (other.width + 1) // 2 + half + _CLOSE)
    for other in rank[place + 1 :]:
        high = min(high, other.x - (other.width + 1) // 2 - half - _CLOSE)
    for area, (left, right) in spans.items():
        if item.area in grid.inside(area):
            low, high = max(low, left + half), min(high, right - half)
        elif grid.items[f"title:{area}"].rank <= item.rank <= grid.items[f"foot:{area}"].rank:
            pad = FRAME_PAD * _depth(grid, area) + _CLOSE + half
            if item.x > right:
                low = max(low, right + pad)
            else:
                high = min(high, left - pad)
    return low, high


def _span(grid: Grid, area: str) -> tuple[int, int]:
    """Return the x of the left and right edge of all that is in an area."""
    names = grid.inside(area)
    items = [item for item in grid.items.values() if item.area in names]
    return min(item.x - item.width // 2 for item in items), max(item.x + item.width // 2 for item in items)


def _depth(grid: Grid, area: str) -> int:
    """Return how many frames lie one in the other in `area`, itself included."""
    return 1 + max((_depth(grid, name) for name, other in grid.areas.items() if other.parent == area), default=0)
