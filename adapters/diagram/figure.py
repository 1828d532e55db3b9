"""From a sketch to places: sizes of boxes and labels, which way each arrow runs, and the plan that follows."""

from __future__ import annotations

from dataclasses import dataclass, field

from adapters.diagram.faces import Face, box_face, frame_face, label_face
from adapters.diagram.grid import Area, Block, Link, arrange
from adapters.diagram.ids import element_id
from adapters.diagram.route import PORT_GAP, Plan, route
from adapters.diagram.theme import FAMILIES
from adapters.diagram.trail import Trail
from fsm.diagram.sketch import ANY, Arrow, Sketch

__all__ = ["Figure", "figure"]

_MARGIN = 24
_START = 14
_MAIN_WEIGHT = 6


@dataclass(slots=True)
class Figure:
    """A sketch with everything in its place.

    Attributes:
        faces: what is written, by name of box, of arrow and `title:<frame>`.
        arrows: by the id of their element.
        upwards: ids of those that point up.
        families: the colour of each box.
        main: the arrows that lead from one state to the next in reading order.
    """

    sketch: Sketch
    faces: dict[str, Face] = field(default_factory=dict)
    arrows: dict[str, Arrow] = field(default_factory=dict)
    upwards: set[str] = field(default_factory=set)
    families: dict[str, str] = field(default_factory=dict)
    main: set[tuple[str, str]] = field(default_factory=set)
    plan: Plan = field(default_factory=Plan)

    def starts_at_frame(self, arrow: Arrow) -> bool:
        return any(frame.name == arrow.source for frame in self.sketch.frames)

    def kind(self, arrow: Arrow) -> str:
        """Return the CSS class, with a blank before it, that an arrow's part in a call gives it."""
        if self.starts_at_frame(arrow) or arrow.source == ANY:
            return " outer"
        return " main" if (arrow.source, arrow.target) in self.main else ""


def figure(sketch: Sketch, trail: Trail | None = None) -> Figure:
    """Return where everything of `sketch` is drawn."""
    drawn = Figure(sketch)
    order = _order(sketch)
    names = [box.name for box in sketch.boxes if box.name != ANY]
    drawn.main = set(zip(names, names[1:], strict=False))
    links = [_link(drawn, arrow, order, trail) for arrow in sketch.arrows]
    for arrow, link in zip(sketch.arrows, links, strict=True):
        drawn.arrows[link.name] = arrow
        if link.top == arrow.target:
            drawn.upwards.add(link.name)
    links += _silent(sketch, order)
    links.append(Link("start", "start:", sketch.initial, weight=_MAIN_WEIGHT))
    around = _frames(sketch, sketch.box(sketch.initial).frame)
    links += [Link("silent:start", "start:", frame, drawn=False) for frame in around[-1:]]
    blocks = [Block("start:", _START, _START), *_blocks(drawn, links)]
    areas = []
    for frame in sketch.frames:
        face = drawn.faces[f"title:{frame.name}"] = frame_face(frame)
        areas.append(Area(frame.name, face.width, face.height, frame.parent))
    _colour(drawn)
    drawn.plan = route(arrange(blocks, areas, links), margin=_MARGIN)
    return drawn


def _order(sketch: Sketch) -> dict[str, int]:
    """Return the place of each box from top to bottom: what is in one frame stays together."""
    place = {box.name: count for count, box in enumerate(sketch.boxes)}
    parents = {frame.name: frame.parent for frame in sketch.frames}
    first: dict[str, int] = {}
    ways: dict[str, list[str]] = {}
    for box in sketch.boxes:
        ways[box.name] = []
        name = box.frame
        while name:
            first.setdefault(name, place[box.name])
            ways[box.name].insert(0, name)
            name = parents[name]
    place[ANY] = -1
    ranked = sorted(place, key=lambda name: ([first[frame] for frame in ways.get(name, [])] + [place[name]], name))
    return {name: count for count, name in enumerate(ranked)}


def _link(drawn: Figure, arrow: Arrow, order: dict[str, int], trail: Trail | None) -> Link:
    name = _id(drawn, arrow)
    ends = (arrow.source, arrow.target)
    steps, events = (trail.steps.get(ends, ()), trail.events.get(ends, ())) if trail is not None else ((), ())
    face = drawn.faces[name] = label_face(arrow, steps, events)
    top, bottom = arrow.source, arrow.target
    members = [order[box.name] for box in drawn.sketch.boxes if top in _frames(drawn.sketch, box.frame)]
    if order[bottom] < min(members, default=order.get(top, 0)):
        top, bottom = bottom, top
    weight = _MAIN_WEIGHT if (arrow.source, arrow.target) in drawn.main else 1
    return Link(name, top, bottom, face.width, face.height, weight)


def _id(drawn: Figure, arrow: Arrow) -> str:
    """Return the id of an arrow's element; the number tells two whose ends are spelled alike."""
    number = 1
    while element_id("edge", arrow.source, arrow.target, str(number)) in drawn.faces:
        number += 1
    return element_id("edge", arrow.source, arrow.target, str(number))


def _frames(sketch: Sketch, name: str) -> list[str]:
    """Return the frame called `name` and those around it."""
    parents = {frame.name: frame.parent for frame in sketch.frames}
    chain = []
    while name:
        chain.append(name)
        name = parents[name]
    return chain


def _silent(sketch: Sketch, order: dict[str, int]) -> list[Link]:
    """Return a link that is not drawn for each time-out, so that what only silence leads to stands below as well."""
    pairs = {(box.name, note.target) for box in sketch.boxes for note in box.notes if note.target}
    links = []
    for source, target in sorted(pairs):
        if source != target:
            top, bottom = sorted((source, target), key=order.__getitem__)
            links.append(Link(f"silent:{source}:{target}", top, bottom, drawn=False))
    return links


def _blocks(drawn: Figure, links: list[Link]) -> list[Block]:
    """Return the boxes, wide enough for their lines and for every arrow on their upper or lower side."""
    blocks = []
    for box in drawn.sketch.boxes:
        face = drawn.faces[box.name] = box_face(box)
        above = sum(link.bottom == box.name and link.drawn for link in links)
        below = sum(link.top == box.name and link.drawn for link in links)
        width = max(face.width, 20 + PORT_GAP * max(above, below), 96)
        blocks.append(Block(box.name, width + width % 2, face.height + 8 * box.final, box.frame))
    return blocks


def _colour(drawn: Figure) -> None:
    turn = 0
    for box in drawn.sketch.boxes:
        if box.name == ANY:
            drawn.families[box.name] = "any-state"
        elif box.final or box.name == drawn.sketch.initial:
            drawn.families[box.name] = "slate"
        else:
            drawn.families[box.name] = FAMILIES[turn % len(FAMILIES)]
            turn += 1
