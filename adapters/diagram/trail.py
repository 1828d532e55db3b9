"""A call's path over a sketch: how often each box was visited, which arrows were taken at which steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from fsm.diagram.sketch import ANY, Arrow, Box, Frame, Line, Note, Sketch

__all__ = ["Trail", "trail"]


@dataclass(slots=True)
class Trail:
    """What a call has visited.

    Attributes:
        sketch: the sketch, with an arrow for each time-out that fired where none was drawn.
        counts: how often, by name of box and by key of a line in it.
        steps: by the two ends of an arrow, the steps that took it; the first step of a call is 1.
        events: likewise the events of the lines that it was taken on.
    """

    sketch: Sketch
    counts: dict[str, int] = field(default_factory=dict)
    steps: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    events: dict[tuple[str, str], set[str]] = field(default_factory=dict)

    def count(self, key: str) -> None:
        self.counts[key] = self.counts.get(key, 0) + 1


def trail(sketch: Sketch, visited: Sequence[tuple[str, str, str]]) -> Trail:
    """Return what the steps of a call (state, event, state after) visited. A step that led nowhere leaves no mark."""
    path = Trail(sketch)
    path.count(visited[0][0] if visited else sketch.initial)
    for number, (state, event, target) in enumerate(visited, start=1):
        if event.startswith("after."):
            _fire(path, state, event.removeprefix("after."), target)
        if state == target and not _loop(path, state, event):
            continue
        path.count(target)
        for arrow, line in _taken(path.sketch, state, event, target):
            path.steps.setdefault((arrow.source, arrow.target), []).append(number)
            path.events.setdefault((arrow.source, arrow.target), set()).add(line.event)
    return path


def _fire(path: Trail, state: str, key: str, target: str) -> None:
    """Count a time-out, and draw its arrow."""
    for name, note in _timers(path.sketch, state):
        if note.key.split(".")[0] == key and note.target == target:
            path.count(f"timer-{name}-{note.key}")
            break
    line = Line(_time_out(f"after.{key}"))
    arrows = path.sketch.arrows
    known = next((arrow for arrow in arrows if (arrow.source, arrow.target) == (state, target)), None)
    if known is None:
        arrows = (*arrows, Arrow(state, target, (line,)))
    elif all(other.event != line.event for other in known.lines):
        arrows = tuple(replace(arrow, lines=(*arrow.lines, line)) if arrow is known else arrow for arrow in arrows)
    if state != target:
        path.sketch = replace(path.sketch, arrows=arrows)


def _timers(sketch: Sketch, state: str) -> Iterator[tuple[str, Note]]:
    around = _around(sketch, state)
    parts: list[Box | Frame] = [*sketch.boxes, *sketch.frames]
    for part in parts:
        if part.name in around:
            yield from ((part.name, note) for note in part.notes if note.kind == "timer")


def _loop(path: Trail, state: str, event: str) -> bool:
    """Count the line of a box that stands for leaving and entering it again; False if there is none."""
    for place, line in enumerate(path.sketch.box(state).loops, start=1):
        if _matches(line.event, event):
            path.count(f"edge-{state}-{state}-{place}")
            return True
    return False


def _taken(sketch: Sketch, state: str, event: str, target: str) -> list[tuple[Arrow, Line]]:
    """Return the arrow of a step and its line: of the state itself, else of a frame around it, else of any state."""
    for source in _around(sketch, state):
        for arrow in sketch.arrows:
            for line in arrow.lines if (arrow.source, arrow.target) == (source, target) else ():
                if _matches(line.event, event):
                    return [(arrow, line)]
    return []


def _around(sketch: Sketch, state: str) -> list[str]:
    names, parents = [state], {frame.name: frame.parent for frame in sketch.frames}
    frame = next((box.frame for box in sketch.boxes if box.name == state), "")
    while frame:
        names.append(frame)
        frame = parents[frame]
    return [*names, ANY]


def _matches(pattern: str, event: str) -> bool:
    return pattern in (event, "*", _time_out(event)) or (pattern.endswith(".*") and event.startswith(pattern[:-1]))


def _time_out(event: str) -> str:
    """Return how an arrow spells the event of a time-out that fired."""
    return event.replace("after.", "time-out ", 1)
