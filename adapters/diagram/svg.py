"""A chart as an SVG picture of our own drawing: the same bytes on every machine.

Element ids are stable, so that a page may animate the picture: `state-listening`, `frame-live`,
`edge-listening-intent-1`, `timer-greeting-greeting`, `invoke-intent-detect`. Colours are CSS classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from adapters.diagram.faces import ICON_WIDTH, Face, Run, TextLine
from adapters.diagram.figure import Figure, figure
from adapters.diagram.ids import element_id
from adapters.diagram.route import Point, Rect
from adapters.diagram.theme import ICONS, LEGEND, LEGEND_CHANGES, LEGEND_TRAIL, STYLE
from adapters.diagram.trail import Trail, trail
from fsm.chart import Chart
from fsm.diagram import RENDERER, Difference
from fsm.diagram.sketch import ANY, Arrow, Box, Frame, Mark, sketch

__all__ = ["Step", "svg"]

Step = tuple[str, str, str]
"""State, event and the state that it led to."""
_CORNER = 7
_MARKS: dict[Mark, str] = {"": "", "+": " added", "-": " removed", "~": " changed"}


def svg(chart: Chart, *, visited: Sequence[Step] | None = None, difference: Difference | None = None) -> str:
    """Return the picture of `chart`.

    Args:
        visited: a call's steps in order: its path is coloured and numbered, everything else grey.
        difference: against an older chart: what was added is green, removed red, changed orange.
    """
    seen = difference.sketch if difference is not None else sketch(chart)
    path = trail(seen, visited) if visited is not None else None
    drawing = figure(path.sketch if path is not None else seen, path)
    return _Drawing(chart, drawing, path, difference is not None).text()


@dataclass(frozen=True, slots=True)
class _Drawing:
    """One picture being written."""

    chart: Chart
    figure: Figure
    trail: Trail | None
    compared: bool

    def text(self) -> str:
        shape, plan = self.figure.sketch, self.figure.plan
        signs = [*LEGEND, *(LEGEND_CHANGES if self.compared else ()), *(LEGEND_TRAIL if self.trail else ())]
        width, height = max(plan.width, 830), plan.height + 36 + 24 * -(-len(signs) // 3)
        stamp = f'data-chart={quoteattr(self.chart.id)} data-hash="{self.chart.hash}" data-renderer="{RENDERER}"'
        title = f"{shape.title}: the life of a call"
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" role="img" aria-labelledby="title desc" {stamp}>',
            f'<title id="title">{escape(title)}</title>',
            f'<desc id="desc">{escape(_description(self.figure))}</desc>',
            f"<style>{escape(STYLE)}</style>",
            f'<rect width="{width}" height="{height}" fill="#fff"/>',
            *(self._frame(frame) for frame in shape.frames),
            *(self._edge(name, arrow) for name, arrow in self.figure.arrows.items()),
            self._start(),
            *(self._state(box) for box in shape.boxes),
            *_legend(plan.height, signs),
            "</svg>",
        ]
        return "\n".join(parts) + "\n"

    def _frame(self, frame: Frame) -> str:
        rect = self.figure.plan.frames[frame.name]
        face, place = self.figure.faces[f"title:{frame.name}"], self.figure.plan.rects[f"title:{frame.name}"]
        classes = f"frame{_MARKS[frame.mark]}"
        return (
            f'<g id={quoteattr(element_id("frame", frame.name))} class="{classes}">{_tip(frame)}'
            f"{_rect(rect, 12)}{self._lines(face, place, centred=False)}</g>"
        )

    def _state(self, box: Box) -> str:
        rect, face = self.figure.plan.rects[box.name], self.figure.faces[box.name]
        classes = f"state {self.figure.families[box.name]}{_MARKS[box.mark]}{self._seen(self._count(box.name))}"
        name = "any-state" if box.name == ANY else element_id("state", box.name)
        inner = Rect(rect.x + 4, rect.y + 4, rect.width - 8, rect.height - 8)
        border = _rect(inner, 6, "final") if box.final else ""
        return (
            f'<g id={quoteattr(name)} class="{classes}">{_tip(box)}{_rect(rect, 10)}{border}'
            f"{self._lines(face, rect)}{self._badge(box.name, rect)}</g>"
        )

    def _seen(self, taken: object) -> str:
        if self.trail is None:
            return ""
        return " visited" if taken else " unvisited"

    def _count(self, key: str) -> int:
        return self.trail.counts.get(key, 0) if self.trail is not None else 0

    def _steps(self, arrow: Arrow) -> Sequence[int]:
        return self.trail.steps.get((arrow.source, arrow.target), ()) if self.trail is not None else ()

    def _badge(self, name: str, rect: Rect) -> str:
        count = self._count(name)
        if not count:
            return ""
        x, y = rect.right - 1, rect.y + rect.height // 2
        return (
            f'<circle class="badge" cx="{x}" cy="{y}" r="10"/><text class="badge-text" '
            f'x="{x}" y="{y + 4}" text-anchor="middle">{count}</text>'
        )

    def _edge(self, name: str, arrow: Arrow) -> str:
        lines = self.figure.plan.wires[name]
        up = name in self.figure.upwards
        events = " ".join(line.event for line in arrow.lines)
        tip = "\n".join(row for line in arrow.lines for row in line.rows)
        classes = f"edge{self.figure.kind(arrow)}{_MARKS[arrow.mark]}{self._seen(self._steps(arrow))}"
        end, before = (lines[0][0], lines[0][1]) if up else (lines[-1][-1], lines[-1][-2])
        label = self.figure.plan.rects[name]
        port = _port(lines[-1][-1] if up else lines[0][0]) if self.figure.starts_at_frame(arrow) else ""
        return (
            f'<g id={quoteattr(name)} class="{classes}" data-source={quoteattr(arrow.source)} '
            f"data-target={quoteattr(arrow.target)} data-events={quoteattr(events)}>"
            f"<title>{escape(tip)}</title>{''.join(_path(line) for line in lines)}{_head(before, end)}{port}"
            f'<rect class="label-box" {_place(label)}/>{self._lines(self.figure.faces[name], label)}</g>'
        )

    def _start(self) -> str:
        (line,) = self.figure.plan.wires["start"]
        x, y = line[0]
        return (
            f'<g id="initial" class="edge"><title>a call begins</title><circle class="initial" cx="{x}" cy="{y - 7}" '
            f'r="7"/>{_path(line)}{_head(line[-2], line[-1])}</g>'
        )

    def _lines(self, face: Face, rect: Rect, *, centred: bool = True) -> str:
        y = rect.y + (rect.height - sum(line.height for line in face.lines)) // 2
        parts = []
        for line in face.lines:
            x = rect.x + (rect.width - line.width) // 2 if centred else rect.x + 4
            parts.append(self._line(line, x, y))
            y += line.height
        return "".join(parts)

    def _line(self, line: TextLine, x: int, top: int) -> str:
        icon = ""
        if line.icon:
            icon = ICONS[line.icon].format(x=x + 6, y=top + 8)
            x += ICON_WIDTH
        base = top + line.height - (5 if line.height > 16 else 4)
        width = round(sum(run.width for run in line.runs), 1)
        spans = "".join(_span(run) for run in line.runs if run.text)
        text = f'<text x="{x}" y="{base}" textLength="{width}" lengthAdjust="spacingAndGlyphs">{spans}</text>'
        seen = " visited" if self._count(line.key) else ""
        key = f" id={quoteattr(element_id(line.key))}" if line.key else ""
        tip = f"<title>{escape(line.tip)}</title>" if line.tip else ""
        return f'<g{key} class="line{_MARKS[line.mark]}{seen}">{tip}{icon}{text}</g>'


def _span(run: Run) -> str:
    return f'<tspan class="{run.look}">{escape(run.text)}</tspan>' if run.look != "plain" else escape(run.text)


def _tip(part: Box | Frame) -> str:
    signs = {"timer": "⏱", "invoke": "⚙"}
    lines = [part.name, part.description, *(f"{signs[note.kind]} {note.text}" for note in part.notes), *part.details]
    return f"<title>{escape(chr(10).join(line for line in lines if line))}</title>"


def _place(rect: Rect) -> str:
    return f'x="{rect.x}" y="{rect.y}" width="{rect.width}" height="{rect.height}"'


def _rect(rect: Rect, radius: int, classes: str = "") -> str:
    kind = f'class="{classes}" ' if classes else ""
    return f'<rect {kind}{_place(rect)} rx="{radius}"/>'


def _port(at: Point) -> str:
    return f'<circle class="port" cx="{at[0]}" cy="{at[1]}" r="3.5"/>'


def _path(line: list[Point]) -> str:
    """Return a line with its corners rounded."""
    words = [f"M{line[0][0]} {line[0][1]}"]
    for before, corner, after in zip(line, line[1:], line[2:], strict=False):
        radius = min(_CORNER, _distance(before, corner) // 2, _distance(corner, after) // 2)
        (ax, ay), (bx, by) = _towards(corner, before, radius), _towards(corner, after, radius)
        words.append(f"L{ax} {ay}Q{corner[0]} {corner[1]} {bx} {by}")
    words.append(f"L{line[-1][0]} {line[-1][1]}")
    return f'<path d="{"".join(words)}"/>'


def _distance(one: Point, other: Point) -> int:
    return abs(one[0] - other[0]) + abs(one[1] - other[1])


def _towards(start: Point, end: Point, length: int) -> Point:
    """Return the point `length` from `start` on the way to `end`, straight up, down or aside."""
    step = [(b > a) - (b < a) for a, b in zip(start, end, strict=True)]
    return start[0] + step[0] * length, start[1] + step[1] * length


def _head(before: Point, end: Point) -> str:
    """Return an arrow's head at `end`; lines end upwards or downwards."""
    x, y = end
    back = -9 if before[1] < y else 9
    return f'<path class="head" d="M{x} {y}L{x - 5} {y + back}L{x + 5} {y + back}Z"/>'


def _legend(top: int, signs: Sequence[tuple[str, str]]) -> list[str]:
    """Return the meaning of each sign, in rows of three below the picture."""
    parts = ['<g class="legend">']
    columns = (24, 222, 436)
    for place, (kind, words) in enumerate(signs):
        x, y = columns[place % 3], top + 24 + 24 * (place // 3)
        parts.append(_sample(kind, x, y))
        parts.append(f'<text x="{x + 34}" y="{y + 4}">{escape(words)}</text>')
    return [*parts, "</g>"]


def _sample(kind: str, x: int, y: int) -> str:
    if kind in ICONS:
        return ICONS[kind].format(x=x + 22, y=y)
    classes = "edge" if kind == "plain" else f"edge {kind}"
    head = f'<path class="head" d="M{x + 28} {y}L{x + 20} {y - 4}L{x + 20} {y + 4}Z"/>'
    return f'<g class="{classes}"><path d="M{x} {y}H{x + 22}"/>{head}</g>'


def _description(drawing: Figure) -> str:
    """Return the picture in words, for who cannot see it."""
    names = [box.name for box in drawing.sketch.boxes if box.name != ANY]
    ways = [
        f"{arrow.source} to {arrow.target} on {', '.join(line.text for line in arrow.lines)}"
        for arrow in drawing.arrows.values()
    ]
    return f"States: {', '.join(names)}. A call begins in {drawing.sketch.initial}. " + ". ".join(ways)
