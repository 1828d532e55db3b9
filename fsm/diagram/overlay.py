"""Two sketches laid over each other: the newer one, with what only the older had, each thing marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from fsm.chart import Chart
from fsm.diagram.sketch import Arrow, Box, Frame, Line, Mark, Note, Sketch, sketch

__all__ = ["overlay"]

_P = TypeVar("_P", Box, Frame)


def overlay(old: Chart, new: Chart) -> Sketch:
    """Return the sketch of `new` with marks, and with what was removed since `old`."""
    before, after = sketch(old), sketch(new)
    boxes = [
        replace(part, loops=_lines(_loops(before, part.name), _loops(after, part.name)))
        for part in _parts(before.boxes, after.boxes)
    ]
    return replace(
        after,
        boxes=tuple(boxes),
        frames=tuple(_parts(before.frames, after.frames)),
        arrows=tuple(_arrows(before.arrows, after.arrows)),
    )


def _loops(seen: Sketch, name: str) -> tuple[Line, ...]:
    return next((box.loops for box in seen.boxes if box.name == name), ())


def _parts(old: Sequence[_P], new: Sequence[_P]) -> list[_P]:
    """Return the parts of both, marked; a removed one stands where it stood, behind the same neighbour."""
    befores, afters = {part.name: part for part in old}, {part.name: part for part in new}
    merged = [_marked(befores.get(part.name), part) for part in new]
    previous = ""
    for part in old:
        if part.name not in afters:
            place = next((count for count, other in enumerate(merged, start=1) if other.name == previous), 0)
            notes = tuple(replace(note, mark="-") for note in part.notes)
            merged.insert(place, replace(part, mark="-", notes=notes))
        previous = part.name
    return merged


def _marked(old: _P | None, new: _P) -> _P:
    if old is None:
        return replace(new, mark="+", notes=tuple(replace(note, mark="+") for note in new.notes))
    changed = _looks(old) != _looks(new)
    details = _details(old.details, new.details)
    return replace(new, mark="~" if changed else "", notes=_notes(old.notes, new.notes), details=details)


def _details(old: Sequence[str], new: Sequence[str]) -> tuple[str, ...]:
    """Return the lines of a tooltip with signs, what was removed last."""
    signed = [line if line in old else f"+ {line}" for line in new]
    return (*signed, *(f"− {line}" for line in old if line not in new))


def _looks(part: Box | Frame) -> tuple[object, ...]:
    place = (part.frame, part.final) if isinstance(part, Box) else (part.parent,)
    return (*place, part.notes, part.details)


def _notes(old: Sequence[Note], new: Sequence[Note]) -> tuple[Note, ...]:
    befores = {(note.kind, note.key): note for note in old}
    merged = []
    for note in new:
        before = befores.pop((note.kind, note.key), None)
        if before is None:
            merged.append(replace(note, mark="+"))
        elif before.text != note.text:
            merged.append(replace(note, mark="~", was=_older(before.text, note.text)))
        else:
            merged.append(note)
    return (*merged, *(replace(note, mark="-") for note in befores.values()))


def _older(old: str, new: str) -> str:
    """Return only the old duration if nothing else of a time-out changed."""
    first, _, rest = old.partition(" ")
    return first if rest and rest == new.partition(" ")[2] else old


def _arrows(old: Sequence[Arrow], new: Sequence[Arrow]) -> list[Arrow]:
    ends = dict.fromkeys((arrow.source, arrow.target) for arrow in (*new, *old))
    befores = {(arrow.source, arrow.target): arrow.lines for arrow in old}
    afters = {(arrow.source, arrow.target): arrow.lines for arrow in new}
    return [Arrow(*pair, _lines(befores.get(pair, ()), afters.get(pair, ()))) for pair in ends]


def _lines(old: Sequence[Line], new: Sequence[Line]) -> tuple[Line, ...]:
    """Return the lines of both: those that changed first, so that a label which is cut shows them."""
    gone = {(line.event, line.guard): line for line in old}
    merged: list[Line] = []
    for line in new:
        before = gone.pop((line.event, line.guard), None)
        mark: Mark = "+" if before is None else "~" if before.rows != line.rows else ""
        merged.append(replace(line, mark=mark))
    for place, line in enumerate(merged):
        match = next((other for other in gone.values() if other.event == line.event), None)
        if line.mark == "+" and match is not None:
            del gone[match.event, match.guard]
            merged[place] = replace(line, mark="~", was=f"[{match.guard}]" if match.guard else "always")
    merged += [replace(line, mark="-") for line in gone.values()]
    return tuple(sorted(merged, key=lambda line: not line.mark))
