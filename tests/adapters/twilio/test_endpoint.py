"""The media socket, through a real server on loopback."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from adapters.carriers.twilio.calls import TwilioCalls
from adapters.carriers.twilio.config import TwilioConfig
from adapters.carriers.twilio.endpoint import TwilioMedia
from fsm.errors import PortError
from fsm.triggers import CallDtmf, CallEnded, CallStarted
from tests.adapters.twilio.desk import CALL, STREAM, FakeDesk, media, served, start
from tests.fakes import elapse

WIRE = Path(__file__).parent / "wire"
ENDED = ("trigger", CallEnded(reason="caller_hung_up"))
SILENCE = "/" * 160


async def close_of(peer: ClientConnection) -> tuple[int | None, str | None]:
    """The code and the reason that the server closed with."""
    with suppress(ConnectionClosed):
        async for _ in peer:
            pass
    return peer.close_code, peer.close_reason


@pytest.mark.parametrize("path", ["/twilio/media", "/media-stream"])
async def test_a_recorded_call_is_brought_to_the_desk_and_heard(path: str) -> None:
    async with served() as line:
        async with line.socket(path) as peer:
            for frame in (WIRE / "stream_sid_first.jsonl").read_text().splitlines():
                await peer.send(frame)
            leg, heard = await line.desk.legs.get()
            await heard.until(*ENDED)
        await leg.wait_closed()

    started = CallStarted(
        carrier="twilio",
        caller="+15550100",
        called="+15550199",
        stream_id=STREAM,
        media_format="pcmu/8000",
        parameters={"ctx": "c-81f0"},
    )
    assert line.desk.connected == [(started, CALL, False)]
    assert heard.log == [
        ("audio", "//////////8=", 20),
        ("audio", "f39/fw==", 40),
        ("mark", "g1:m4"),
        ("audio", "//79/Pv6", 60),
        ("trigger", CallDtmf(digits="7")),
        ENDED,
        ("closed", "the peer closed"),
    ]


async def test_what_a_leg_is_told_arrives_in_order() -> None:
    async with served() as line, line.stream() as (peer, leg, _):
        leg.play(SILENCE)
        leg.mark("g1:m1")
        frames = [json.loads(await peer.recv()) for _ in range(2)]
        leg.clear()
        frames.append(json.loads(await peer.recv()))

    assert (leg.carrier, leg.stream_id, leg.media_format.bytes_per_ms) == ("twilio", STREAM, 8)
    assert frames == [
        {"event": "media", "streamSid": STREAM, "media": {"payload": SILENCE}},
        {"event": "mark", "streamSid": STREAM, "mark": {"name": "g1:m1"}},
        {"event": "clear", "streamSid": STREAM},
    ]


async def test_clear_takes_back_audio_that_has_not_been_sent_and_marks_after_clear_still_come_back() -> None:
    async with served() as line, line.stream() as (peer, leg, heard):
        leg.play(SILENCE)
        leg.mark("g1:m1")
        leg.clear()
        sent = [json.loads(await peer.recv())["event"] for _ in range(2)]
        await peer.send(json.dumps({"event": "mark", "streamSid": STREAM, "mark": {"name": "g1:m1"}}))
        await heard.until("mark", "g1:m1")

    assert sent == ["mark", "clear"]


async def test_the_carriers_stop_finalises_the_call() -> None:
    async with served() as line, line.stream() as (peer, leg, heard):
        await peer.send(json.dumps({"event": "stop", "streamSid": STREAM, "sequenceNumber": "9"}))
        await heard.until(*ENDED)
        leg.close("call over")
        assert await close_of(peer) == (1000, "call over")
        await leg.wait_closed()

    assert heard.log == [ENDED, ("closed", "call over")]


async def test_a_tcp_abort_30_ms_after_the_start_leaves_nothing_open() -> None:
    async with served() as line, line.stream() as (peer, leg, heard):
        await elapse(0.03)
        peer.transport.abort()
        await heard.closed.wait()
        await leg.wait_closed()
        leg.play(SILENCE)

    assert heard.log == [("closed", "the peer closed")]


async def test_a_socket_that_says_nothing_is_closed_after_ten_seconds() -> None:
    async with served() as line, line.socket() as peer:
        await peer.send('{"event":"connected","protocol":"Call","version":"1.0.0"}')
        loop = asyncio.get_running_loop()
        began = loop.time()
        closed = await close_of(peer)
        waited = loop.time() - began

    assert closed == (1008, "no start")
    assert 9.9 < waited < 11
    assert line.desk.connected == []


async def test_a_socket_that_leaves_before_its_start_is_no_call() -> None:
    async with served() as line, line.socket() as peer:
        await peer.send('{"event":"connected"}')

    assert line.desk.connected == []


@pytest.mark.parametrize(
    ("frame", "code", "reason"),
    [
        ("not json at all", 1007, "twilio: a frame is not JSON"),
        (b"\xff\xff", 1003, "twilio: a binary frame"),
        (" " * 70_000, 1009, "twilio: a frame is too long"),
        (start(call_id="CAother"), 1008, "twilio: a second start names another call"),
    ],
    ids=["not JSON", "binary", "too long", "another call"],
)
async def test_a_broken_frame_closes_the_socket_and_the_call_hears_of_it(
    frame: str | bytes, code: int, reason: str
) -> None:
    async with served() as line, line.stream() as (peer, leg, heard):
        await peer.send(frame)
        closed = await close_of(peer)
        await leg.wait_closed()

    assert closed == (code, reason)
    assert heard.log == [("closed", reason)]


@pytest.mark.parametrize(("frame", "code"), [("{", 1007), (b"x", 1003)], ids=["not JSON", "binary"])
async def test_a_broken_frame_before_the_start_closes_the_socket(frame: str | bytes, code: int) -> None:
    async with served() as line, line.socket() as peer:
        await peer.send(frame)
        closed = await close_of(peer)

    assert closed[0] == code
    assert line.desk.connected == []


async def test_frames_sent_twice_are_heard_once_and_a_start_sent_twice_starts_once() -> None:
    async with served() as line, line.stream() as (peer, leg, heard):
        for frame in (start(), media(1), media(1), media(3), media(2), media(4)):
            await peer.send(frame)
        await heard.until("audio", "f39/fw==", 80)

        assert [event[2] for event in heard.log] == [20, 60, 80]
    assert len(line.desk.connected) == 1


async def test_unknown_events_are_weather() -> None:
    async with served() as line, line.stream() as (peer, leg, heard):
        await peer.send('{"event":"weather","temperature":"12"}')
        await peer.send(media(1))
        await heard.until("audio", "f39/fw==", 20)

        assert len(heard.log) == 1


async def test_a_second_socket_for_one_call_is_refused_without_proof() -> None:
    async with served() as line, line.stream() as (first, _, heard):
        async with line.socket() as second:
            await second.send(start(stream_id="MZ2"))
            assert await close_of(second) == (1008, "refused")
        await first.send(media(1))
        await heard.until("audio", "f39/fw==", 20)

    assert [proof for _, _, proof in line.desk.connected] == [False, False]


async def test_the_token_of_our_twiml_proves_whose_socket_it_is() -> None:
    async with served() as line:
        token = line.calls.token(CALL)
        async with (
            line.stream(token=token, caller="+15550100") as (_, first, _),
            line.stream(token=token) as (_, second, _),
        ):
            assert [proof for _, _, proof in line.desk.connected] == [True, True]
            assert second is not first


@pytest.mark.parametrize("token", ["", "0" * 32, "zzz", "é"])
async def test_a_wrong_token_proves_nothing(token: str) -> None:
    async with served() as line, line.stream(token=token) as (_, leg, _):
        assert line.desk.connected[0][2] is False
        assert leg.can_return is False


async def test_a_token_from_before_a_restart_is_as_good_as_our_webhook() -> None:
    async with served(token_secret="same on every node") as line:
        token = TwilioCalls(TwilioConfig(token_secret="same on every node")).token(CALL)
        async with line.stream(token=token, caller="+15550100", called="+15550199") as (_, leg, _):
            known = line.calls.get(CALL)
            assert leg.can_return
            assert known is not None
            assert (known.caller, known.called) == ("+15550100", "+15550199")


async def test_a_late_socket_of_a_call_that_is_over_is_turned_away() -> None:
    async with served() as line, line.socket() as peer:
        line.calls.see(CALL)
        line.calls.end(CALL)
        await peer.send(start(token=line.calls.token(CALL)))
        assert await close_of(peer) == (1008, "refused")

    assert line.desk.connected == []


async def test_a_desk_that_refuses_leaves_a_leg_that_is_closed() -> None:
    async with served(desk=FakeDesk(refuses=True)) as line, line.socket() as peer:
        await peer.send(start())
        assert await close_of(peer) == (1008, "refused")


async def test_hanging_up_closes_the_socket_and_leaves_the_rest_to_the_action_url() -> None:
    async with served() as line:
        call = line.calls.see(CALL)
        async with line.stream() as (peer, leg, heard):
            leg.play(SILENCE * 10)
            await leg.hang_up()
            await leg.hang_up()
            assert await close_of(peer) == (1000, "hang_up")

    assert call.hanging_up
    assert heard.log == [("closed", "hang_up")]


async def test_what_is_queued_when_a_leg_is_closed_is_cut() -> None:
    async with served() as line, line.stream() as (peer, leg, _):
        await elapse(0.1)  # the writer waits for something to send
        leg.play(SILENCE)
        leg.close()
        received = [frame async for frame in peer]

    assert received == []


async def test_a_leg_whose_peer_has_gone_cannot_be_transferred_any_more() -> None:
    async with served() as line:
        call = line.calls.see(CALL)
        async with line.stream() as (_, leg, heard):
            pass
        await heard.closed.wait()
        await leg.transfer("+15550123")

    assert call.transfer_target == ""


async def test_hanging_up_a_call_that_our_webhook_never_saw_closes_the_socket() -> None:
    async with served() as line, line.stream() as (_, leg, heard):
        await leg.hang_up()

    assert heard.log == [("closed", "hang_up")]
    assert len(line.calls) == 0


async def test_after_its_end_a_leg_does_nothing() -> None:
    async with served() as line:
        call = line.calls.see(CALL)
        async with line.stream() as (peer, leg, heard):
            leg.close()
            leg.close("again")
            leg.play(SILENCE)
            leg.mark("m")
            leg.clear()
            await leg.transfer("+15550123")
            assert await close_of(peer) == (1000, "closed")
            await leg.wait_closed()
            await leg.hang_up()

    assert heard.log == [("closed", "closed")]
    assert call.transfer_target == ""


async def test_a_transfer_is_left_for_the_action_url() -> None:
    async with served() as line:
        call = line.calls.see(CALL)
        async with line.stream() as (peer, leg, heard):
            await leg.transfer(" +1 (555) 0123 ")
            assert await close_of(peer) == (1000, "transfer")
            await leg.wait_closed()

    assert call.transfer_target == "+15550123"
    assert heard.log == [("closed", "transfer")]


@pytest.mark.parametrize("target", ["", "  ", "the manager", "+1", "sip:nobody"])
async def test_a_transfer_needs_somebody_to_call(target: str) -> None:
    async with served() as line:
        line.calls.see(CALL)
        async with line.stream() as (_, leg, heard):
            with pytest.raises(PortError, match="transfer needs") as raised:
                await leg.transfer(target)

            assert not raised.value.retryable
            assert not heard.closed.is_set()


async def test_a_call_that_our_webhook_never_saw_cannot_be_transferred() -> None:
    async with served() as line, line.stream() as (_, leg, heard):
        with pytest.raises(PortError, match="never saw"):
            await leg.transfer("+15550123")

        assert not heard.closed.is_set()


async def test_a_peer_that_lets_too_much_pile_up_is_let_go() -> None:
    async with served(queue_limit=1_000_000) as line, line.stream() as (_, leg, heard):
        for _ in range(8):
            leg.play("/" * 160_000)
        await heard.closed.wait()

    assert heard.log == [("closed", "the peer does not read")]


async def test_a_peer_that_reads_may_be_sent_any_amount() -> None:
    async with served(queue_limit=1_000_000) as line, line.stream() as (peer, leg, heard):
        for _ in range(5):
            leg.play("/" * 600_000)
            await peer.recv()

        assert not heard.closed.is_set()


async def test_what_was_taken_back_counts_no_more() -> None:
    async with served(queue_limit=1_000_000) as line, line.stream() as (peer, leg, heard):
        for _ in range(5):
            leg.play("/" * 600_000)
            leg.clear()
        sent = [json.loads(await peer.recv())["event"] for _ in range(5)]

        assert sent == ["clear"] * 5
        assert not heard.closed.is_set()


async def unread_socket(address: str) -> asyncio.StreamWriter:
    """A media socket whose owner never reads, and hardly lets the kernel either."""
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.setblocking(False)
    host, _, port = address.partition(":")
    await asyncio.get_running_loop().sock_connect(peer, (host, int(port)))
    reader, writer = await asyncio.open_connection(sock=peer, limit=1024)
    writer.write(
        b"GET /twilio/media HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    text = start().encode()
    writer.write(b"\x81" + bytes([0x80 | 126]) + len(text).to_bytes(2, "big") + bytes(4) + text)  # masked with zeros
    return writer


async def test_a_peer_that_reads_nothing_for_ten_seconds_is_let_go_and_its_socket_cut() -> None:
    async with served(queue_limit=100_000_000) as line:
        writer = await unread_socket(line.address)
        leg, heard = await line.desk.legs.get()
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(120):
            leg.play("/" * 160_000)
        await heard.closed.wait()
        waited = loop.time() - began
        assert line.open_connections() == 1
        await elapse(20)  # what the kernel has taken is still unread
        assert line.open_connections() == 0
        writer.transport.abort()
        await elapse(0)

    assert heard.log == [("closed", "the peer does not read")]
    assert 9.9 < waited < 12


async def test_closing_does_not_wait_for_a_peer_that_does_not_read() -> None:
    async with served(queue_limit=100_000_000) as line:
        writer = await unread_socket(line.address)
        leg, heard = await line.desk.legs.get()
        for _ in range(120):
            leg.play("/" * 160_000)
        await elapse(1)
        began = asyncio.get_running_loop().time()
        await leg.hang_up()
        waited = asyncio.get_running_loop().time() - began
        writer.transport.abort()
        await elapse(0)

    assert heard.log == [("closed", "hang_up")]
    assert waited < 5


async def test_a_server_that_stops_tells_every_call() -> None:
    async with served() as line:
        socket_of_call = line.stream()
        _, leg, heard = await socket_of_call.__aenter__()
    await heard.closed.wait()
    await leg.wait_closed()
    await socket_of_call.__aexit__(None, None, None)

    assert heard.log == [("closed", "the peer closed")]


# -- other servers than ours, by hand -------------------------------------------------------------


class Asgi:
    """One connection of an ASGI server, played by a test."""

    def __init__(self, *incoming: dict[str, Any]) -> None:
        self.sent: list[Any] = []
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        for message in incoming:
            self.incoming.put_nowait(message)

    async def receive(self) -> Any:
        return await self.incoming.get()

    async def send(self, message: Any) -> None:
        self.sent.append(message)


def application(desk: FakeDesk, **settings: Any) -> TwilioMedia:
    config = TwilioConfig(**settings)
    return TwilioMedia(config, desk, TwilioCalls(config))


async def test_plain_http_is_told_that_this_is_a_socket() -> None:
    peer = Asgi()

    await application(FakeDesk())({"type": "http", "headers": []}, peer.receive, peer.send)

    assert peer.sent[0]["status"] == 426


async def test_a_server_that_cannot_refuse_with_a_reason_closes() -> None:
    peer = Asgi({"type": "websocket.connect"})
    scope = {"type": "websocket", "headers": [(b"host", b"h")], "path": "/twilio/media"}

    await application(FakeDesk(), auth_token="secret")(scope, peer.receive, peer.send)

    assert peer.sent == [{"type": "websocket.close", "code": 1008}]


async def test_a_peer_that_leaves_before_its_start_ends_quietly() -> None:
    peer = Asgi({"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1006})

    await application(FakeDesk())({"type": "websocket"}, peer.receive, peer.send)

    assert peer.sent == [{"type": "websocket.accept"}]


async def test_a_peer_that_leaves_while_it_is_refused_ends_quietly() -> None:
    class Gone(Asgi):
        async def send(self, message: Any) -> None:
            await super().send(message)
            if message["type"] == "websocket.close":
                raise OSError("the peer is gone")

    peer = Gone({"type": "websocket.connect"}, {"type": "websocket.receive", "text": "no JSON"})

    await application(FakeDesk())({"type": "websocket"}, peer.receive, peer.send)

    assert peer.sent[-1] == {"type": "websocket.close", "code": 1007, "reason": "twilio: a frame is not JSON"}


async def test_a_server_that_never_confirms_our_close_is_not_waited_for() -> None:
    desk = FakeDesk()
    peer = Asgi({"type": "websocket.connect"}, {"type": "websocket.receive", "text": start()})
    serving = asyncio.create_task(application(desk)({"type": "websocket"}, peer.receive, peer.send))
    leg, heard = await desk.legs.get()

    await leg.hang_up()
    await serving

    assert peer.sent[-1] == {"type": "websocket.close", "code": 1000, "reason": "hang_up"}
    assert heard.log == [("closed", "hang_up")]


async def test_a_peer_that_goes_while_we_write_is_only_a_closed_socket() -> None:
    class Gone(Asgi):
        async def send(self, message: Any) -> None:
            if message["type"] == "websocket.send":
                self.incoming.put_nowait({"type": "websocket.disconnect"})
                raise OSError("the peer is gone")

    desk = FakeDesk()
    peer = Gone({"type": "websocket.connect"}, {"type": "websocket.receive", "text": start()})
    serving = asyncio.create_task(application(desk)({"type": "websocket"}, peer.receive, peer.send))
    leg, heard = await desk.legs.get()

    leg.play(SILENCE)
    await serving

    assert heard.log == [("closed", "the peer closed")]


async def test_closing_in_the_instant_in_which_a_peer_is_given_up_is_harmless() -> None:
    class Stuck(Asgi):
        async def send(self, message: Any) -> None:
            if message["type"] == "websocket.send":
                await asyncio.Event().wait()

    desk = FakeDesk()
    peer = Stuck({"type": "websocket.connect"}, {"type": "websocket.receive", "text": start()})
    serving = asyncio.create_task(application(desk)({"type": "websocket"}, peer.receive, peer.send))
    leg, heard = await desk.legs.get()
    leg.play(SILENCE)
    await elapse(0)
    loop, failures = asyncio.get_running_loop(), list[dict[str, Any]]()
    loop.set_exception_handler(lambda _, context: failures.append(context))

    loop.call_at(loop.time() + 10 + 1e-10, leg.close, "call over")
    await serving

    assert failures == []
    assert heard.log == [("closed", "call over")]


async def test_a_server_that_cancels_us_still_has_the_call_told() -> None:
    desk = FakeDesk()
    peer = Asgi({"type": "websocket.connect"}, {"type": "websocket.receive", "text": start()})
    serving = asyncio.create_task(application(desk)({"type": "websocket"}, peer.receive, peer.send))
    leg, heard = await desk.legs.get()

    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    await leg.wait_closed()

    assert heard.log == [("closed", "the server stops")]


async def test_no_log_line_tells_what_a_peer_sent(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="adapters")
    async with served() as line:
        async with line.socket() as peer:
            await peer.send('{"event":"start","start":"+15550100 secret"}')
            await close_of(peer)
        async with line.stream(token="secret") as (peer, leg, _):
            await peer.send('"secret"')
            await leg.wait_closed()

    assert "socket_refused" in caplog.text
    assert "secret" not in "".join(str(record.__dict__) for record in caplog.records if "adapters" in record.name)


# -- while the desk asks its store ------------------------------------------------------------------


async def test_what_comes_while_the_desk_asks_its_store_is_heard_in_order_once_it_knows() -> None:
    slow = asyncio.Event()
    async with served(desk=FakeDesk(slow=slow)) as line, line.socket() as peer:
        await peer.send(start())
        for number in range(1, 101):
            await peer.send(media(number))
        await elapse(0.5)
        assert line.desk.legs.empty()

        slow.set()
        _, heard = await line.desk.legs.get()
        await heard.until("audio", "f39/fw==", 2000)

    assert [event[2] for event in heard.log if event[0] == "audio"] == [number * 20 for number in range(1, 101)]


async def test_a_peer_that_leaves_while_the_desk_asks_its_store_is_told_as_gone() -> None:
    slow = asyncio.Event()
    async with served(desk=FakeDesk(slow=slow)) as line:
        async with line.socket() as peer:
            await peer.send(start())
            await elapse(0.1)
        slow.set()
        _, heard = await line.desk.legs.get()
        await heard.closed.wait()

    assert [event[0] for event in heard.log] == ["closed"]


async def test_a_stream_of_our_twiml_says_whether_the_call_has_had_one() -> None:
    async with served() as line:
        token = line.calls.token(CALL)
        async with line.stream(token=token):
            pass
        async with line.stream(token=token, again="1"):
            pass
        line.desk.live.clear()
        async with line.stream(again="1"):  # anybody may say so
            pass

    assert line.desk.brought_again == [CALL]
    assert [started.parameters for started, _, _ in line.desk.connected] == [{}, {}, {}]


async def test_a_call_that_the_desk_refuses_leaves_nothing_behind_that_its_token_brought() -> None:
    async with served(desk=FakeDesk(refuses=True)) as line, line.socket() as peer:
        await peer.send(start(token=line.calls.token(CALL)))
        assert await close_of(peer) == (1008, "refused")

        assert len(line.calls) == 0
