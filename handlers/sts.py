"""Actions on the model's session: its beginning and end, and the outputs of its function calls."""

from __future__ import annotations

from fsm.context import BY_API
from fsm.session import Session
from fsm.triggers import ToolCalled, Trigger

__all__ = ["answer_tools", "configure_sts", "refuse_tool", "start_sts", "stop_sts", "write_down"]


def start_sts(session: Session, trigger: Trigger) -> None:
    """Begin to connect to the model; `sts.ready` or `sts.failed` follows. What was said before is told to it."""
    session.sts.start(session.context)


def write_down(session: Session, trigger: Trigger) -> None:
    """Begin to connect to the model for a caller on a line; a call by API comes with its words and opens nothing."""
    if session.context.carrier != BY_API:
        start_sts(session, trigger)


def stop_sts(session: Session, trigger: Trigger) -> None:
    """Begin to close the model's session, if one is open."""
    session.sts.close_soon()


def configure_sts(session: Session, trigger: Trigger) -> None:
    """Tell the model what a front has changed: instructions, language, voice."""
    session.sts.configure(session.context)


def answer_tools(session: Session, trigger: Trigger) -> None:
    """Send the outputs that `settle_tools` has given to the model's function calls; nobody speaks because of it."""
    for call_id, output in session.context.tool_outputs.items():
        session.sts.tool_result(call_id, output)


def refuse_tool(session: Session, trigger: ToolCalled) -> None:
    """Send the refusals that `settle_tools` has given, and let the model speak instead."""
    answer_tools(session, trigger)
    session.sts.respond(purpose="answer")
