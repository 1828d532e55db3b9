"""Log lines: JSON by default, readable on a terminal. Events are names with fields; what callers say is not in them."""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

from fsm.observe import Effect, Observer
from fsm.session import Session
from fsm.step import Refusal, Step
from fsm.triggers import Trigger

__all__ = ["CallLog", "set_up_logging"]

log = logging.getLogger("callchart.calls")
_TALKATIVE = ("websockets", "uvicorn", "uvicorn.error", "httpx", "httpcore", "asyncio")
"""Libraries that write frames, and with them what callers say, at level DEBUG: never below WARNING, whatever is set."""
_QUOTED = re.compile(r"input_value=.*?, input_type=", re.DOTALL)
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}


def set_up_logging(level: str, *, stream: TextIO | None = None, readable: bool | None = None) -> None:
    """Send every log line to `stream` (default stderr): readable on a terminal, JSON lines elsewhere."""
    out = stream or sys.stderr
    handler = logging.StreamHandler(out)
    handler.setFormatter(_Readable() if (out.isatty() if readable is None else readable) else _JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for talkative in _TALKATIVE:
        logging.getLogger(talkative).setLevel(max(logging.WARNING, root.level))


class _Discreet(logging.Formatter):
    """Tells an error without the values that pydantic quotes in it: a caller may have said them."""

    def formatException(self, ei: Any) -> str:  # the library's name
        return _QUOTED.sub("input_type=", super().formatException(ei))


class _JsonLines(_Discreet):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
            **_fields(record),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class _Readable(_Discreet):
    def format(self, record: logging.LogRecord) -> str:
        clock = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        facts = " ".join(f"{name}={value}" for name, value in _fields(record).items())
        line = f"{clock} {record.levelname.lower():7} {record.getMessage()} {facts}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in record.__dict__.items() if name not in _STANDARD}


class CallLog(Observer):
    """One line per transition, and one last line per call with what became of each of its resources."""

    def on_commit(self, session: Session, step: Step) -> None:
        if not log.isEnabledFor(logging.INFO):
            return
        row = step.row
        log.info(
            "transition" if row.exited or row.entered else "handled",
            extra={
                "call_id": session.call_id,
                "seq": step.after.seq,
                "trigger": step.trigger.name,
                "source": step.before.state,
                "state": step.after.state,
                **({"faults": list(step.faults)} if step.faults else {}),
            },
        )

    def on_effects(self, session: Session, step: Step, effects: list[Effect]) -> None:
        for effect in effects:
            if effect.outcome not in ("done", "skipped", "preempted"):
                log.warning(
                    "action_failed",
                    extra={
                        "call_id": session.call_id,
                        "seq": step.after.seq,
                        "action": effect.name,
                        "outcome": effect.outcome,
                        "cause": effect.error,
                    },
                )

    def on_refusal(self, session: Session, refusal: Refusal) -> None:
        log.info(
            "refused", extra={"call_id": session.call_id, "trigger": refusal.trigger.name, "state": refusal.at.state}
        )

    def on_stale(self, session: Session, trigger: Trigger) -> None:
        log.debug("stale", extra={"call_id": session.call_id, "trigger": trigger.name, "state": session.state})

    def on_overflow(self, session: Session, trigger: Trigger) -> None:
        log.warning("inbox_full", extra={"call_id": session.call_id, "trigger": trigger.name, "state": session.state})

    def on_settled(self, session: Session) -> None:
        call = session.context
        log.info(
            "call_given_up" if session.given_up else "call_settled",  # given up: another node has it
            extra={
                "call_id": session.call_id,
                "state": session.state,
                "reason": call.end_reason,
                "seconds": round(session.clock.wall() - call.created_at, 3),
                **session.leftovers(),
                "abandoned": session.abandoned,
                "refused": session.refused,
                "stale": session.stale,
                "dropped": session.dropped,
                "faults": list(session.faults),
            },
        )
