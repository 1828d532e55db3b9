"""Services: work that belongs to a state and may take its time. Cancelled when the state is left."""

from __future__ import annotations

import asyncio
from itertools import takewhile

from fsm.context import CallContext
from fsm.session import Session
from fsm.triggers import IntentDetected, Trigger
from handlers.speech import say

__all__ = ["detect_intent", "run_agent", "say_farewell"]

# Seconds of a farewell: 14.8 at most, or 7.8 before a transfer, so that the chart's 15 are enough for the transfer too.
_OTHERS = 4.0  # for what is still playing when we come to say good-bye
_MODEL = 7.0  # for the model's good-bye
_CLIP = 3.8  # for a bundled one, or for the rest of the model's


async def detect_intent(session: Session, trigger: Trigger) -> IntentDetected:
    """Find out what the caller wants, from all that was said since our last reply."""
    return await session.intents.detect(session.context, newest_words(session.context))


def newest_words(call: CallContext) -> str:
    """Return what the caller has said since the last reply."""
    since = takewhile(lambda message: message.role != "assistant", reversed(call.history))
    words = [message.text for message in since if message.role == "caller" and message.text]
    return " ".join(reversed(words))


async def run_agent(session: Session, trigger: Trigger) -> Trigger:
    """Run the agent that the caller's wish, or the model's function call, needs, until it is done."""
    return await session.agents.run(session)


async def say_farewell(session: Session, trigger: Trigger) -> None:
    """Say good-bye and return once it was heard; a bundled one if the model cannot. Takes 14.8 s at most.

    A caller who is to be transferred is asked to hold the line instead.
    """
    if not await _heard(session, _OTHERS):
        session.media.interrupt()
    call = session.context
    if session.sts.usable and not call.transfer_to:
        say(session, "goodbye", "Say good-bye to the caller in one short sentence. Ask nothing.")
        await _heard(session, _MODEL)
        if session.context.response_id != call.response_id:
            await _heard(session, _CLIP)  # its first audio has come: what leads out of here silences the rest
            return
        session.media.interrupt()
    session.carrier.play("hold" if call.transfer_to else "goodbye", call.language)
    await _heard(session, _CLIP)


async def _heard(session: Session, seconds: float) -> bool:
    """Wait until all that is queued or asked for was heard; False if that takes longer than `seconds`."""
    try:
        await asyncio.wait_for(session.carrier.drained(), seconds)
    except TimeoutError:
        return False
    return True
