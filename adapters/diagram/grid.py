"""Where the parts of a picture stand: ranks from top to bottom and x coordinates, asked of Graphviz.

How this works: a link (an arrow, whichever way it points) becomes a chain of items, one in each rank between its two
blocks: one of them its label, the others bends of no size. Two questions to Graphviz: the first tells the rank of
each block and label, the second, in which every chain has an item in every rank, the x of each item. All sizes are
ours and no text goes to Graphviz, so no font matters. What is drawn between the items is `route.py`'s.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pygraphviz

__all__ = ["Area", "Block", "Grid", "Item", "Link", "arrange"]

NODE_GAP = 18
FRAME_PAD = 18
_BEND_WIDTH = 2
_lock = threading.Lock()
"""Graphviz' library keeps state of its own and is not safe in two threads at once."""


@dataclass(frozen=True, slots=True)
class Block:
    """A box with its size in pixels, in the area called `area` (blank: none)."""

    name: str
    width: int
    height: int
    area: str = ""


@dataclass(frozen=True, slots=True)
class Area:
    """A frame around blocks and other frames; its title takes room in its first rank."""

    name: str
    title_width: int
    title_height: int
    parent: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """A line from `top` to `bottom`, names of blocks, or of an area where it starts (then `port` says its side).

    Attributes:
        width, height: of its label; 0 for none.
        weight: how much it matters that it is short and straight.
        drawn: False if it only says that `bottom` belongs below `top`.
    """

    name: str
    top: str
    bottom: str
    width: int = 0
    height: int = 0
    weight: int = 1
    drawn: bool = True


@dataclass(slots=True)
class Item:
    """Something with a place of its own.

    Attributes:
        kind: `block`, `label`, `bend`, `title`, `foot` or `port`.
        x: its centre.
    """

    name: str
    kind: str
    width: int
    height: int
    area: str = ""
    rank: int = 0
    x: int = 0


@dataclass(slots=True)
class Grid:
    """The answer: items by name, the chain of each link from top to bottom, and its weight."""

    items: dict[str, Item] = field(default_factory=dict)
    chains: dict[str, list[Item]] = field(default_factory=dict)
    areas: dict[str, Area] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)

    def ranks(self) -> list[list[Item]]:
        """Return the items of each rank, from left to right."""
        rows: list[list[Item]] = [[] for _ in range(max(item.rank for item in self.items.values()) + 1)]
        for item in self.items.values():
            rows[item.rank].append(item)
        return [sorted(row, key=lambda item: item.x) for row in rows]

    def inside(self, area: str) -> list[str]:
        """Return `area` and all areas in it."""
        found = [area]
        for name in found:
            found += [other.name for other in self.areas.values() if other.parent == name]
        return found


def arrange(blocks: Iterable[Block], areas: Iterable[Area], links: Iterable[Link]) -> Grid:
    """Return where everything stands; the same for the same question."""
    grid = Grid(areas={area.name: area for area in areas})
    for block in blocks:
        grid.items[block.name] = Item(block.name, "block", block.width, block.height, block.area)
    for area in grid.areas.values():
        title, foot = f"title:{area.name}", f"foot:{area.name}"
        grid.items[title] = Item(title, "title", area.title_width, area.title_height, area.name)
        grid.items[foot] = Item(foot, "foot", _BEND_WIDTH, 0, area.name)
    known = list(links)
    grid.weights = {link.name: link.weight for link in known}
    _set_ranks(grid, known)
    drawn = [link for link in known if link.drawn]
    for link in sorted(drawn, key=lambda link: (_span(grid, link), link.name)):
        _add_label(grid, link)
    for link in drawn:
        _add_bends(grid, link)
    _set_x(grid, drawn)
    return grid


def _set_ranks(grid: Grid, links: list[Link]) -> None:
    """Ask for the rank of every block, title and foot."""
    edges = []
    for link in links:
        top, bottom = _end(grid, link.top, link), _end(grid, link.bottom, link)
        between = [link.name] if link.width else []
        ends = [top, *between, bottom]
        edges += [(upper, lower, link.weight) for upper, lower in zip(ends, ends[1:], strict=False)]
    for item in list(grid.items.values()):
        if item.kind == "block" and item.area:
            edges += [(f"title:{item.area}", item.name, 0), (item.name, f"foot:{item.area}", 0)]
    for area in grid.areas.values():
        edges.append((f"title:{area.name}", f"foot:{area.name}", 1))
        if area.parent:
            edges.append((f"title:{area.parent}", f"title:{area.name}", 1))
            edges.append((f"foot:{area.name}", f"foot:{area.parent}", 1))
    lines = [_node(item) for item in grid.items.values()]
    lines += [f"{_quoted(a)}->{_quoted(b)} [weight={weight}]" for a, b, weight in edges]
    places = _layout(lines)
    heights = sorted({y for _, y in places.values()}, reverse=True)
    for item in grid.items.values():
        item.rank = heights.index(places[item.name][1])


def _end(grid: Grid, name: str, link: Link) -> str:
    """Return the item at an end of a link: an area's end is its title if the link starts there, else its foot.

    A link that goes up to an earlier block has its area at the bottom: it leaves through the area's top as well.
    """
    if name not in grid.areas:
        return name
    inside = link.bottom in grid.items and grid.items[link.bottom].area in grid.inside(name)
    return f"title:{name}" if name == link.bottom or inside else f"foot:{name}"


def _span(grid: Grid, link: Link) -> int:
    return grid.items[_end(grid, link.bottom, link)].rank - grid.items[_end(grid, link.top, link)].rank


def _add_label(grid: Grid, link: Link) -> None:
    """Give a link's label one of the ranks between its ends: the one with the most room, rather near the top."""
    if not link.width:
        return
    top, bottom = grid.items[_end(grid, link.top, link)], grid.items[_end(grid, link.bottom, link)]
    label = Item(link.name, "label", link.width, link.height)

    def cost(rank: int) -> tuple[int, int]:
        there = [item for item in grid.items.values() if item.rank == rank]
        higher = max(0, link.height - max((item.height for item in there), default=0))
        return sum(item.width + NODE_GAP for item in there) + 4 * higher, rank

    label.rank = min(range(top.rank + 1, bottom.rank), key=cost)
    label.area = _area_at(grid, top, bottom, label.rank)
    grid.items[label.name] = label


def _add_bends(grid: Grid, link: Link) -> None:
    """Put an item of no size into every rank that a link only passes."""
    top, bottom = (_attached(grid, link, name) for name in (link.top, link.bottom))
    chain = [top]
    for rank in range(top.rank + 1, bottom.rank):
        label = grid.items.get(link.name)
        if label is not None and label.rank == rank:
            chain.append(label)
            continue
        name = f"bend:{link.name}:{rank}"
        area = _area_at(grid, top, bottom, rank)
        chain.append(grid.items.setdefault(name, Item(name, "bend", _BEND_WIDTH, 0, area, rank)))
    grid.chains[link.name] = [*chain, bottom]


def _attached(grid: Grid, link: Link, name: str) -> Item:
    """Return the item that a link is attached to; at an area a port of its own in the title's or foot's rank."""
    end = grid.items[_end(grid, name, link)]
    if name not in grid.areas:
        return end
    port = f"port:{link.name}"
    return grid.items.setdefault(port, Item(port, "port", _BEND_WIDTH, 0, name, end.rank))


def _area_at(grid: Grid, top: Item, bottom: Item, rank: int) -> str:
    """Return the area that a line between two items is in at `rank`: it enters and leaves through top and foot."""
    above = {name for name in _outwards(grid, top.area) if rank <= grid.items[f"foot:{name}"].rank}
    below = {name for name in _outwards(grid, bottom.area) if rank >= grid.items[f"title:{name}"].rank}
    both = set(_outwards(grid, top.area)) & set(_outwards(grid, bottom.area))
    inside = both if above - both and below - both else above | below | both
    return max(inside, key=lambda name: len(_outwards(grid, name)), default="")


def _outwards(grid: Grid, area: str) -> list[str]:
    chain = []
    while area:
        chain.append(area)
        area = grid.areas[area].parent
    return chain


def _set_x(grid: Grid, links: list[Link]) -> None:
    """Ask for the x of every item, now that each has its rank."""
    lines = ["newrank=true", "mclimit=8", "remincross=true", f"nodesep={NODE_GAP / 72:.4f}"]
    lines += _clusters(grid, "")
    for rank, row in enumerate(grid.ranks()):
        lines.append(f"rank{rank} [width=0.01,height=0.01]")
        lines.append(f"{{rank=same; rank{rank}; {'; '.join(_quoted(item.name) for item in row)}}}")
    lines.append("->".join(f"rank{rank}" for rank in range(len(grid.ranks()))) + " [weight=0]")
    for link in links:
        for upper, lower in zip(grid.chains[link.name], grid.chains[link.name][1:], strict=False):
            free = (upper.kind == "bend") + (lower.kind == "bend")
            weight = link.weight * (1, 2, 8)[free]
            lines.append(f"{_quoted(upper.name)}->{_quoted(lower.name)} [weight={weight}]")
    places = _layout(lines)
    for item in grid.items.values():
        item.x = round(places[item.name][0])


def _clusters(grid: Grid, parent: str) -> list[str]:
    lines = [_node(item) for item in grid.items.values() if item.area == parent]
    for place, area in enumerate(area for area in grid.areas.values() if area.parent == parent):
        lines.append(f"subgraph {_quoted(f'cluster_{parent}_{place}')} {{ margin={FRAME_PAD}")
        lines += _clusters(grid, area.name)
        lines.append("}")
    return lines


def _node(item: Item) -> str:
    return f"{_quoted(item.name)} [width={item.width / 72:.4f},height=0.1]"


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _layout(lines: list[str]) -> Mapping[str, tuple[float, float]]:
    """Run Graphviz' `dot` in this process and return the centre of every node, y growing upwards."""
    text = "\n".join(
        ["digraph {", 'node [shape=box,fixedsize=true,label=""]', "edge [arrowhead=none]", "splines=false", *lines, "}"]
    )
    with _lock:
        graph = pygraphviz.AGraph(text)
        graph.layout("dot")
        places = {str(node): str(node.attr["pos"]).split(",") for node in graph.nodes()}
        graph.close()
    return {name: (float(x), float(y)) for name, (x, y) in places.items()}
