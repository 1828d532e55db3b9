"""The client on the line with callchart's own Realtime simulator, which shares no code with it."""

from __future__ import annotations

import pytest

from adapters.simulators.realtime.faults import Faults
from adapters.simulators.realtime.peer import RealtimePeer
from adapters.sts.openai.client import OpenAiClient
from adapters.sts.openai.config import OpenAiConfig
from fsm.clock import LoopClock
from fsm.context import CallContext
from tests.adapters.openai.peer import PCMU, Notes, elapse, silence


async def spoken(faults: Faults, *, cut: bool = False) -> tuple[int, Notes, RealtimePeer]:
    """Hear one reply; return how many base64 characters of audio came."""
    notes = Notes()
    async with RealtimePeer(faults=[faults]) as peer:
        client = OpenAiClient(OpenAiConfig(api_key="sk-1", url=peer.url), notes, clock=LoopClock())
        client.start(CallContext(), PCMU)
        client.append(silence(30))
        client.respond(purpose="greeting", instructions="Greet.")
        audio = await notes.next("audio")
        if cut:
            client.cancel()
            client.truncate([(audio[1], 20)])
        await notes.next("end")
        await elapse(1)
        await client.aclose()
        await elapse(1)
        open_sockets = peer.open_sockets
    assert open_sockets == 0
    assert peer.violations == []
    return sum(len(payload) for _, _, payload, _ in notes.of("audio")), notes, peer


async def test_a_reply_is_spoken() -> None:
    heard, notes, _ = await spoken(Faults())

    assert heard > 0
    assert [end.status for (end,) in notes.of("end")] == ["completed"]


async def test_events_that_come_twice_are_heard_once() -> None:
    once, _, _ = await spoken(Faults())
    twice, notes, peer = await spoken(Faults(duplicate_events=True))

    assert twice == once
    assert len(notes.of("end")) == 1
    assert len(peer.received_of("session.update")) == 1


async def test_a_reply_is_cut() -> None:
    _, notes, peer = await spoken(Faults(), cut=True)

    assert [end.status for (end,) in notes.of("end")] == ["cancelled"]
    assert len(peer.truncations) >= 1


@pytest.mark.parametrize(
    "faults",
    [Faults(expired_at_s=1.0), Faults(time_limit_at_s=1.0), Faults(abort_at_s=1.0), Faults(close_at_s=1.0)],
    ids=str,
)
async def test_a_session_that_ends_is_followed_by_another(faults: Faults) -> None:
    notes = Notes()
    async with RealtimePeer(faults=[faults]) as peer:
        client = OpenAiClient(OpenAiConfig(api_key="sk-1", url=peer.url), notes, clock=LoopClock())
        client.start(CallContext(), PCMU)
        await notes.next("renewed")
        client.respond(purpose="answer")
        end = await notes.end()
        await client.aclose()

    assert end.status == "completed"
    assert peer.violations == []
