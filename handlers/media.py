"""Actions on the path of the audio."""

from __future__ import annotations

from fsm.session import Session
from fsm.triggers import Trigger

__all__ = ["interrupt_playback", "open_media"]


def open_media(session: Session, trigger: Trigger) -> None:
    """Let the caller's audio, kept back until now, flow to the model."""
    session.media.open()


def interrupt_playback(session: Session, trigger: Trigger) -> None:
    """Stop what is queued at the carrier and tell the model how much was heard."""
    session.media.interrupt()
