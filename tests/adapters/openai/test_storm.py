"""Calls of random length with a model that misbehaves at random: whatever happens, each promise is kept."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed

from adapters.sts.openai.client import OpenAiClient
from fsm.context import CallContext
from tests.adapters.openai.calls import speech, transcribe
from tests.adapters.openai.peer import PCMU, Notes, Peer, PeerSession, elapse, phone, silence

Deed = Callable[[], Awaitable[None]]


async def misbehave(peer: Peer, dice: random.Random) -> None:
    """Answer, or do not, or do something else."""
    for step in range(dice.randrange(40)):
        await elapse(dice.choice((0.0, 0.01, 0.3, 2.0, 6.0)))
        if peer.sessions and peer.sessions[-1].ready.is_set() and not peer.sessions[-1].closed.is_set():
            with suppress(ConnectionClosed):
                await dice.choice(deeds(peer, peer.sessions[-1], step, dice))()


def deeds(peer: Peer, session: PeerSession, step: int, dice: random.Random) -> list[Deed]:
    asked = [event for event in session.received if event["type"] == "response.create"]
    name = f"resp_{session.number}_{len(asked)}"
    status = dice.choice(("completed", "cancelled", "failed", "incomplete"))
    code = dice.choice(("response_cancel_not_active", "session_expired", "odd"))
    nonsense = dice.choice(("{", "[]", '{"type":"response.done"}'))

    async def cut() -> None:
        peer.refusals = [500] * dice.randrange(3)
        await session.abort()

    answers: list[Deed] = [
        lambda: session.create(name, asked[-1]["response"]["metadata"]),
        lambda: session.error("conversation_already_has_active_response", asked[-1]["event_id"]),
    ]
    return [
        *(answers if asked else ()),
        lambda: session.create("resp_of_the_server"),
        lambda: session.speak(name, f"item_{step}", text="words"),
        lambda: session.speak(name, f"item_{step}"),
        lambda: session.finish(name, status),
        lambda: session.finish(name),
        lambda: speech(session, f"item_{step}"),
        lambda: transcribe(session, f"item_{step - 1}", "words"),
        lambda: session.error(code),
        lambda: session.raw(nonsense),
        cut,
    ]


async def call(client: OpenAiClient, dice: random.Random) -> int:
    """Do what a call does; return how many replies were asked for."""
    asked = 0
    for _ in range(dice.randrange(40)):
        await elapse(dice.choice((0.0, 0.02, 0.5, 4.0)))
        match dice.randrange(6):
            case 0 | 1:
                client.respond(purpose=f"p{asked}")
                asked += 1
            case 2:
                client.cancel()
            case 3:
                client.append(silence(30))
            case 4:
                client.truncate([(f"item_{dice.randrange(40)}", 50)])
            case _:
                client.tool_result("call_1", "x")
    return asked


def assert_promises_are_kept(notes: Notes, asked: int) -> None:
    purposes = [end.purpose for (end,) in notes.of("end")]
    assert len(purposes) == len(set(purposes)) <= asked
    assert len(notes.of("ready")) <= 1
    assert len(notes.of("stopped")) == len(set(notes.of("stopped")))
    reports = [(item, bool(text)) for item, text, _ in notes.of("transcript")]
    assert len(reports) == len(set(reports))
    assert notes.of("failed") == [] or notes.all[-1][0] == "failed"


@pytest.mark.parametrize("seed", range(100))
async def test_whatever_the_model_does_each_promise_is_kept(seed: int) -> None:
    dice = random.Random(seed)
    async with phone() as (client, notes, peer):
        client.start(CallContext(), PCMU)
        trouble = asyncio.create_task(misbehave(peer, random.Random(seed + 1000)))
        asked = await call(client, dice)
        await elapse(dice.choice((0.0, 0.1, 40.0)))
        told = len(notes.all)
        await client.aclose()
        await elapse(1)
        trouble.cancel()
        await asyncio.wait((trouble,))

    assert trouble.cancelled() or trouble.exception() is None
    assert len(notes.all) == told
    assert_promises_are_kept(notes, asked)


@pytest.mark.parametrize("seed", range(30))
async def test_every_end_of_speech_is_followed_by_words_or_a_reason(seed: int) -> None:
    dice = random.Random(seed)
    async with phone() as (client, notes, peer):
        client.start(CallContext(), PCMU)
        session: PeerSession = await peer.session()
        for step in range(12):
            await speech(session, f"u{step}")
            await elapse(dice.choice((0.01, 1.0, 4.0)))
            if dice.random() < 0.5:
                await transcribe(session, f"u{dice.randrange(step + 1)}", dice.choice(("", "words")))
            if step == 6:
                await session.abort()
                session = await peer.session()
        await elapse(3.5)

    stopped = [item for (item,) in notes.of("stopped")]
    assert len(stopped) == 12
    assert {item for item, _, _ in notes.of("transcript")} == set(stopped)
