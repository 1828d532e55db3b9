"""A call as it happens, for somebody at a terminal: each step, and what is said."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping
from typing import TextIO

from fsm.history import Message
from fsm.observe import Effect, Observer
from fsm.session import Session
from fsm.step import Refusal, Step

__all__ = ["Terminal", "wants_colour"]

_WIDTH = 108
_INDENT = " " * 9
_STYLES = {"dim": "2", "bold": "1", "caller": "36", "assistant": "32", "agent": "35", "bad": "31"}


def wants_colour(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether `stream` is a terminal that shows colours, and the user has not said no (https://no-color.org)."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


class Terminal(Observer):
    """Writes a line a step: seconds of the call, the event, `from → to` or the state it stays in, the actions."""

    def __init__(self, stream: TextIO, *, colour: bool) -> None:
        self._stream = stream
        self._colour = colour
        self._began: float | None = None

    def on_commit(self, session: Session, step: Step) -> None:
        now = session.clock.now()
        self._began = now if self._began is None else self._began
        row = step.row
        moved = bool(row.exited or row.entered)
        way = f"{step.before.state} → {step.after.state}" if moved and step.before.state else step.after.state
        line = f"{now - self._began:7.2f}  {step.trigger.name:<19} "
        actions = ", ".join(bound.name for bound in (*row.leaving, *row.own, *row.entering))
        self._write(line + self._styled(f"{way:<22}", "bold" if moved else "dim"), actions, len(line) + 22)
        for message in self._new(step):
            self._say(message)

    def on_effects(self, session: Session, step: Step, effects: list[Effect]) -> None:
        for effect in effects:
            if effect.outcome in ("failed", "timed_out", "abandoned"):
                reason = f": {effect.error}" if effect.error else ""
                self._warn(f"{effect.name} {effect.outcome.replace('_', ' ')}{reason}")

    def on_refusal(self, session: Session, refusal: Refusal) -> None:
        self._warn(f"{refusal.trigger.name} is not expected in {refusal.at.state}")

    def _new(self, step: Step) -> list[Message]:
        if step.after.context.history is step.before.context.history:
            return []
        known = set(step.before.context.history)
        return [message for message in step.after.context.history if message not in known and message.text]

    def _say(self, message: Message) -> None:
        cut = self._styled(" — interrupted", "bad") if message.interrupted else ""
        speaker = f"{message.role}:"
        text = textwrap.fill(
            message.text,
            _WIDTH,
            initial_indent=f"{_INDENT}{speaker:<11}",
            subsequent_indent=" " * (len(_INDENT) + 11),
        )
        self._stream.write(self._styled(text, message.role) + cut + "\n")
        self._stream.flush()

    def _warn(self, text: str) -> None:
        self._write(_INDENT + self._styled(text, "bad"), "", 0)

    def _write(self, line: str, actions: str, width: int) -> None:
        wrapped = textwrap.wrap(actions, max(_WIDTH - width, 40))
        first = " " + self._styled(wrapped[0], "dim") if wrapped else ""
        self._stream.write(f"{line}{first}".rstrip() + "\n")
        for more in wrapped[1:]:
            self._stream.write(" " * (width + 1) + self._styled(more, "dim") + "\n")
        self._stream.flush()

    def _styled(self, text: str, style: str) -> str:
        code = _STYLES.get(style)
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour and code else text
