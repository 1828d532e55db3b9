"""Actions on the business agent that works on the caller's wish. `services.py` runs it."""

from __future__ import annotations

from fsm.session import Session
from fsm.triggers import CallDtmf, UserTranscript

__all__ = ["tell_agent"]


def tell_agent(session: Session, trigger: UserTranscript | CallDtmf) -> None:
    """Give the agent what the caller has said or pressed."""
    session.agents.tell(session.call_id, trigger.digits if isinstance(trigger, CallDtmf) else trigger.text)
