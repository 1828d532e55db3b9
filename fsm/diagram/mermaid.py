"""A chart in Mermaid's `stateDiagram-v2`, shaped for what Mermaid draws well: few arrows, each with its lines merged.

Mermaid cannot colour arrows and cannot draw one from a composite state to a state in it; those hang on a box of
their own, `any of live`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from fsm.chart import Chart
from fsm.diagram.sketch import ANY, Box, Frame, Line, Mark, Note, Sketch, sketch

__all__ = ["mermaid", "mermaid_of"]

_RESERVED = {"state", "end", "class", "default", "note", "direction", "as", "style", "fork", "join", "choice", "click"}
_SIGNS: dict[Mark, str] = {"": "", "+": "+ ", "-": "− ", "~": "~ "}
_CLASSES = (
    "classDef outer fill:#fff,stroke:#64748b,stroke-dasharray:5 4",
    "classDef final stroke-width:3px",
)
_MARK_CLASSES = (
    "classDef added fill:#dcfce7,stroke:#16a34a,stroke-width:3px",
    "classDef removed fill:#fee2e2,stroke:#dc2626,stroke-dasharray:6 4",
    "classDef changed fill:#fef3c7,stroke:#d97706,stroke-width:3px",
)
_MARK_NAMES: dict[Mark, str] = {"+": "added", "-": "removed", "~": "changed"}


def mermaid(chart: Chart) -> str:
    """Return `chart` as a Mermaid state diagram, ending in a newline."""
    return mermaid_of(sketch(chart))


def mermaid_of(shape: Sketch) -> str:
    """Return a sketch, marked or not, as a Mermaid state diagram."""
    names = _names(shape)
    lines = ["stateDiagram-v2", "    direction TB", f"    [*] --> {names[shape.initial]}"]
    lines += _inside(shape, names, "", "    ")
    for arrow in shape.arrows:
        source = names[_start(shape, arrow.source)]
        label = "<br/>".join(_line(line) for line in arrow.lines)
        lines.append(f"    {source} --> {names[arrow.target]}: {label}")
    lines += [f"    {names[box.name]} --> [*]" for box in shape.boxes if box.final]
    lines += _looks(shape, names)
    return "\n".join(lines) + "\n"


def _names(shape: Sketch) -> dict[str, str]:
    """Return a Mermaid identifier for each box, frame and `any of` box: its own name if Mermaid takes that."""
    names: dict[str, str] = {}
    starts = [_start(shape, frame.name) for frame in shape.frames]
    for name in [*(box.name for box in shape.boxes), *(frame.name for frame in shape.frames), *starts]:
        plain = re.sub(r"\W", "_", name, flags=re.ASCII)
        if plain.lower() in _RESERVED:
            plain = f"s_{plain}"
        while plain in names.values() and name not in names:
            plain += "_"
        names.setdefault(name, plain)
    return names


def _start(shape: Sketch, source: str) -> str:
    return f"any of {source}" if any(frame.name == source for frame in shape.frames) else source


def _inside(shape: Sketch, names: dict[str, str], frame: str, indent: str) -> Iterator[str]:
    """Yield the boxes and frames that lie directly in `frame`."""
    for box in shape.boxes:
        if box.frame == frame:
            yield f'{indent}state "{_box(box)}" as {names[box.name]}'
    for inner in shape.frames:
        if inner.parent == frame:
            yield f'{indent}state "{_frame(inner)}" as {names[inner.name]} {{'
            if any(arrow.source == inner.name for arrow in shape.arrows):
                start = _start(shape, inner.name)
                yield f'{indent}    state "{_escaped(start)}" as {names[start]}'
            yield from _inside(shape, names, inner.name, indent + "    ")
            yield f"{indent}}}"


def _box(box: Box) -> str:
    lines = [_SIGNS[box.mark] + _escaped(box.name), *(_note(note) for note in box.notes)]
    lines += [f"↻ {_line(line)}" for line in box.loops]
    return "<br/>".join(lines)


def _frame(frame: Frame) -> str:
    return "<br/>".join([_SIGNS[frame.mark] + _escaped(frame.name), *(_note(note) for note in frame.notes)])


def _note(note: Note) -> str:
    icon = "⏱" if note.kind == "timer" else "⚙"
    was = f"<s>{_escaped(note.was)}</s> " if note.was else ""
    return f"{_SIGNS[note.mark]}{icon} {was}{_escaped(note.text)}"


def _line(line: Line) -> str:
    was = f" <s>{_escaped(line.was)}</s>" if line.was else ""
    guard = f" [{_escaped(line.guard)}]" if line.guard else ""
    return f"{_SIGNS[line.mark]}{_escaped(line.event)}{was}{guard}"


def _escaped(text: str) -> str:
    """Return `text` with Mermaid's own characters as entity codes."""
    return re.sub(r"[\"#;:<>{}%\\\n]", lambda found: f"#{ord(found[0])};", text)


def _looks(shape: Sketch, names: dict[str, str]) -> Iterator[str]:
    outer = [
        names[_start(shape, arrow.source)] for arrow in shape.arrows if _start(shape, arrow.source) != arrow.source
    ]
    outer += [names[box.name] for box in shape.boxes if box.name == ANY]
    yield from (f"    {definition}" for definition in _CLASSES)
    yield from _classed(outer, "outer")
    yield from _classed([names[box.name] for box in shape.boxes if box.final], "final")
    parts: list[Box | Frame] = [*shape.boxes, *shape.frames]
    marked = [part for part in parts if part.mark]
    if marked:
        yield from (f"    {definition}" for definition in _MARK_CLASSES)
    for mark, look in _MARK_NAMES.items():
        yield from _classed([names[part.name] for part in marked if part.mark == mark], look)


def _classed(names: Iterable[str], look: str) -> Iterator[str]:
    listed = ",".join(dict.fromkeys(names))
    if listed:
        yield f"    class {listed} {look}"
