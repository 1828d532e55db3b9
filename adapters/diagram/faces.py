"""What is written where: the lines of a box, of an arrow's label and of a frame's title, each with its size."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from adapters.diagram.measure import shortened, text_width
from fsm.diagram.sketch import ANY, Arrow, Box, Frame, Line, Mark, Note

__all__ = ["Face", "Run", "TextLine", "box_face", "frame_face", "label_face"]

NAME_SIZE, NOTE_SIZE = 15, 12
_NAME_HEIGHT, _NOTE_HEIGHT = 20, 16
_PAD_X, _PAD_Y = 14, 9
_LABEL_LINES = 6
"""An arrow shows so many lines; what is cut stands in its tooltip and in the table."""
_LINE_LIMIT, _GUARD_LIMIT, _ABOUT_LIMIT = 34, 40, 60
"""Characters: a longer condition gets a line of its own; one that is longer still is cut."""
ICON_WIDTH = 16


@dataclass(frozen=True, slots=True)
class Run:
    """A piece of text of one look; `look` is its CSS class."""

    text: str
    look: str = "plain"

    @property
    def width(self) -> float:
        size = NAME_SIZE if self.look == "name" else NOTE_SIZE
        return text_width(self.text, size, bold=self.look in ("name", "event", "new", "steps"))


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of text, with an icon (`timer`, `invoke`, `loop`) before it if it has one.

    Attributes:
        key: makes the id of a line that stands for something (a time-out, a service, a loop).
        tip: what the pointer shows on it.
    """

    runs: tuple[Run, ...]
    icon: str = ""
    mark: Mark = ""
    height: int = _NOTE_HEIGHT
    key: str = ""
    tip: str = ""

    @property
    def width(self) -> int:
        return math.ceil(sum(run.width for run in self.runs)) + (ICON_WIDTH if self.icon else 0)


@dataclass(frozen=True, slots=True)
class Face:
    """Lines and the size that they need, in whole pixels, even ones so that a centre is whole too."""

    lines: tuple[TextLine, ...]
    width: int
    height: int


def box_face(box: Box) -> Face:
    """Return the face of a state: its name, what runs while it lasts, its time-outs, and what enters it again."""
    look = "any" if box.name == ANY else "name"
    lines = [TextLine(_signed(box.mark, Run(shortened(box.name, 40), look)), height=_NAME_HEIGHT, mark=box.mark)]
    lines += _notes(box.notes, box.name)
    lines += _loops(box)
    return _face(lines, _PAD_X, _PAD_Y)


def frame_face(frame: Frame) -> Face:
    """Return the title of a compound state, with what it is for and what runs in it."""
    title = TextLine(_signed(frame.mark, Run(frame.name, "name")), height=_NAME_HEIGHT, mark=frame.mark)
    about = [TextLine((Run(shortened(frame.description, _ABOUT_LIMIT), "about"),))] if frame.description else []
    return _face([title, *about, *_notes(frame.notes, frame.name)], 4, 2)


def label_face(arrow: Arrow, steps: Sequence[int] = (), events: Collection[str] = ()) -> Face:
    """Return the label of an arrow: an event a line, each with its condition.

    Args:
        steps: those of a call that took it.
        events: what it was taken on: these come first, so that they show if the label is cut.
    """
    ordered = sorted(arrow.lines, key=lambda line: line.event not in events)
    lines = [text for line in ordered for text in _event(line)]
    if len(lines) > _LABEL_LINES:
        hidden = len(lines) - _LABEL_LINES + 1
        marks = {line.mark for line in lines[_LABEL_LINES - 1 :]}
        more = TextLine((Run(f"+ {hidden} more", "guard"),), mark=marks.pop() if len(marks) == 1 else "~")
        lines = [*lines[: _LABEL_LINES - 1], more]
    if steps:
        numbers = shortened(", ".join(map(str, steps)), 24)
        lines.insert(0, TextLine((Run(f"step {numbers}" if len(steps) == 1 else f"steps {numbers}", "steps"),)))
    return _face(lines, 5, 2)


def _notes(notes: Iterable[Note], name: str) -> list[TextLine]:
    lines = []
    for note in notes:
        runs = _signed(note.mark, Run(shortened(note.text, 48), "new" if note.was else "plain"), note.was)
        icon = "⏱" if note.kind == "timer" else "⚙"
        tip = f"{icon} {note.text}"
        lines.append(TextLine(runs, note.kind, note.mark, key=f"{note.kind}-{name}-{note.key}", tip=tip))
    return lines


def _loops(box: Box) -> list[TextLine]:
    return [
        TextLine(
            _signed(line.mark, Run(shortened(line.text, 48))),
            "loop",
            line.mark,
            key=f"edge-{box.name}-{box.name}-{place}",
            tip="\n".join(line.rows),
        )
        for place, line in enumerate(box.loops, start=1)
    ]


def _event(line: Line) -> list[TextLine]:
    """Return a label's line, or two if the condition is long."""
    was = (Run(line.was, "was"), Run(" ")) if line.was else ()
    event = _signed(line.mark, Run(shortened(line.event, _GUARD_LIMIT), "event"))
    if not line.guard and not was:
        return [TextLine(event, mark=line.mark)]
    guard = Run(f"[{shortened(line.guard, _GUARD_LIMIT)}]" if line.guard else "", "guard")
    if len(line.text) + len(line.was) <= _LINE_LIMIT:
        return [TextLine((*event, Run(" "), *was, guard), mark=line.mark)]
    return [TextLine(event, mark=line.mark), TextLine((*was, guard), mark=line.mark)]


def _signed(mark: Mark, run: Run, was: str = "") -> tuple[Run, ...]:
    """Return a piece of text with its sign, and between them the older wording if there is one."""
    sign = {"": "", "+": "+\u00a0", "-": "−\u00a0", "~": "~\u00a0"}[mark]
    if not was:
        return (replace(run, text=sign + run.text),)
    return (Run(sign), Run(was, "was"), replace(run, text=f"\u00a0{run.text}"))


def _face(lines: Iterable[TextLine], pad_x: int, pad_y: int) -> Face:
    kept = tuple(lines)
    return Face(
        kept, _even(max(line.width for line in kept) + 2 * pad_x), _even(sum(line.height for line in kept) + 2 * pad_y)
    )


def _even(size: int) -> int:
    return size + size % 2
