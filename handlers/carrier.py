"""Actions on the caller's end of the line: its socket, bundled audio that needs no model, and its end."""

from __future__ import annotations

from fsm.session import Session
from fsm.triggers import Trigger

__all__ = [
    "apologise", "attach_listeners", "hang_up", "hold_the_line", "remove_listeners", "say_busy", "transfer",
]  # fmt: skip


def attach_listeners(session: Session, trigger: Trigger) -> None:
    """Take the newest socket of the call into use: listen to it, and open its output."""
    session.carrier.attach()


def remove_listeners(session: Session, trigger: Trigger) -> None:
    """Stop listening to the socket and sending to it; it stays open until `hang_up`."""
    session.carrier.detach()


def apologise(session: Session, trigger: Trigger) -> None:
    """Play a bundled apology in the call's language."""
    session.carrier.play("apology", session.context.language)


def hold_the_line(session: Session, trigger: Trigger) -> None:
    """Play a bundled "one moment, please" in the call's language."""
    session.carrier.play("hold", session.context.language)


def say_busy(session: Session, trigger: Trigger) -> None:
    """Tell a caller for whom there is no slot that all lines are busy; nothing of theirs is listened to."""
    session.carrier.attach()
    session.carrier.play("busy", session.context.language)


async def hang_up(session: Session, trigger: Trigger) -> None:
    """Let queued audio play out and end the call at the carrier; nothing to do after a transfer."""
    if session.context.end_reason != "transferred":
        await session.carrier.hang_up()


async def transfer(session: Session, trigger: Trigger) -> None:
    """Have the carrier connect the caller to whoever takes over; `call.transferred` follows."""
    await session.carrier.transfer(session.context.transfer_to)
