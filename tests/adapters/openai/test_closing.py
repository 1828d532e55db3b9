"""Closing: in any phase, at once, and nothing is left or reported."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest

from adapters.carriers.contract import MediaFormat
from fsm.history import Message
from fsm.triggers import ToolCall
from tests.adapters.openai.calls import CALL, now, started
from tests.adapters.openai.peer import PCMU, Notes, PeerSession, elapse, phone, silence


async def test_after_closing_nothing_is_reported_or_sent() -> None:
    async with phone() as (client, notes, peer):
        session = await started(client, notes, peer)
        await session.send({"type": "input_audio_buffer.speech_started", "item_id": "u1", "audio_start_ms": 0})
        await notes.next("started")
        client.respond(purpose="answer")
        await session.asked()
        before = len(notes.all)
        client.close_soon()
        client.close_soon()
        client.append(silence(3))
        client.respond(purpose="more")
        client.cancel()
        client.truncate([("item_1", 3)])
        client.tell("x")
        client.tool_result("c", "x")
        client.remember(CALL)
        client.configure(CALL)
        client.start(CALL, PCMU)
        await client.aclose()
        await client.aclose()
        await session.closed.wait()
        await elapse(60)

        assert len(notes.all) == before
        assert not client.usable
        assert client.active_response_id is None
        assert session.connection.close_code == 1000
        assert len(session.received) == 2


async def test_a_client_that_never_started_closes_too() -> None:
    async with phone() as (client, notes, _):
        await client.aclose()
        client.start(CALL, PCMU)

        assert notes.all == []


@pytest.mark.parametrize("after", [0.0, 0.1, 0.5, 2.0, 3.2, 3.35, 7.0])
async def test_closing_while_connecting_or_backing_off_leaves_nothing(after: float) -> None:
    async def silent(session: PeerSession) -> None:
        return

    async with phone() as (client, notes, peer):
        peer.scripts = [silent] * 4
        client.start(CALL, PCMU)
        await elapse(after)
        await client.aclose()

        assert notes.all == []
        assert now() <= after + 1.1


async def test_closing_in_the_very_report_of_readiness_is_obeyed() -> None:
    async with phone() as (client, notes, peer):

        class Hasty(Notes):
            def on_ready(self, session_id: str) -> None:
                super().on_ready(session_id)
                client.close_soon()

        client._reports.to = notes = Hasty()
        client.respond(purpose="too early")
        client.start(CALL, PCMU)
        client.respond(purpose="greeting")
        session = await peer.session()
        await session.closed.wait()

        assert notes.all == [("ready", "sess_0")]
        assert session.count("response.create") == 0


async def test_closing_during_a_roll_over_leaves_nothing() -> None:
    async def silent(session: PeerSession) -> None:
        return

    async with phone() as (client, notes, peer):
        session = await started(client, notes, peer)
        peer.scripts = [silent] * 4
        await session.abort()
        await elapse(1)
        await client.aclose()

        assert notes.of("failed") == notes.of("renewed") == []


async def test_closing_while_a_successor_waits_leaves_nothing() -> None:
    async with phone() as (client, notes, peer):
        old = await started(client, notes, peer)

        async def busy(session: PeerSession) -> None:
            await old.send({"type": "input_audio_buffer.speech_started", "item_id": "u1", "audio_start_ms": 0})
            await notes.next("started")
            await peer.open(session)

        peer.scripts = [busy]
        await elapse(55 * 60 + 5)
        waiting = peer.sessions[1]
        await client.aclose()
        await waiting.closed.wait()

        assert notes.of("renewed") == []


async def test_a_server_that_does_not_close_is_cut_off_within_a_second() -> None:
    async def deaf(session: PeerSession) -> None:
        await peer.open(session)
        session.connection.transport.pause_reading()
        await elapse(30)

    async with phone() as (client, notes, peer):
        peer.scripts = [deaf]
        await started(client, notes, peer)
        before = now()
        await client.aclose()

        assert now() <= before + 1.1


async def test_a_report_that_raises_ends_the_conversation_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Notes):
        def on_speech_started(self, item_id: str) -> None:
            raise RuntimeError("a bug")

    async with phone() as (client, _, peer):
        notes = Broken()
        client._reports.to = notes
        session = await started(client, notes, peer)
        await session.send({"type": "input_audio_buffer.speech_started", "item_id": "u1", "audio_start_ms": 0})
        failed = await notes.next("failed")
        await session.closed.wait()

        assert failed == ("internal_error",)
        assert not client.usable


async def test_neither_key_nor_words_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with phone() as (client, notes, peer):
        call = replace(CALL, history=(Message(role="caller", text="my secret wish", item_id="u1"),))
        session = await started(client, notes, peer, call)
        await session.error("invalid_value")
        await session.error("unknown_parameter")
        await session.raw('{"my secret"')
        await session.abort()
        await notes.next("renewed")

    ours = [r for r in caplog.records if r.name.startswith("adapters")]
    assert {r.getMessage() for r in ours} >= {"sts_ready", "sts_lost", "sts_renewed", "model_error"}
    assert not any("secret" in json.dumps(vars(r), default=str) for r in ours)
    theirs = [r for r in caplog.records if r.name != "websockets.server"]  # it is the peer's, and sees the key
    assert not any("sk-secret" in r.getMessage() for r in theirs)


async def test_a_format_that_the_model_cannot_take_is_refused_at_once() -> None:
    async with phone() as (client, notes, _):
        with pytest.raises(ValueError, match="24000"):
            client.start(CALL, MediaFormat("pcm16", 16_000))

        assert notes.all == []


async def test_an_answer_to_a_call_of_a_former_process_brings_the_call_along() -> None:
    pending = ToolCall(call_id="call_1", tool="bill", arguments="{}")
    async with phone() as (client, notes, peer):
        session = await started(client, notes, peer, replace(CALL, tool_calls=(pending,)))
        client.tool_result("call_1", "42")
        items = [(await session.next("conversation.item.create"))["item"] for _ in range(2)]

        assert [i["type"] for i in items] == ["function_call", "function_call_output"]
