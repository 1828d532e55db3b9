"""Lost sessions: whatever happens to a socket, the conversation goes on or ends."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from adapters.sts.contract import ResponseEnd
from adapters.sts.openai.config import OpenAiConfig
from adapters.sts.openai.transport import Disconnected, connect_websocket
from fsm.history import Message
from tests.adapters.openai.calls import CALL, Script, started, text_of
from tests.adapters.openai.peer import Notes, PeerSession, elapse, phone, silence


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
