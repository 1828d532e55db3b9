"""From a grid to lines: heights, frames, and orthogonal routes that keep off each other.

How this works: between two ranks lies a channel. A line crosses it straight down if it can; if not, it takes a
horizontal track of the channel for itself. Which line takes which track is decided by counting, for each two lines
that share some of their way, the crossings of either order. Lines pass a rank only at their own bends, where the
grid left room, so no line runs through a label or a box.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from adapters.diagram.grid import FRAME_PAD, Grid, Item
from adapters.diagram.straight import SIDE, straighten

__all__ = ["Plan", "Point", "Rect", "route"]

Point = tuple[int, int]
TRACK_GAP = 9
PORT_GAP = 12
_ROOM = 13
"""Pixels that a channel keeps free above and below its tracks; an arrow's head needs some."""
_SAME = 3
"""Two x that differ by less are made one."""


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle by its left upper corner and its size, in pixels."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        return self.x + self.width

    @property
    def bottom(self) -> int:
        return self.y + self.height


@dataclass(slots=True)
class Plan:
    """Where everything is drawn. Each wire is a list of lines, top to bottom, broken where its label stands."""

    rects: dict[str, Rect] = field(default_factory=dict)
    frames: dict[str, Rect] = field(default_factory=dict)
    wires: dict[str, list[list[Point]]] = field(default_factory=dict)
    width: int = 0
    height: int = 0


@dataclass(slots=True, eq=False)
class _Leg:
    """The part of a link between two ranks: from (`start`, bottom of a rank) to (`end`, top of the next)."""

    link: str
    start: int
    end: int
    track: int = 0

    @property
    def straight(self) -> bool:
        return self.start == self.end

    def spans(self, x: int) -> bool:
        return min(self.start, self.end) - _SAME < x < max(self.start, self.end) + _SAME

    def meets(self, other: _Leg) -> bool:
        low, high = (
            max(min(self.start, self.end), min(other.start, other.end)),
            min(max(self.start, self.end), max(other.start, other.end)),
        )
        return low <= high + PORT_GAP


def route(grid: Grid, *, margin: int) -> Plan:
    """Return lines and rectangles for everything in `grid`, `margin` pixels from every edge of the picture."""
    straighten(grid)
    ports = _ports(grid)
    channels = _channels(grid, ports)
    tops, bottoms = _rank_heights(grid, channels, margin)
    plan = Plan()
    for item in grid.items.values():
        middle = (tops[item.rank] + bottoms[item.rank]) // 2
        plan.rects[item.name] = Rect(item.x - item.width // 2, middle - item.height // 2, item.width, item.height)
    for area in grid.areas:
        _frame(grid, plan, area, tops, bottoms)
    for name, chain in grid.chains.items():
        legs = [next(leg for leg in channels[item.rank] if leg.link == name) for item in chain[:-1]]
        plan.wires[name] = _lines(grid, plan, chain, legs, bottoms)
    _shift(plan, margin)
    return plan


def _ports(grid: Grid) -> dict[tuple[str, str, bool], int]:
    """Return the x at which each link leaves (True) or reaches (False) an item, near the x of the item beyond."""
    wishes: dict[tuple[str, bool], list[tuple[int, str]]] = {}
    for link, chain in grid.chains.items():
        for upper, lower in zip(chain, chain[1:], strict=False):
            wishes.setdefault((upper.name, True), []).append((lower.x, link))
            wishes.setdefault((lower.name, False), []).append((upper.x, link))
    ports: dict[tuple[str, str, bool], int] = {}
    for (name, down), wanted in wishes.items():
        item = grid.items[name]
        links = [link for _, link in sorted(wanted)]
        places = [item.x] * len(links)
        if item.kind == "block":
            reach = max(0, item.width // 2 - SIDE)
            weights = [grid.weights[link] ** 6 for link in links]
            places = _spread([x for x, _ in sorted(wanted)], weights, item.x - reach, item.x + reach)
        ports.update({(name, link, down): x for link, x in zip(links, places, strict=True)})
    return ports


def _spread(wanted: list[int], weights: list[int], left: int, right: int) -> list[int]:
    """Return places between `left` and `right`, in order and a gap apart, as near as can be to the wanted ones.

    Places that come too close are moved together, the heavier ones less (isotonic regression).
    """
    gap = min(PORT_GAP, (right - left) // max(1, len(wanted) - 1))
    pools: list[tuple[float, int, int]] = []
    for count, (x, weight) in enumerate(zip(wanted, weights, strict=True)):
        pool = (float(max(left, min(x, right)) - gap * count), weight, 1)
        while pools and pools[-1][0] > pool[0]:
            mean, heavy, size = pools.pop()
            total = heavy + pool[1]
            pool = ((mean * heavy + pool[0] * pool[1]) / total, total, size + pool[2])
        pools.append(pool)
    places = [mean for mean, _, size in pools for _ in range(size)]
    last = right - gap * (len(wanted) - 1)
    return [round(max(left, min(place, last))) + gap * count for count, place in enumerate(places)]


def _channels(grid: Grid, ports: dict[tuple[str, str, bool], int]) -> list[list[_Leg]]:
    """Return the legs below each rank, each with its track."""
    channels: list[list[_Leg]] = [[] for _ in grid.ranks()]
    for link, chain in grid.chains.items():
        for upper, lower in zip(chain, chain[1:], strict=False):
            start, end = ports[upper.name, link, True], ports[lower.name, link, False]
            channels[upper.rank].append(_Leg(link, start, end))
    for legs in channels:
        _set_tracks([leg for leg in legs if not leg.straight])
    return channels


def _set_tracks(legs: list[_Leg]) -> None:
    """Number the tracks from the top: legs that share no part of their way may share a track."""
    order: list[_Leg] = []
    for leg in sorted(legs, key=lambda leg: (abs(leg.end - leg.start), leg.start, leg.end)):
        _insert(order, leg)
    for leg in list(order) * 2:
        order.remove(leg)
        _insert(order, leg)
    for place, leg in enumerate(order):
        leg.track = 1 + max((other.track for other in order[:place] if leg.meets(other)), default=-1)


def _insert(order: list[_Leg], leg: _Leg) -> None:
    """Put `leg` where it causes the fewest crossings with those that are in order already."""
    costs = [
        sum(_crossings(above, leg) for above in order[:place]) + sum(_crossings(leg, below) for below in order[place:])
        for place in range(len(order) + 1)
    ]
    order.insert(costs.index(min(costs)), leg)


def _crossings(above: _Leg, below: _Leg) -> int:
    """Return how bad it is to have `above` over `below`: its way down and the other's way down to it may cross."""
    if not above.meets(below):
        return 0
    overlaid = 200 * (abs(above.end - below.start) < _SAME)
    return below.spans(above.end) + above.spans(below.start) + overlaid


def _rank_heights(grid: Grid, channels: list[list[_Leg]], margin: int) -> tuple[list[int], list[int]]:
    """Return the y of each rank's upper and lower edge."""
    opening = {grid.items[f"title:{area}"].rank for area in grid.areas}
    closing = {grid.items[f"foot:{area}"].rank for area in grid.areas}
    tops, bottoms, y = [], [], margin
    for rank, row in enumerate(grid.ranks()):
        y += FRAME_PAD * (rank in opening)
        tops.append(y)
        y += max(item.height for item in row)
        bottoms.append(y)
        bent = [leg.track for leg in channels[rank] if not leg.straight]
        y += FRAME_PAD * (rank in closing)
        y += 2 * _ROOM + TRACK_GAP * max(bent, default=-1) if bent else _ROOM + 6
    return tops, bottoms


def _frame(grid: Grid, plan: Plan, area: str, tops: list[int], bottoms: list[int]) -> None:
    """Draw a frame around all that is in an area, a pad wider than the widest thing and each frame in it."""
    left, right = [], []
    for item in grid.items.values():
        chain, name = [], item.area
        while name:
            chain.append(name)
            name = grid.areas[name].parent
        if area in chain:
            pad = FRAME_PAD * (chain.index(area) + 1)
            left.append(plan.rects[item.name].x - pad)
            right.append(plan.rects[item.name].right + pad)
    top = tops[grid.items[f"title:{area}"].rank] - FRAME_PAD // 2
    bottom = bottoms[grid.items[f"foot:{area}"].rank] + FRAME_PAD // 2
    plan.frames[area] = Rect(min(left), top, max(right) - min(left), bottom - top)


def _lines(grid: Grid, plan: Plan, chain: list[Item], legs: list[_Leg], bottoms: list[int]) -> list[list[Point]]:
    """Return the lines of a link: through its bends, broken at its label, with a corner at each end of a track."""
    lines: list[list[Point]] = []
    line = [(legs[0].start, _edge(plan, chain[0], upper=False))]
    for leg, upper, lower in zip(legs, chain, chain[1:], strict=False):
        if not leg.straight:
            y = bottoms[upper.rank] + _ROOM + TRACK_GAP * leg.track + FRAME_PAD * _closes(grid, upper.rank)
            line += [(leg.start, y), (leg.end, y)]
        if lower.kind == "bend":
            continue
        line.append((leg.end, _edge(plan, lower, upper=True)))
        lines.append(line)
        line = [(leg.end, _edge(plan, lower, upper=False))]
    return lines


def _closes(grid: Grid, rank: int) -> bool:
    return any(grid.items[f"foot:{area}"].rank == rank for area in grid.areas)


def _edge(plan: Plan, item: Item, *, upper: bool) -> int:
    """Return the y where a line meets an item: a port lies on the upper or lower edge of its frame."""
    if item.kind != "port":
        return plan.rects[item.name].y if upper else plan.rects[item.name].bottom
    frame, y = plan.frames[item.area], plan.rects[item.name].y
    return frame.y if abs(y - frame.y) < abs(y - frame.bottom) else frame.bottom


def _shift(plan: Plan, margin: int) -> None:
    """Move everything so that the picture begins `margin` pixels from its left edge, and measure it."""
    xs = [x for lines in plan.wires.values() for line in lines for x, _ in line]
    rects = [*plan.rects.values(), *plan.frames.values()]
    left = min([rect.x for rect in rects] + xs) - margin
    plan.rects = {name: _moved(rect, left) for name, rect in plan.rects.items()}
    plan.frames = {name: _moved(rect, left) for name, rect in plan.frames.items()}
    plan.wires = {name: [[(x - left, y) for x, y in line] for line in lines] for name, lines in plan.wires.items()}
    plan.width = max([rect.right for rect in rects] + xs) - left + margin
    plan.height = max(_bottoms(rects)) + margin


def _moved(rect: Rect, left: int) -> Rect:
    return Rect(rect.x - left, rect.y, rect.width, rect.height)


def _bottoms(rects: Iterable[Rect]) -> list[int]:
    return [rect.bottom for rect in rects]
