"""Attempts, lost sessions, roll-over, closing: whatever happens to a socket, the conversation goes on or ends."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from adapters.carriers.contract import MediaFormat
from adapters.sts.contract import ResponseEnd
from adapters.sts.openai.client import OpenAiClient
from adapters.sts.openai.config import OpenAiConfig
from adapters.sts.openai.transport import Disconnected, connect_websocket
from fsm.context import BotSettings, CallContext
from fsm.history import Message
from fsm.triggers import ToolCall
from tests.adapters.openai.peer import PCMU, Notes, Peer, PeerSession, elapse, phone, silence

CALL = CallContext(bot=BotSettings(instructions="Be kind."))
Script = Callable[[PeerSession], Awaitable[None]]


def now() -> float:
    return asyncio.get_running_loop().time()


async def started(client: OpenAiClient, notes: Notes, peer: Peer, call: CallContext = CALL) -> PeerSession:
    client.start(call, PCMU)
    session = await peer.session()
    await notes.next("ready")
    return session


def text_of(item: dict[str, Any]) -> str:
    return str(item["content"][0]["text"])


# -- attempts -------------------------------------------------------------------------------------


async def test_a_key_that_is_refused_is_fatal_at_once() -> None:
    async with phone() as (client, notes, peer):
        peer.refusals = [401, 401, 401]
        client.start(CALL, PCMU)

        assert await notes.next("failed") == ("http_401",)
        assert now() < 0.1
        assert len(peer.requests) == 1
        assert not client.usable


async def test_a_server_that_is_busy_is_tried_again() -> None:
    async with phone() as (client, notes, peer):
        peer.refusals = [503, 429]
        client.start(CALL, PCMU)

        assert await notes.next("ready") == ("sess_0",)
        assert len(peer.requests) == 3
        assert 0.8 < now() < 1.0


async def test_three_failed_attempts_are_given_up() -> None:
    async with phone() as (client, notes, peer):
        peer.refusals = [500, 500, 500, 500]
        client.start(CALL, PCMU)

        assert await notes.next("failed") == ("http_500",)
        assert len(peer.requests) == 3
        assert notes.all == [("failed", "http_500")]


async def test_a_server_that_is_silent_is_given_up_within_ten_seconds() -> None:
    async def silent(session: PeerSession) -> None:
        return

    async with phone() as (client, notes, peer):
        peer.scripts = [silent] * 4
        client.start(CALL, PCMU)

        assert await notes.next("failed") == ("not_ready",)
        assert now() <= 10.0
        assert len(peer.sessions) == 3


async def test_all_attempts_together_end_within_their_time() -> None:
    async def silent(session: PeerSession) -> None:
        return

    async with phone(ready_timeout=6.0) as (client, notes, peer):
        peer.scripts = [silent] * 4
        client.start(CALL, PCMU)

        assert await notes.next("failed") == ("not_ready",)
        assert now() == pytest.approx(10.0, abs=0.1)
        assert len(peer.sessions) == 2


async def test_nobody_listens_there() -> None:
    async with phone(url="ws://127.0.0.1:1/v1/realtime") as (client, notes, _):
        client.start(CALL, PCMU)

        assert await notes.next("failed") == ("connect_failed",)


async def test_a_url_that_is_none_fails_in_words() -> None:
    async with phone(url="http://127.0.0.1:1/") as (client, notes, _):
        client.start(CALL, PCMU)

        assert await notes.next("failed") == ("connect_failed",)


async def close_before_created(session: PeerSession) -> None:
    await session.connection.close(1011, "internal")


async def close_for_the_beta(session: PeerSession) -> None:
    await session.connection.close(4000, "invalid_request_error.beta_api_shape_disabled")


async def refuse_the_settings(session: PeerSession) -> None:
    await session.send({"type": "session.created", "session": {"type": "realtime"}})
    update = await session.heard(str(await session.connection.recv()))
    await session.error("unknown_parameter", update["event_id"])


async def fail_by_itself(session: PeerSession) -> None:
    await session.error("overloaded", kind="server_error")


async def talk_nonsense(session: PeerSession) -> None:
    await session.raw("<html>")


async def talk_pcm(session: PeerSession) -> None:
    await session.send({"type": "session.created", "session": {"type": "realtime"}})
    await session.heard(str(await session.connection.recv()))
    pcm = {"type": "audio/pcm", "rate": 24000}
    audio = {"input": {"format": pcm}, "output": {"format": pcm}}
    await session.send({"type": "session.updated", "session": {"type": "realtime", "audio": audio}})


@pytest.mark.parametrize(
    ("script", "reason", "attempts"),
    [
        (close_before_created, "closed_1011", 3),
        (close_for_the_beta, "beta_api_shape_disabled", 1),
        (refuse_the_settings, "unknown_parameter", 1),
        (fail_by_itself, "overloaded", 3),
        (talk_nonsense, "protocol_error", 3),
        (talk_pcm, "format_mismatch", 1),
    ],
)
async def test_a_session_that_does_not_open(script: Script, reason: str, attempts: int) -> None:
    async with phone() as (client, notes, peer):
        peer.scripts = [script] * 3
        client.start(CALL, PCMU)

        assert await notes.next("failed") == (reason,)
        assert len(peer.sessions) == attempts


async def test_a_server_that_never_answers_the_handshake_is_given_up() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            pass
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with phone(url=url) as (client, notes, _):
        client.start(CALL, PCMU)
        failed = await notes.next("failed")
    server.close()
    await server.wait_closed()

    assert failed == ("connect_timed_out",)
    assert now() <= 10.0


async def test_other_events_before_the_session_is_ready_are_passed_over() -> None:
    async def chatty(session: PeerSession) -> None:
        await session.connection.send(b"\x00")
        await session.send({"type": "conversation.created", "conversation": {"id": "conv_1"}})
        await peer.open(session)

    async with phone() as (client, notes, peer):
        peer.scripts = [chatty]
        client.start(CALL, PCMU)

        assert await notes.next("ready") == ("sess_0",)


@pytest.mark.real_time
async def test_on_an_ordinary_loop_it_is_the_same() -> None:
    async with phone() as (client, notes, peer):
        session = await started(client, notes, peer)
        client.append(silence(3))
        await session.next("input_audio_buffer.append")
        await client.aclose()
        await session.closed.wait()

    assert notes.all == [("ready", "sess_0")]


# -- lost sessions --------------------------------------------------------------------------------


async def expire(session: PeerSession) -> None:
    for _ in range(2):
        await session.error("session_expired")


async def go_away(session: PeerSession) -> None:
    await session.connection.close(1001, "Your session hit the maximum duration of 60 minutes.")


async def cut(session: PeerSession) -> None:
    await session.abort()


async def babble(session: PeerSession) -> None:
    for _ in range(8):
        await session.raw("{")


@pytest.mark.parametrize(
    ("loss", "reason"),
    [
        (expire, "session_expired"),
        (go_away, "closed_1001"),
        (cut, "closed_1006"),
        (babble, "protocol_error"),
    ],
)
async def test_a_lost_session_is_replaced_and_told_what_was_said(loss: Script, reason: str) -> None:
    history = (
        Message(role="caller", text="My bill?", item_id="u1"),
        Message(role="tool_call", tool="bill", text='{"n":1}', item_id="call_1"),
        Message(role="tool_result", tool="bill", text="12", item_id="call_1"),
        Message(role="tool_call", tool="bill", text="{}", item_id="call_open"),
        Message(role="assistant", text="Twelve euros.", item_id="a1"),
        Message(role="caller", text=" ", item_id="u2"),
        Message(role="agent", text="Paid.", item_id="x"),
    )
    async with phone() as (client, notes, peer):
        session = await started(client, notes, peer)
        client.tell("caller verified")
        await session.next("conversation.item.create")
        client.remember(replace(CALL, history=history))
        client.respond(purpose="greeting")
        await session.create("resp_0", (await session.asked())["response"]["metadata"])
        await session.finish("resp_0")
        await notes.end()
        await loss(session)
        assert await notes.next("renewed") == ("sess_1", reason)
        second = await peer.session()
        items = [(await second.next("conversation.item.create"))["item"] for _ in range(6)]
        await elapse(5)

        assert [item["type"] for item in items] == [
            "message", "message", "function_call", "function_call_output", "message", "message"
        ]  # fmt: skip
        assert [text_of(items[i]) for i in (0, 1, 4, 5)] == ["caller verified", "My bill?", "Twelve euros.", "Paid."]
        assert items[4]["content"][0]["type"] == "output_text"
        assert items[2] == {"type": "function_call", "call_id": "call_1", "name": "bill", "arguments": '{"n":1}'}
        assert second.count("response.create") == 0
        assert second.received[0]["session"] == session.received[0]["session"]
        assert notes.of("ready") == [("sess_0",)]
        assert client.usable


async def test_messages_that_are_broken_now_and_then_cost_no_session() -> None:
    async with phone() as (client, notes, peer):
        session = await started(client, notes, peer)
        for _ in range(5):
            for _ in range(7):
                await session.raw("{")
            await session.send({"type": "rate_limits.updated", "rate_limits": []})
        await elapse(1)

        assert notes.of("renewed") == []


async def test_what_happens_in_the_gap_reaches_the_new_session() -> None:
    gate = asyncio.Event()

    async def open_late(session: PeerSession) -> None:
        await gate.wait()
        await peer.open(session)

    async with phone() as (client, notes, peer):
        session = await started(client, notes, peer)
        client.respond(purpose="tool")
        await session.create("resp_1", (await session.asked())["response"]["metadata"])
        call = {"type": "function_call", "call_id": "call_1", "name": "bill", "status": "completed", "arguments": "{}"}
        await session.finish("resp_1", output=[call])
        await notes.end()
        peer.scripts = [open_late]
        await session.abort()
        while len(peer.sessions) < 2:
            await elapse(0.01)
        client.append(silence(3))
        client.append(silence(6))
        client.tell("key 5")
        client.tool_result("call_1", "42")
        client.respond(purpose="answer")
        client.configure(replace(CALL, language="de"))
        gate.set()
        second = await peer.session()
        asked = await second.asked()
        audio = [e["audio"] for e in second.received if e["type"] == "input_audio_buffer.append"]
        items = [e["item"] for e in second.received if e["type"] == "conversation.item.create"]
        update = [e["session"] for e in second.received if e["type"] == "session.update"][-1]

        assert audio == [silence(3), silence(6)]
        assert text_of(items[0]) == "key 5"
        assert [i.get("call_id") for i in items[1:]] == ["call_1", "call_1"]
        assert items[2]["output"] == "42"
        assert update["audio"]["input"]["transcription"]["language"] == "de"
        assert asked["response"]["metadata"]["purpose"] == "answer"


async def test_a_reply_whose_audio_never_began_is_asked_for_again() -> None:
    async with phone() as (client, notes, peer):
        session = await started(client, notes, peer)
        client.respond(purpose="answer", instructions="Say it.")
        await session.create("resp_1", (await session.asked())["response"]["metadata"])
        await session.abort()
        second = await peer.session()
        asked = await second.asked()
        await second.create("resp_2", asked["response"]["metadata"])
        await second.speak("resp_2", "item_2")
        await second.finish("resp_2")
        end = await notes.end()

        assert asked["response"]["instructions"] == "Be kind.\n\nSay it."
        assert (end.response_id, end.purpose, end.status) == ("resp_2", "answer", "completed")
        assert len(notes.of("end")) == 1


async def test_a_reply_whose_audio_had_begun_is_over() -> None:
    async with phone() as (client, notes, peer):
        session = await started(client, notes, peer)
        client.respond(purpose="answer")
        await session.create("resp_1", (await session.asked())["response"]["metadata"])
        await session.speak("resp_1", "item_1", text="Half a")
        await notes.next("audio")
        await session.abort()
        end = await notes.end()
        await notes.next("renewed")
        client.truncate([("item_1", 30)])
        heard = Message(role="assistant", text="Half a", item_id="item_1", interrupted=True)
        client.remember(replace(CALL, history=(heard,)))
        client.remember(replace(CALL, history=(heard,)))
        second = await peer.session()
        item = (await second.next("conversation.item.create"))["item"]
        await elapse(5)

        assert (end.status, end.reason, end.item_ids) == ("incomplete", "lost", ("item_1",))
        assert text_of(item) == "Half a"
        assert [e["type"] for e in second.received] == ["session.update", "conversation.item.create"]


async def test_a_cancelled_reply_ends_with_its_session() -> None:
    async with phone() as (client, notes, peer):
        session = await started(client, notes, peer)
        client.respond(purpose="answer")
        await session.create("resp_1", (await session.asked())["response"]["metadata"])
        await session.speak("resp_1", "item_1")
        await notes.next("audio")
        client.cancel()
        await session.abort()
        end = await notes.end()

        assert (end.status, end.reason) == ("cancelled", "lost")


async def test_a_socket_that_is_gone_takes_messages_and_drops_them() -> None:
    async with phone() as (_, _notes, peer):
        transport = await connect_websocket(peer.url, {}, OpenAiConfig(api_key="k"))
        await transport.receive()
        transport.abort()
        transport.send("{}")
        await transport.close()
        transport.send("{}")

        with pytest.raises(Disconnected):
            await transport.receive()


async def test_a_server_that_stops_reading_is_lost() -> None:
    async def deaf(session: PeerSession) -> None:
        await peer.open(session)
        session.connection.transport.pause_reading()
        await elapse(9)

    async with phone() as (client, notes, peer):
        peer.scripts = [deaf]
        await started(client, notes, peer)
        for _ in range(100):
            client.append(silence(9000))
        renewed = await notes.next("renewed")

        assert renewed == ("sess_1", "closed_1006")


async def test_closing_in_the_report_of_a_stalled_reply_is_obeyed() -> None:
    class Hasty(Notes):
        def on_response_end(self, end: ResponseEnd) -> None:
            super().on_response_end(end)
            client.close_soon()

    async with phone() as (client, _, peer):
        client._reports.to = notes = Hasty()
        await started(client, notes, peer)
        client.respond(purpose="answer")
        end = await notes.end()
        await elapse(20)

        assert end.reason == "stalled"
        assert notes.of("renewed") == notes.of("failed") == []


async def test_utterances_are_closed_with_their_session() -> None:
    async with phone() as (client, notes, peer):
        session = await started(client, notes, peer)
        await session.send(
            {"type": "input_audio_buffer.speech_started", "item_id": "u1", "audio_start_ms": 0},
            {"type": "input_audio_buffer.speech_stopped", "item_id": "u1", "audio_end_ms": 9},
            {"type": "input_audio_buffer.speech_started", "item_id": "u2", "audio_start_ms": 10},
        )
        await notes.next("stopped")
        await notes.next("started")
        await session.abort()
        await notes.next("renewed")
        await elapse(10)

        assert notes.of("stopped") == [("u1",), ("u2",)]
        assert notes.of("transcript") == [("u1", "", "failed"), ("u2", "", "failed")]


async def test_sessions_that_never_last_are_no_conversation() -> None:
    async with phone() as (client, notes, peer):
        await started(client, notes, peer)
        for number in range(3):
            await peer.sessions[number].abort()
            await elapse(1)

        assert await notes.next("failed") == ("unstable",)
        assert len(peer.sessions) == 3


async def test_a_roll_over_that_fails_three_times_is_given_up() -> None:
    async with phone() as (client, notes, peer):
        session = await started(client, notes, peer)
        peer.refusals = [500] * 9
        await session.abort()

        assert await notes.next("failed") == ("http_500",)
        assert len(peer.requests) == 4
        assert not client.usable


async def test_a_fatal_error_of_a_running_session_is_final() -> None:
    async with phone() as (client, notes, peer):
        session = await started(client, notes, peer)
        await session.error("invalid_api_key")

        assert await notes.next("failed") == ("invalid_api_key",)
        assert len(peer.sessions) == 1


# -- the time limit -------------------------------------------------------------------------------


async def test_a_session_is_replaced_at_55_minutes_with_its_history_and_no_greeting() -> None:
    async with phone() as (client, notes, peer):
        session = await started(client, notes, peer)
        client.remember(replace(CALL, history=(Message(role="caller", text="hello", item_id="u1"),)))
        renewed = await notes.next("renewed")
        when = now()
        second = await peer.session()
        item = (await second.next("conversation.item.create"))["item"]
        client.append(silence(3))
        await second.next("input_audio_buffer.append")
        await session.closed.wait()

        assert renewed == ("sess_1", "time_limit")
        assert when == pytest.approx(55 * 60, abs=1)
        assert text_of(item) == "hello"
        assert session.connection.close_code == 1000
        assert second.count("response.create") == 0


async def test_a_busy_session_is_replaced_at_the_next_quiet_moment() -> None:
    async with phone() as (client, notes, peer):
        session = await started(client, notes, peer)
        await elapse(54 * 60)
        client.respond(purpose="answer")
        await session.create("resp_1", (await session.asked())["response"]["metadata"])
        for _ in range(8):
            await elapse(10)
            await session.speak("resp_1", "item_1")
        kept = notes.of("renewed")
        waiting = len(peer.sessions)
        await session.finish("resp_1")
        await notes.next("renewed")

        assert kept == []
        assert waiting == 1
        assert now() == pytest.approx(54 * 60 + 80, abs=1)
        assert (await notes.end_of("answer")).status == "completed"


async def test_a_session_that_is_never_quiet_is_replaced_two_minutes_before_its_end() -> None:
    async with phone() as (client, notes, peer):
        session = await started(client, notes, peer)
        await elapse(50 * 60)
        await session.send({"type": "input_audio_buffer.speech_started", "item_id": "u1", "audio_start_ms": 0})
        await notes.next("renewed")

        assert now() == pytest.approx(58 * 60, abs=1)
        assert notes.of("transcript") == [("u1", "", "failed")]


async def test_a_session_that_says_when_it_ends_is_replaced_before() -> None:
    async with phone() as (client, notes, peer):
        loop = asyncio.get_running_loop()
        peer.created = {"expires_at": int(time.time() - loop.time()) + 600}
        await started(client, notes, peer)
        await notes.next("renewed")

        assert now() == pytest.approx(550, abs=2)


async def test_an_old_session_serves_while_no_successor_can_be_opened() -> None:
    async with phone() as (client, notes, peer):
        session = await started(client, notes, peer)
        peer.refusals = [500] * 3
        await elapse(55 * 60 + 10)
        client.append(silence(3))
        await session.next("input_audio_buffer.append")
        await notes.next("renewed")

        assert now() == pytest.approx(55 * 60 + 31, abs=2)


async def test_a_successor_takes_over_when_the_old_session_is_lost_first() -> None:
    async def busy(session: PeerSession) -> None:
        await old.send({"type": "input_audio_buffer.speech_started", "item_id": "u1", "audio_start_ms": 0})
        await notes.next("started")
        await peer.open(session)
        await elapse(1)
        await old.abort()

    async with phone() as (client, notes, peer):
        old = await started(client, notes, peer)
        peer.scripts = [busy]
        renewed = await notes.next("renewed")

        assert renewed == ("sess_1", "closed_1006")
        assert len(peer.sessions) == 2


async def test_an_idle_hour_of_pings_keeps_the_socket_open() -> None:
    async with phone(max_session=3600.0) as (client, notes, peer):
        session = await started(client, notes, peer)
        await elapse(54 * 60)
        client.append(silence(3))
        await session.next("input_audio_buffer.append")

        assert len(peer.sessions) == 1


# -- closing --------------------------------------------------------------------------------------


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
