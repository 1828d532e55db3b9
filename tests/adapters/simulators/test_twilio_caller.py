from __future__ import annotations

import base64
import wave
from array import array
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection

from adapters.simulators.audio import mulaw_to_pcm
from adapters.simulators.twilio import CallOver, TwilioCaller
from adapters.simulators.voices import spoken
from tests.adapters.simulators.rawserver import Bridge, bridged, clear, elapse, first_sid, mark, media

LOUD = b"\x00"  # the largest level of mu-law


async def test_a_stream_begins_as_twilio_begins_it() -> None:
    async with bridged() as bridge, TwilioCaller(bridge.url, call_sid="CA1", parameters={"ctx": "7"}) as caller:
        await caller.elapse(50)
        sid = caller.streams[0].ids.stream_sid

    assert bridge.messages[:3] == [
        {"event": "connected", "protocol": "Call", "version": "1.0.0"},
        {
            "event": "start",
            "sequenceNumber": "1",
            "streamSid": sid,
            "start": {
                "accountSid": "AC00000000000000000000000000000001",
                "streamSid": sid,
                "callSid": "CA1",
                "tracks": ["inbound"],
                "customParameters": {"ctx": "7"},
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            },
        },
        {
            "event": "media",
            "sequenceNumber": "2",
            "streamSid": sid,
            "media": {
                "track": "inbound",
                "chunk": "1",
                "timestamp": "20",
                "payload": base64.b64encode(b"\xff" * 160).decode(),
            },
        },
    ]
    assert bridge.messages[-1] == {
        "event": "stop",
        "sequenceNumber": "4",
        "streamSid": sid,
        "stop": {"accountSid": "AC00000000000000000000000000000001", "callSid": "CA1"},
    }
    assert bridge.codes == [1000]
    assert caller.outcome == "hung_up"


async def test_frames_come_every_20_ms() -> None:
    async with bridged() as bridge, TwilioCaller(bridge.url) as caller:
        await caller.elapse(105)

    assert bridge.times_of("media") == [0.02, 0.04, 0.06, 0.08, 0.1]


async def test_speed_makes_the_same_call_in_less_time() -> None:
    async with bridged() as bridge, TwilioCaller(bridge.url, speed=4) as caller:
        await caller.elapse(105)

    assert bridge.times_of("media") == [0.005, 0.01, 0.015, 0.02, 0.025]
    assert [m["media"]["timestamp"] for m in bridge.of("media")] == ["20", "40", "60", "80", "100"]


async def test_two_utterances_are_said_back_to_back_and_then_silence() -> None:
    async with bridged() as bridge, TwilioCaller(bridge.url) as caller:
        await caller.say(b"\x01" * 320)
        await caller.say(b"\x02" * 200)
        await caller.elapse(50)

    said = b"".join(base64.b64decode(m["media"]["payload"]) for m in bridge.of("media"))
    assert said[:840] == b"\x01" * 320 + b"\x02" * 200 + b"\xff" * 320


async def test_text_is_spoken_with_the_callers_voice() -> None:
    async with bridged() as bridge, TwilioCaller(bridge.url, speed=10) as caller:
        await caller.say("Four seven one one.")

    said = b"".join(base64.b64decode(m["media"]["payload"]) for m in bridge.of("media"))
    assert said.startswith(spoken("four seven one one", "caller"))


async def test_keys_come_one_by_one() -> None:
    async with bridged() as bridge, TwilioCaller(bridge.url) as caller:
        await caller.press("12#")

    assert [m["dtmf"] for m in bridge.of("dtmf")] == [
        {"track": "inbound_track", "digit": "1"},
        {"track": "inbound_track", "digit": "2"},
        {"track": "inbound_track", "digit": "#"},
    ]
    assert bridge.times_of("dtmf") == [0.0, 0.2, 0.4]


async def test_a_mark_comes_back_when_the_audio_before_it_was_played() -> None:
    async def talk(socket: ServerConnection, bridge: Bridge) -> None:
        sid = await first_sid(socket)
        await socket.send(mark(sid, "early"))
        await socket.send(media(sid, LOUD * 800))
        await socket.send(mark(sid, "first"))
        await socket.send(media(sid, LOUD * 1600))
        await socket.send(mark(sid, "second"))
        await bridge.read(socket)

    async with bridged(talk) as bridge, TwilioCaller(bridge.url) as caller:
        await caller.elapse(500)

    assert [m["mark"]["name"] for m in bridge.of("mark")] == ["early", "first", "second"]
    assert bridge.times_of("mark") == [0.0, 0.1, 0.3]
    assert [(m.name, m.at_ms, m.played, m.heard_ms) for m in caller.marks] == [
        ("early", 0, True, 0),
        ("first", 100, True, 100),
        ("second", 300, True, 300),
    ]
    assert caller.heard_ms == 300


async def test_clear_cuts_what_plays_and_returns_every_mark() -> None:
    async def talk(socket: ServerConnection, bridge: Bridge) -> None:
        sid = await first_sid(socket)
        await socket.send(media(sid, LOUD * 8000))
        await socket.send(mark(sid, "a"))
        await socket.send(media(sid, LOUD * 8000))
        await socket.send(mark(sid, "b"))
        await elapse(0.25)
        await socket.send(clear(sid))
        await socket.send(media(sid, LOUD * 400))
        await socket.send(mark(sid, "c"))
        await bridge.read(socket)

    async with bridged(talk) as bridge, TwilioCaller(bridge.url) as caller:
        await caller.elapse(1000)

    assert [(m.name, m.at_ms, m.played, m.heard_ms) for m in caller.marks] == [
        ("a", 250, False, 250),
        ("b", 250, False, 250),
        ("c", 300, True, 300),
    ]
    assert [m["mark"]["name"] for m in bridge.of("mark")] == ["a", "b", "c"]
    assert [(piece.at_ms, len(piece.sound)) for piece in caller.heard] == [(0, 2000), (250, 400)]
    assert caller.streams[0].playback.clears == [250]


async def test_heard_silence_waits_for_the_end_of_what_is_audible() -> None:
    async def talk(socket: ServerConnection, bridge: Bridge) -> None:
        sid = await first_sid(socket)
        await elapse(1)
        await socket.send(media(sid, LOUD * 4000 + b"\xff" * 4000))
        await bridge.read(socket)

    async with bridged(talk) as bridge, TwilioCaller(bridge.url) as caller:
        await caller.heard_silence(700)
        since = caller.now_ms

    assert since == 2200


async def test_silence_that_is_played_is_not_heard() -> None:
    async def talk(socket: ServerConnection, bridge: Bridge) -> None:
        sid = await first_sid(socket)
        await socket.send(media(sid, b"\xff" * 4000))
        await socket.send(mark(sid, "m"))
        await bridge.read(socket)

    async with bridged(talk) as bridge, TwilioCaller(bridge.url) as caller:
        await caller.elapse(200)
        assert caller.streams[0].playback.next_mark_ms == 500
        assert (caller.silent_ms, caller.heard_ms) == (0, 200)


async def test_heard_silence_waits_for_an_answer_to_what_was_said() -> None:
    async def talk(socket: ServerConnection, bridge: Bridge) -> None:
        sid = await first_sid(socket)
        await socket.send(media(sid, LOUD * 800))
        await elapse(3)
        await socket.send(media(sid, LOUD * 800))
        await bridge.read(socket)

    async with bridged(talk) as bridge, TwilioCaller(bridge.url) as caller:
        await caller.elapse(1000)
        await caller.say(LOUD * 8000)
        await caller.heard_silence(500)
        since = caller.now_ms

    assert since == 3600


async def test_heard_more_returns_on_the_first_frame_after_that_much_audio() -> None:
    async def talk(socket: ServerConnection, bridge: Bridge) -> None:
        sid = await first_sid(socket)
        await socket.send(media(sid, LOUD * 16000))
        await bridge.read(socket)

    async with bridged(talk) as bridge, TwilioCaller(bridge.url) as caller:
        await caller.heard_more(1000)
        now, waiting = caller.now_ms, caller.buffered_ms

    assert (now, waiting) == (1000, 1000)
    assert caller.heard_ms == 1000  # the rest is never heard: the caller has hung up


async def test_waiting_has_a_limit_in_time_of_the_call() -> None:
    async with bridged() as bridge, TwilioCaller(bridge.url, speed=2) as caller:
        with pytest.raises(TimeoutError):
            await caller.wait_for(lambda: False, within_ms=1000)

        assert caller.now_ms == 1000


async def test_saying_something_after_the_call_is_an_error() -> None:
    async def talk(socket: ServerConnection, bridge: Bridge) -> None:
        await first_sid(socket)
        await socket.close()

    async with bridged(talk) as bridge, TwilioCaller(bridge.url) as caller:
        assert await caller.over() == "ended"
        with pytest.raises(CallOver, match="ended"):
            await caller.say("Hello?")
        await caller.press("1")


async def test_a_call_that_ends_while_something_is_said_is_an_error() -> None:
    async def talk(socket: ServerConnection, bridge: Bridge) -> None:
        await first_sid(socket)
        await elapse(0.1)
        await socket.close()

    async with bridged(talk) as bridge, TwilioCaller(bridge.url) as caller:
        with pytest.raises(CallOver):
            await caller.say(b"\x01" * 8000)


async def test_audio_may_pause() -> None:
    async with bridged() as bridge, TwilioCaller(bridge.url) as caller:
        await caller.elapse(45)
        caller.go_dark(1000)
        await caller.elapse(1030)

    assert [m["media"]["timestamp"] for m in bridge.of("media")] == ["20", "40", "1060"]
    assert [m["media"]["chunk"] for m in bridge.of("media")] == ["1", "2", "3"]


async def test_what_twilio_would_not_understand_is_noted() -> None:
    async def talk(socket: ServerConnection, bridge: Bridge) -> None:
        sid = await first_sid(socket)
        for message in (
            "no JSON",
            media("MZother", LOUD),
            '{"event":"hangup"}',
            '{"event":"media","streamSid":"' + sid + '","media":{"payload":"?"}}',
            media(sid, b"RIFF"),
            media(sid, b""),
        ):
            await socket.send(message)
        await bridge.read(socket)

    async with bridged(talk) as bridge, TwilioCaller(bridge.url) as caller:
        await caller.elapse(20)

    assert caller.streams[0].problems == [
        "a message that is not JSON",
        "a message for another stream",
        "a message that Twilio does not know",
        "a payload that is not base64",
        "a payload with a WAV header",
    ]


async def test_the_recording_has_the_caller_left_and_what_was_heard_right(tmp_path: Path) -> None:
    async def talk(socket: ServerConnection, bridge: Bridge) -> None:
        sid = await first_sid(socket)
        await elapse(0.1)
        await socket.send(media(sid, b"\x10" * 80))
        await bridge.read(socket)

    async with bridged(talk) as bridge, TwilioCaller(bridge.url) as caller:
        await caller.elapse(50)
        await caller.say(b"\x20" * 160)
        await caller.elapse(100)
    caller.record(tmp_path / "call.wav")

    with wave.open(str(tmp_path / "call.wav")) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (2, 8000, 2)
        samples = array("h", file.readframes(file.getnframes()))
    left, right = samples[0::2], samples[1::2]
    said, heard = mulaw_to_pcm(b"\x20")[0], mulaw_to_pcm(b"\x10")[0]
    assert [index for index, level in enumerate(left) if level == said] == list(range(320, 480))
    assert [index for index, level in enumerate(right) if level == heard] == list(range(800, 880))


async def test_a_refused_socket_is_a_refused_call() -> None:
    caller = TwilioCaller("ws://127.0.0.1:9/media")

    async with caller:
        assert caller.outcome == "refused"
    assert caller.streams == []
    assert "refused" in caller.problems[0]
