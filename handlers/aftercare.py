"""Actions at the end of a call: what is kept, what is given back, who is told."""

from __future__ import annotations

from fsm.session import Session
from fsm.triggers import Trigger

__all__ = ["notify_fronts", "release_slot", "save_transcript"]


def save_transcript(session: Session, trigger: Trigger) -> None:
    """Keep what was said."""
    session.transcripts.save(session.context)


def release_slot(session: Session, trigger: Trigger) -> None:
    """Give the call's place back."""
    session.slot.release()


def notify_fronts(session: Session, trigger: Trigger) -> None:
    """Tell the browser fronts of the call that it is over, and why."""
    call = session.context
    over = {"status": "ended", "sessionId": call.call_id, "streamSid": call.stream_id, "endReason": call.end_reason}
    session.fronts.notify(call.call_id, "call.status_changed", over)
