"""What is to be seen of a chart: boxes, frames and arrows, before any language of pictures.

How this works: a row counts where it can happen. A row of a compound state that its children override everywhere
but in one is an arrow of that one child; one that most of the children leave alone starts at the frame; one of the
root hangs on a box of its own, `any state`. Rows between the same two ends share one arrow. A row back to its own
state, a time-out and an invoke are lines inside the box. A row without target is no arrow: the box's tooltip has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from fsm.chart import Chart, Row, State
from fsm.diagram.words import action_words, duration, leaf_of, row_words, short_guard

__all__ = ["ANY", "Arrow", "Box", "Frame", "Line", "Mark", "Note", "Sketch", "sketch"]

ANY = "any state"
Mark = Literal["", "+", "-", "~"]
"""Whether something was added, removed or changed against an older chart."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an arrow's label: an event, with the condition under which it leads there.

    Attributes:
        guard: the condition; `else` where another row of the same event comes first; blank for always.
        was: the older wording of what changed, if it shows.
        rows: the rows it stands for, spelled out with their actions.
    """

    event: str
    guard: str = ""
    mark: Mark = ""
    was: str = ""
    rows: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return f"{self.event} [{self.guard}]" if self.guard else self.event


@dataclass(frozen=True, slots=True)
class Note:
    """A line inside a box: a time-out or a running service.

    Attributes:
        key: what tells it from its neighbours across two versions of a chart.
        target: the state a time-out leads to.
        was: the older wording, if it changed.
    """

    kind: Literal["timer", "invoke"]
    key: str
    text: str
    target: str = ""
    mark: Mark = ""
    was: str = ""


@dataclass(frozen=True, slots=True)
class Box:
    """A state a call can be in, or `any state`."""

    name: str
    frame: str = ""
    final: bool = False
    description: str = ""
    notes: tuple[Note, ...] = ()
    loops: tuple[Line, ...] = ()
    """Events that leave the state and enter it again."""
    details: tuple[str, ...] = ()
    """Everything that shows only in the tooltip."""
    mark: Mark = ""


@dataclass(frozen=True, slots=True)
class Frame:
    """A compound state, drawn around its children."""

    name: str
    parent: str = ""
    description: str = ""
    notes: tuple[Note, ...] = ()
    details: tuple[str, ...] = ()
    mark: Mark = ""


@dataclass(frozen=True, slots=True)
class Arrow:
    """All that leads from one end to another; `source` is a box, a frame or `any state`."""

    source: str
    target: str
    lines: tuple[Line, ...]

    @property
    def mark(self) -> Mark:
        """What became of the arrow as a whole; changed if only some of its lines did."""
        marks = {line.mark for line in self.lines}
        if len(marks) == 1:
            return marks.pop()
        return "~"


@dataclass(frozen=True, slots=True)
class Sketch:
    """A chart as it is drawn. Boxes stand in reading order, from the initial state on."""

    title: str
    initial: str
    boxes: tuple[Box, ...]
    frames: tuple[Frame, ...]
    arrows: tuple[Arrow, ...]

    def box(self, name: str) -> Box:
        return next(box for box in self.boxes if box.name == name)


def sketch(chart: Chart) -> Sketch:
    """Return what is to be seen of `chart`."""
    arrows = _arrows(chart)
    boxes = [_box(chart, name, arrows) for name in _reading_order(chart)]
    root_notes = _notes(chart, chart.root)
    if root_notes or any(arrow.source == ANY for arrow in arrows):
        boxes.append(Box(ANY, notes=root_notes, description="Whatever a call is doing.", details=_details(chart.root)))
    frames = [_frame(chart, state) for state in chart.root.walk() if state.compound and state is not chart.root]
    drawn = tuple(arrow for arrow in arrows if arrow.source != arrow.target)
    return Sketch(chart.id, leaf_of(chart, chart.root.name), tuple(boxes), tuple(frames), drawn)


def _arrows(chart: Chart) -> list[Arrow]:
    """Merge every line that leads somewhere by its two ends, in document order."""
    merged: dict[tuple[str, str], list[Line]] = {}
    for state in chart.root.walk():
        for event, rows in state.on.items():
            for line, target in _lines(chart, rows):
                for source in _sources(chart, state, event, target):
                    merged.setdefault((source, target), []).append(line)
    return [Arrow(source, target, tuple(lines)) for (source, target), lines in merged.items()]


def _lines(chart: Chart, rows: tuple[Row, ...]) -> Iterator[tuple[Line, str]]:
    """Yield a line and its target for each row that goes somewhere.

    Rows that follow each other to the same state, the last without a guard, differ only in their actions: one line.
    """
    ends = [None if row.target is None else leaf_of(chart, row.target) for row in rows]
    first = 0
    while first < len(rows):
        target, last = ends[first], first
        if target is None:
            first += 1
            continue
        stop = next((i for i in range(first, len(rows)) if ends[i] != target or not rows[i].guards), len(rows))
        if stop < len(rows) and ends[stop] == target:
            last = stop
        guard = short_guard(rows[last])
        if not guard and any(row.target or row.actions for row in rows[:first]):
            guard = "else"
        yield Line(rows[first].event, guard, rows=tuple(row_words(row) for row in rows[first : last + 1])), target
        first = last + 1


def _sources(chart: Chart, state: State, event: str, target: str) -> list[str]:
    """Return where the arrow of a row of `state` starts: at the state, at its frame, or at some of its children."""
    if not state.compound:
        return [state.name]
    inside = [leaf.name for leaf in state.walk() if not leaf.compound and not leaf.final]
    holders = [name for name in inside if not _overridden(chart, name, state.name, event)]
    if len(holders) * 2 <= len(inside):
        return holders
    return [ANY if state is chart.root else state.name]


def _overridden(chart: Chart, leaf: str, outer: str, event: str) -> bool:
    """Whether a state from `leaf` up to below `outer` takes `event` whatever its guards say."""
    chain = chart.ancestors(leaf)
    return any(
        _covers(pattern, event) and any(not row.guards for row in rows)
        for name in chain[: chain.index(outer)]
        for pattern, rows in chart.state(name).on.items()
    )


def _covers(pattern: str, event: str) -> bool:
    return pattern in (event, "*") or (pattern.endswith(".*") and event.startswith(pattern[:-1]))


def _reading_order(chart: Chart) -> list[str]:
    """Return the leaves so that a call mostly goes forward: the reverse of the order in which a walk is done."""
    ways = {leaf.name: list(_ways(chart, leaf.name)) for leaf in chart.leaves()}
    order: list[str] = []
    seen: set[str] = set()
    for start in [leaf_of(chart, chart.root.name), *ways]:
        done: list[str] = []
        _walk(start, ways, seen, done)
        order += reversed(done)
    return order


def _ways(chart: Chart, leaf: str) -> Iterator[str]:
    """Yield the states that `leaf` may lead to, by its own rows first, then by its parents'."""
    for name in chart.ancestors(leaf):
        for row in chart.state(name).rows():
            if row.target is not None and not _overridden(chart, leaf, name, row.event):
                yield leaf_of(chart, row.target)


def _walk(start: str, ways: dict[str, list[str]], seen: set[str], done: list[str]) -> None:
    """Add `start` and what it leads to to `done`, deepest first; a chart may be deeper than Python's stack."""
    if start in seen:
        return
    seen.add(start)
    stack = [(start, iter(ways[start]))]
    while stack:
        name, targets = stack[-1]
        ahead = next((target for target in targets if target in ways and target not in seen), None)
        if ahead is None:
            done.append(name)
            stack.pop()
        else:
            seen.add(ahead)
            stack.append((ahead, iter(ways[ahead])))


def _box(chart: Chart, name: str, arrows: list[Arrow]) -> Box:
    state = chart.state(name)
    return Box(
        name,
        frame=_frame_of(chart, name),
        final=state.final,
        description=state.description,
        notes=_notes(chart, state),
        loops=tuple(line for arrow in arrows if arrow.source == arrow.target == name for line in arrow.lines),
        details=_details(state),
    )


def _frame(chart: Chart, state: State) -> Frame:
    return Frame(
        state.name,
        parent=_frame_of(chart, state.name),
        description=state.description,
        notes=_notes(chart, state),
        details=_details(state),
    )


def _frame_of(chart: Chart, name: str) -> str:
    parent = chart.parents.get(name, chart.root.name)
    return "" if parent == chart.root.name else parent


def _notes(chart: Chart, state: State) -> tuple[Note, ...]:
    """Return the services that run while `state` lasts, then its time-outs, in document order."""
    notes = [Note("invoke", invoke.id, invoke.type) for invoke in state.invoke]
    for key, rows in state.after.items():
        for place, row in enumerate(rows):
            if row.target is None and not row.actions:
                continue  # a time-out that means nothing there
            target = "" if row.target is None else leaf_of(chart, row.target)
            words = duration(chart.delay(key)) + (f" → {target}" if target else "")
            if row.guards:
                words += f" [{short_guard(row)}]"
            notes.append(Note("timer", f"{key}.{place}" if place else key, words, target))
    return tuple(notes)


def _details(state: State) -> tuple[str, ...]:
    """Return what only a tooltip tells: entry, exit, and the rows that stay."""
    lines = []
    if state.entry:
        lines.append(f"entry: {action_words(state.entry)}")
    if state.exit:
        lines.append(f"exit: {action_words(state.exit)}")
    lines += [row_words(row) for row in state.rows() if row.target is None and row.actions]
    ignored = [row.event for row in state.rows() if row.target is None and not row.actions and not row.guards]
    if ignored:
        lines.append(f"ignored: {', '.join(dict.fromkeys(ignored))}")
    return tuple(lines)
