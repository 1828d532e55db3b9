from __future__ import annotations

import base64

from websockets.asyncio.server import ServerConnection

from adapters.simulators.audio import loudness
from adapters.simulators.misbehaviour import Misbehaviour
from adapters.simulators.twilio import TwilioCaller
from tests.adapters.simulators.rawserver import Bridge, bridged, elapse, first_sid, mark, media


async def call(misbehaviour: Misbehaviour, *, length_ms: float = 110, say: bytes = b"") -> tuple[TwilioCaller, Bridge]:
    async with bridged() as bridge, TwilioCaller(bridge.url, misbehaviour=misbehaviour) as caller:
        if say:
            await caller.say(say)
        await caller.elapse(length_ms)
    return caller, bridge


def chunks(bridge: Bridge) -> list[str]:
    return [message["media"]["chunk"] for message in bridge.of("media")]


async def test_an_aborted_line_has_neither_stop_nor_close_frame() -> None:
    caller, bridge = await call(Misbehaviour(abort_after_ms=50))

    assert bridge.events() == ["connected", "start", "media", "media"]
    assert bridge.codes == [1006]
    assert caller.outcome == "aborted"


async def test_abort_may_be_asked_for() -> None:
    async with bridged() as bridge, TwilioCaller(bridge.url) as caller:
        await caller.elapse(30)
        caller.abort()
        caller.abort()
        assert await caller.over() == "aborted"

    assert bridge.codes == [1006]


async def test_breaking_a_line_twice_is_no_harm() -> None:
    async with bridged() as bridge, TwilioCaller(bridge.url) as caller:
        await caller.elapse(10)
        caller.streams[0].abort()
        caller.streams[0].abort()

    assert bridge.codes == [1006]


async def test_no_media() -> None:
    _, bridge = await call(Misbehaviour(no_media=True))

    assert bridge.events() == ["connected", "start", "stop"]


async def test_mute() -> None:
    _, bridge = await call(Misbehaviour(mute=True), say=b"\x00" * 320)

    assert {message["media"]["payload"] for message in bridge.of("media")} == {base64.b64encode(b"\xff" * 160).decode()}


async def test_hiss_is_not_silence_and_not_speech() -> None:
    _, bridge = await call(Misbehaviour(hiss=True))

    frame = base64.b64decode(bridge.of("media")[0]["media"]["payload"])
    assert 0 < loudness(frame) < 30


async def test_duplicated_frames() -> None:
    _, bridge = await call(Misbehaviour(duplicate_every=2))

    assert chunks(bridge) == ["1", "2", "2", "3", "4", "4", "5"]


async def test_missing_frames() -> None:
    _, bridge = await call(Misbehaviour(missing_every=2))

    assert chunks(bridge) == ["1", "3", "5"]


async def test_frames_out_of_order() -> None:
    _, bridge = await call(Misbehaviour(swapped_every=2))

    assert chunks(bridge) == ["1", "3", "2", "5", "4"]


async def test_duplicated_start() -> None:
    _, bridge = await call(Misbehaviour(duplicate_start=True))

    assert bridge.events()[:4] == ["connected", "start", "start", "media"]


async def test_media_before_start() -> None:
    _, bridge = await call(Misbehaviour(media_before_start=2))

    assert bridge.events()[:4] == ["connected", "media", "media", "start"]


async def test_no_start() -> None:
    _, bridge = await call(Misbehaviour(no_start=True, no_stop=True))

    assert bridge.events() == ["connected"]


async def test_garbage() -> None:
    _, bridge = await call(Misbehaviour(garbage=("{", b"\x00\x01")))

    assert bridge.messages[2:4] == ["{", b"\x00\x01"]


async def test_an_oversized_message() -> None:
    _, bridge = await call(Misbehaviour(oversized_bytes=2_000_000))

    assert len(base64.b64decode(bridge.of("media")[0]["media"]["payload"])) == 2_000_000


async def test_a_line_without_stop() -> None:
    _, bridge = await call(Misbehaviour(no_stop=True))

    assert "stop" not in bridge.events()
    assert bridge.codes == [1000]


async def test_a_line_that_is_cut_when_the_caller_hangs_up() -> None:
    caller, bridge = await call(Misbehaviour(hang_up_silently=True))

    assert "stop" not in bridge.events()
    assert bridge.codes == [1006]
    assert caller.outcome == "hung_up"


async def test_marks_that_never_come_back() -> None:
    async def talk(socket: ServerConnection, bridge: Bridge) -> None:
        sid = await first_sid(socket)
        await socket.send(media(sid, b"\x00" * 160))
        await socket.send(mark(sid, "m"))
        await bridge.read(socket)

    async with bridged(talk) as bridge, TwilioCaller(bridge.url, misbehaviour=Misbehaviour(keep_marks=True)) as caller:
        await caller.elapse(200)

    assert bridge.of("mark") == []
    assert [entry.name for entry in caller.marks] == ["m"]


async def test_a_deaf_caller_reads_nothing() -> None:
    async def talk(socket: ServerConnection, bridge: Bridge) -> None:
        sid = await first_sid(socket)
        for _ in range(20):
            await socket.send(media(sid, b"\x00" * 160))
        await elapse(0.1)
        await bridge.read(socket)

    async with bridged(talk) as bridge, TwilioCaller(bridge.url, misbehaviour=Misbehaviour(deaf=True)) as caller:
        await caller.elapse(500)

    assert caller.heard_ms == 0
    assert caller.streams[0].received == []
