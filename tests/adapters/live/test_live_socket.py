"""Who watches calls over a WebSocket sees how they are, then everything that happens, once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from adapters.live.messages import SERVER
from fsm.triggers import (
    PlaybackFinished,
    ReplyFailed,
    SegmentReceived,
    SessionConfigured,
    StsFailed,
    ToolCall,
    ToolCalled,
    Trigger,
    UserTranscript,
)
from tests.adapters.live.world import Gate, a_world, hear, two_nodes
from tests.fakes import elapse

LIVE = "/api/v1/calls/CA1/live"


async def _until_closed(socket: Any) -> AsyncIterator[str]:
    with suppress(ConnectionClosed):
        while True:
            yield await socket.recv()


async def everything(socket: Any) -> list[dict[str, Any]]:
    """Return all that comes until the socket is closed; each message as the schema has it."""
    said = [json.loads(text) async for text in _until_closed(socket)]
    for message in said:
        SERVER.validate_python(message)
    return [message for message in said if message["type"] != "heartbeat"]


async def test_a_watcher_gets_a_snapshot_then_what_follows_until_the_call_is_over() -> None:
    async with a_world() as world:
        world.answer()
        await elapse(0.1)
        async with world.socket(LIVE) as socket:
            snapshot = await hear(socket)
            world.say("where is my order")
            await elapse(0.1)
            world.hang_up()

            told = await everything(socket)

        assert snapshot["type"] == "snapshot"
        assert snapshot["data"]["call"]["state"] == "greeting"
        seqs = [m["data"]["seq"] for m in told if m["type"] == "transition"]
        first = snapshot["data"]["call"]["seq"] + 1
        assert seqs == list(range(first, first + len(seqs)))
        assert [m["data"]["text"] for m in told if m["type"] == "transcript.updated"] == ["where is my order"]
        assert told[-1]["type"] == "call.status_changed"
        assert told[-1]["data"] == {
            "seq": seqs[-1],
            "at": told[-1]["data"]["at"],
            "status": "ended",
            "sessionId": "CA1",
            "streamSid": "MZCA1",
            "endReason": "caller_hung_up",
            "state": "closed",
        }
        assert (socket.close_code, socket.close_reason) == (1000, "the call is over")


async def test_status_goes_from_initiated_to_active_to_ended() -> None:
    async with a_world() as world:
        async with world.socket("/api/v1/calls/live") as socket:
            await hear(socket, "snapshot")
            world.answer()
            await elapse(0.1)
            world.hang_up()

            told = [(await hear(socket, "call.status_changed"))["data"] for _ in range(3)]

        assert [(t["status"], t["streamSid"], t["state"]) for t in told] == [
            ("initiated", "", "created"),
            ("active", "MZCA1", "greeting"),
            ("ended", "MZCA1", "closed"),
        ]


async def test_what_happens_while_the_snapshot_is_made_is_told_once() -> None:
    async with a_world() as world:
        world.answer()
        await elapse(0.1)
        world.book.times.append(lambda: world.say("now"))
        async with world.socket(LIVE) as socket:
            snapshot = await hear(socket)
            world.book.times.clear()
            world.hang_up()
            told = await everything(socket)

        assert snapshot["data"]["transcript"] == []
        assert [m["data"]["text"] for m in told if m["type"] == "transcript.updated"] == ["now"]


async def test_whoever_comes_back_with_the_last_id_hears_the_rest_and_no_snapshot() -> None:
    async with a_world() as world:
        world.answer()
        await elapse(0.1)
        async with world.socket(LIVE) as socket:
            await hear(socket, "snapshot")
            world.say("one")
            last = await hear(socket, "transcript.updated")
        world.say("two")
        await elapse(0.1)
        async with world.socket(f"{LIVE}?after={last['id']}") as socket:
            world.hang_up()
            told = await everything(socket)

        assert told[0]["type"] == "transition"
        assert told[0]["data"]["seq"] == last["data"]["seq"] + 1
        assert [m["data"]["text"] for m in told if m["type"] == "transcript.updated"] == ["two"]


async def test_what_the_ring_has_forgotten_is_told_from_the_journal_in_the_same_words() -> None:
    async with a_world() as world:
        world.answer()
        await elapse(0.1)
        for text in ("one", "two"):
            world.say(text)
        await elapse(5)
        async with world.socket(f"{LIVE}?after=1.0") as socket:
            world.post(SessionConfigured(voice="cedar"))
            from_ring = [await hear(socket) for _ in range(8)]
        world.live.hub._ring.clear()
        world.book.asked.clear()
        async with world.socket(f"{LIVE}?after=1.0") as socket:
            from_journal = [await hear(socket) for _ in range(8)]

        assert world.book.asked == ["get", "journal"]
        for message in (*from_ring, *from_journal):
            message["data"].pop("at")
        assert from_journal == from_ring


async def test_a_call_that_is_over_is_shown_and_the_socket_closed() -> None:
    async with a_world() as world:
        session = world.answer()
        world.hang_up()
        await session.wait_settled()
        async with world.socket(LIVE) as socket:
            told = await everything(socket)
        async with world.socket(f"{LIVE}?after={told[0]['id']}") as again:
            assert await everything(again) == []

        assert [m["type"] for m in told] == ["snapshot"]
        assert told[0]["data"]["call"]["status"] == "ended"


async def test_a_call_whose_end_was_told_and_that_has_not_settled_yet_is_over_too() -> None:
    async with a_world() as world:
        session = world.answer()
        world.hang_up()
        await session.wait_settled()
        world.book.unsettled = True
        async with world.socket(LIVE) as socket:
            assert [m["type"] for m in await everything(socket)] == ["snapshot"]


async def test_the_end_is_told_once_it_is_durable_and_not_before() -> None:
    gate = Gate()
    async with a_world(journal=gate) as world:
        session = world.answer()
        await elapse(0.1)
        async with world.socket(LIVE) as socket:
            await hear(socket, "snapshot")
            world.hang_up()
            await session.wait_settled()
            assert (await hear(socket, "transition"))["data"]["to"] == "closed"
            assert (await hear(socket, "heartbeat", "call.status_changed"))["type"] == "heartbeat"
            gate.opened.set()

            told = await hear(socket, "call.status_changed")

        assert told["data"]["status"] == "ended"
        assert gate.asked == [("CA1", told["data"]["seq"])]


async def test_the_end_of_a_call_that_another_node_has_is_never_told() -> None:
    gate = Gate()
    async with a_world(journal=gate) as world:
        session = world.answer()
        given_up = world.answer("CA2")
        await elapse(0.1)
        async with world.socket("/api/v1/calls/live") as socket:
            await hear(socket, "snapshot")
            given_up.give_up()
            world.hang_up()
            await session.wait_settled()
            gate.lost.add("CA1")
            gate.opened.set()
            told = [await hear(socket, "heartbeat", "call.status_changed") for _ in range(2)]

        assert [m["type"] for m in told] == ["heartbeat", "heartbeat"]


async def test_a_watcher_of_all_calls_hears_each_call_from_where_the_list_shows_it() -> None:
    async with a_world() as world:
        world.answer("CA1")
        await elapse(0.1)
        world.book.times.append(lambda: world.say("now"))
        async with world.socket("/api/v1/calls/live") as socket:
            snapshot = await hear(socket)
            world.book.times.clear()
            world.answer("CA2")
            now = await hear(socket, "transition")
            new = await hear(socket, "call.status_changed")
        async with world.socket(f"/api/v1/calls/live?after={now['id']}") as socket:
            again = await hear(socket, "call.status_changed")

        assert [call["call_id"] for call in snapshot["data"]["calls"]] == ["CA1"]
        assert now["data"]["seq"] == snapshot["data"]["calls"][0]["seq"] + 1
        assert new["call_id"] == "CA2"
        assert again == new


async def test_a_watcher_on_another_node_hears_the_same_events_and_may_resume_there() -> None:
    async with two_nodes() as (one, two):
        one.answer()
        await elapse(0.1)
        async with two.socket(LIVE) as socket:
            await hear(socket, "snapshot")
            one.say("hello")
            there = await hear(socket, "transcript.updated")
        async with one.socket(f"{LIVE}?after=1.0") as socket:
            here = await hear(socket, "transcript.updated")

        assert here == there


async def test_what_the_bus_lost_is_told_from_the_journal_in_its_place() -> None:
    async with two_nodes() as (one, two):
        one.answer()
        await elapse(0.1)
        async with two.socket(LIVE) as socket:
            snapshot = await hear(socket, "snapshot")
            two.bus.losing = True
            one.say("lost")
            await elapse(5)
            two.bus.losing = False
            one.hang_up()
            told = await everything(socket)

        seqs = [m["data"]["seq"] for m in told if m["type"] == "transition"]
        assert seqs == list(range(snapshot["data"]["call"]["seq"] + 1, seqs[-1] + 1))
        assert [m["data"]["text"] for m in told if m["type"] == "transcript.updated"] == ["lost"]


async def test_an_id_of_another_node_resumes_all_calls_without_loss() -> None:
    async with two_nodes() as (one, two):
        await elapse(10)
        one.answer()
        await elapse(0.1)
        async with one.socket("/api/v1/calls/live") as socket:
            last = await hear(socket, "snapshot")
        one.say("meanwhile")
        await elapse(0.1)
        async with two.socket(f"/api/v1/calls/live?after={last['id']}") as socket:
            told = [await hear(socket) for _ in range(8)]

        assert "snapshot" not in {m["type"] for m in told}
        assert "meanwhile" in [m["data"].get("text") for m in told]


@pytest.mark.parametrize("after", ["", "0-0", "x", "9" * 50, "1-1-abcdef", "-", "1.1"])
async def test_an_id_that_says_nothing_brings_a_snapshot(after: str) -> None:
    async with a_world() as world, world.socket(f"/api/v1/calls/live?after={after}") as socket:
        assert (await hear(socket))["type"] == "snapshot"


async def test_a_watcher_that_does_not_keep_up_is_cut_off_and_may_resume() -> None:
    async with a_world() as world:
        world.live.hub._queue = 20
        session = world.answer()
        await elapse(0.1)
        async with world.socket(LIVE) as socket:
            last = await hear(socket, "snapshot")
            for n in range(30):
                session.post(SessionConfigured(metadata={"n": n}))
            told = await everything(socket)
            assert socket.close_code == 1013
            assert "after the last id" in (socket.close_reason or "")
        async with world.socket(f"{LIVE}?after={(told or [last])[-1]['id']}") as socket:
            world.hang_up()
            rest = await everything(socket)

        seqs = [m["data"]["seq"] for m in (*told, *rest) if m["type"] == "transition"]
        assert seqs == list(range(seqs[0], seqs[0] + 31))


async def test_what_agents_tools_and_segments_say_is_told() -> None:
    async with a_world() as world:
        session = world.answer()
        await elapse(0.1)
        async with world.socket(LIVE) as socket:
            await hear(socket, "snapshot")
            session.post(SegmentReceived(id="s1", seq=4, text="from elsewhere", start_ms=10, end_ms=20))
            segment = await hear(socket, "transcript.updated")
            session.post(PlaybackFinished())
            session.post(UserTranscript(text="where is my order", item_id="item_1"))
            intent = await hear(socket, "intent.detected")
            session.post(ToolCalled(calls=(ToolCall(call_id="c1", tool="order_status", arguments="{}"),)))
            tool = await hear(socket, "tool.called")
            for message in (segment, intent, tool):
                SERVER.validate_python(message)

        assert segment["data"]["role"] == "segment"
        assert segment["data"]["start_ms"] == 10
        assert intent["data"]["intent"] == "opening_hours"
        assert tool["data"]["tools"] == [{"tool": "order_status", "id": "c1"}]


async def test_what_happens_while_the_list_is_made_is_told_once() -> None:
    async with a_world() as world:
        world.answer("CA1")
        await elapse(0.1)
        world.book.before.append(lambda: world.say("before"))
        async with world.socket("/api/v1/calls/live") as socket:
            snapshot = await hear(socket)
            world.book.before.clear()
            world.say("after")
            told = await hear(socket)

        assert told["data"]["seq"] == snapshot["data"]["calls"][0]["seq"] + 1


async def test_what_is_nowhere_any_more_is_shown_by_a_new_snapshot() -> None:
    async with a_world() as world:
        world.answer()
        await elapse(0.1)
        world.live.hub._ring.clear()
        del world.book.records["CA1"][1]
        async with world.socket(f"{LIVE}?after=1.0") as socket:
            assert (await hear(socket))["type"] == "snapshot"


@pytest.mark.parametrize(
    ("trigger", "code", "text"),
    [
        (StsFailed(reason="gave_up"), "sts.failed", "gave_up"),
        (ReplyFailed(reason="refused"), "reply.failed", "refused"),
    ],
    ids=["sts", "reply"],
)
async def test_what_fails_in_a_call_is_told(trigger: Trigger, code: str, text: str) -> None:
    async with a_world() as world:
        world.answer()
        await elapse(0.1)
        async with world.socket(LIVE) as socket:
            await hear(socket, "snapshot")
            world.post(trigger)
            told = await hear(socket, "error")

        assert (told["data"]["code"], told["data"]["message"]) == (code, text)


async def test_what_handlers_tell_by_themselves_is_told_in_its_place() -> None:
    async with a_world() as world:
        session = world.answer()
        await elapse(0.1)
        async with world.socket(LIVE) as socket:
            snapshot = await hear(socket, "snapshot")
            session.ports.fronts.notify("CA1", "order.found", {"order": 7})
            world.say("hello")
            first, second = await hear(socket), await hear(socket)

        seq = snapshot["data"]["call"]["seq"]
        assert (first["type"], first["data"]["order"], first["data"]["seq"]) == ("order.found", 7, seq)
        assert second["data"]["seq"] == seq + 1


async def test_a_call_that_nobody_knows_is_told_by_a_close_code() -> None:
    async with a_world() as world, world.socket("/api/v1/calls/CA404/live") as socket:
        await everything(socket)

        assert (socket.close_code, socket.close_reason) == (4404, "there is no call CA404")


async def test_who_may_not_watch_is_refused_before_the_socket_opens() -> None:
    async with a_world() as world:
        world.access.token = "open sesame"
        with pytest.raises(InvalidStatus) as refused:
            async with world.socket(LIVE):
                pass
        async with world.socket("/api/v1/calls/live?ticket=open%20sesame") as socket:
            assert (await hear(socket))["type"] == "snapshot"

        assert refused.value.response.status_code == 401
        assert json.loads(refused.value.response.body)["detail"] == "show a ticket: POST /api/v1/tickets"
        assert world.access.asked == [(False, "CA1"), (False, None)]


async def test_a_ping_is_answered_silence_is_filled_and_nothing_else_is_taken() -> None:
    async with a_world() as world, world.socket("/api/v1/calls/live") as socket:
        await hear(socket, "snapshot")
        began = world.clock.now()
        await hear(socket, "heartbeat")
        assert world.clock.now() - began == pytest.approx(15.0, abs=0.1)
        await socket.send('{"type": "ping"}')
        await hear(socket, "heartbeat")
        assert world.clock.now() - began == pytest.approx(15.0, abs=0.1)
        await socket.send('{"type": "configure", "data": {"voice": "cedar"}}')

        assert (await hear(socket, "error"))["data"]["code"] == "read_only"


async def test_a_server_that_stops_says_so() -> None:
    async with a_world() as world:
        async with world.socket("/api/v1/calls/live") as socket:
            await hear(socket, "snapshot")
            await world.live.aclose()
            await everything(socket)

        assert socket.close_code == 1013


async def test_a_peer_that_never_reads_is_cut_off_and_slows_nobody() -> None:
    async with a_world() as world:
        session = world.answer()
        await elapse(0.1)
        reader, writer = await asyncio.open_connection(*world.url.split(":"), limit=1024)
        writer.write(
            f"GET {LIVE} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        await reader.readuntil(b"\r\n\r\n")
        await elapse(0.1)
        for _ in range(300):  # fewer than would cut it off by their number
            session.post(SegmentReceived(id="s", text="x" * 100_000))
            await elapse(0.01)
        assert session.snapshot.seq > 300
        assert world.live.hub.watched == 1
        await elapse(60)

        assert world.live.hub.watched == 0
        writer.close()
