"""A chart in Graphviz' language, for who has Graphviz and wants a picture of their own."""

from __future__ import annotations

from collections.abc import Iterator

from fsm.chart import Chart
from fsm.diagram.sketch import ANY, Box, Note, Sketch, sketch

__all__ = ["dot"]


def dot(chart: Chart) -> str:
    """Return `chart` as a Graphviz digraph, ending in a newline; what starts at a frame hangs on a box in it."""
    shape = sketch(chart)
    frames = {frame.name for frame in shape.frames}
    lines = [
        f"digraph {_quoted(chart.id)} {{",
        '  graph [rankdir=TB, fontname="Helvetica", newrank=true, style=rounded, color="#94a3b8"]',
        '  node [shape=box, style="rounded,filled", fillcolor="#f1f5f9", fontname="Helvetica", fontsize=12]',
        '  edge [fontname="Helvetica", fontsize=10, color="#475569"]',
        '  "[*]" [shape=circle, style=filled, fillcolor="#0f172a", label="", width=0.2]',
        f'  "[*]" -> {_quoted(shape.initial)}',
    ]
    lines += _inside(shape, "", "  ")
    for arrow in shape.arrows:
        label = _quoted("\n".join(line.text for line in arrow.lines))
        source = f"any of {arrow.source}" if arrow.source in frames else arrow.source
        dashed = ", style=dashed" if source != arrow.source or source == ANY else ""
        lines.append(f"  {_quoted(source)} -> {_quoted(arrow.target)} [label={label}{dashed}]")
    return "\n".join([*lines, "}"]) + "\n"


def _inside(shape: Sketch, frame: str, indent: str) -> Iterator[str]:
    for box in shape.boxes:
        if box.frame == frame:
            look = ", peripheries=2" if box.final else ', style="rounded,dashed"' if box.name == ANY else ""
            yield f"{indent}{_quoted(box.name)} [label={_quoted(_label(box))}{look}]"
    for inner in shape.frames:
        if inner.parent == frame:
            title = "\n".join([inner.name, *(_note(note) for note in inner.notes)])
            yield f"{indent}subgraph {_quoted('cluster_' + inner.name)} {{"
            yield f"{indent}  label={_quoted(title)}"
            if any(arrow.source == inner.name for arrow in shape.arrows):
                yield f'{indent}  {_quoted("any of " + inner.name)} [style="rounded,dashed"]'
            yield from _inside(shape, inner.name, indent + "  ")
            yield f"{indent}}}"


def _label(box: Box) -> str:
    return "\n".join([box.name, *(_note(note) for note in box.notes), *(f"↻ {line.text}" for line in box.loops)])


def _note(note: Note) -> str:
    return f"{'⏱' if note.kind == 'timer' else '⚙'} {note.text}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
