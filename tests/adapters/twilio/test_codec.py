"""Frames to events and back, for every shape that Twilio sends and many that it does not."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.carriers.twilio.codec import (
    MAX_FRAME,
    Clear,
    Connected,
    Dtmf,
    Event,
    Mark,
    Media,
    Play,
    Started,
    Stopped,
    TwilioCodec,
    Unknown,
)
from fsm.errors import ProtocolError

WIRE = Path(__file__).parent / "wire"
STREAM = "MZ0f00000000000000000000000000000a"
CALL = "CA00000000000000000000000000000002"
ACCOUNT = "AC00000000000000000000000000000001"
STARTED = Started(
    stream_sid=STREAM,
    call_sid=CALL,
    account_sid=ACCOUNT,
    parameters={"ctx": "c-81f0", "token": "t-1", "caller": "+15550100", "called": "+15550199"},
)
EVENTS = [
    Connected(protocol="Call", version="1.0.0"),
    STARTED,
    Media("//////////8=", 20),
    Media("f39/fw==", 40),
    Mark("g1:m4"),
    Media("//79/Pv6", 60),
    Dtmf("7"),
    Stopped(),
]


def recorded(name: str) -> list[str]:
    return (WIRE / name).read_text().splitlines()


def started_codec(**start: Any) -> TwilioCodec:
    codec = TwilioCodec()
    codec.receive(json.dumps({"event": "start", "start": {"streamSid": STREAM, "callSid": CALL, **start}}))
    return codec


def media(payload: str, *, chunk: Any = "1", timestamp: Any = "20", **more: Any) -> str:
    frame = {"event": "media", "sequenceNumber": "2", "streamSid": STREAM}
    fields = {"track": "inbound", "chunk": chunk, "timestamp": timestamp, "payload": payload, **more}
    return json.dumps(frame | {"media": fields}, separators=(",", ":"))


def outcome(codec: TwilioCodec, text: str) -> Event | tuple[str, int] | None:
    """What a frame gives: an event, or who broke the protocol and the code to close with."""
    try:
        return codec.receive(text)
    except ProtocolError as broken:
        return broken.peer, broken.close_code


@pytest.mark.parametrize("name", ["stream_sid_first", "stream_sid_last", "spaced", "numbers"])
def test_a_recorded_call_gives_the_same_events_in_every_spelling(name: str) -> None:
    codec = TwilioCodec()

    assert [codec.receive(frame) for frame in recorded(f"{name}.jsonl")] == EVENTS


def test_repeated_and_late_frames_are_dropped() -> None:
    codec = TwilioCodec()

    events = [codec.receive(frame) for frame in recorded("repeated_and_late.jsonl")]

    assert [event for event in events if event is not None] == [
        EVENTS[0], EVENTS[1], EVENTS[2], EVENTS[5], EVENTS[4], EVENTS[6], EVENTS[7],
    ]  # fmt: skip


def test_two_equal_keys_are_two_presses() -> None:
    codec = started_codec()
    press = {"event": "dtmf", "streamSid": STREAM, "dtmf": {"digit": "1"}}

    events = [codec.receive(json.dumps({**press, "sequenceNumber": str(number)})) for number in (5, 6, 6)]

    assert events == [Dtmf("1"), Dtmf("1"), None]


def test_frames_without_numbers_are_never_taken_for_repeats() -> None:
    codec = started_codec()
    press = json.dumps({"event": "dtmf", "streamSid": STREAM, "dtmf": {"digit": "1"}})
    sound = json.dumps({"event": "media", "streamSid": STREAM, "media": {"payload": "f39/fw=="}})

    assert [codec.receive(press), codec.receive(press)] == [Dtmf("1"), Dtmf("1")]
    assert [codec.receive(sound), codec.receive(sound)] == [Media("f39/fw==", None), Media("f39/fw==", None)]


@pytest.mark.parametrize("spaced", [False, True], ids=["compact", "spaced"])
def test_counters_that_stand_still_tell_nothing(spaced: bool) -> None:
    """Some that speak this protocol send the same numbers in every frame; only the very same frame is a repeat."""
    codec = started_codec()
    frames = [media(payload, chunk="1", timestamp="0") for payload in ("AAAA", "AAAA", "BBBB", "BBBB", "AAAA")]
    if spaced:
        frames = [json.dumps(json.loads(frame), indent=1) for frame in frames]

    heard = [event.payload for frame in frames if isinstance(event := codec.receive(frame), Media)]

    assert heard == ["AAAA", "BBBB", "AAAA"]


def test_once_counters_have_moved_an_old_number_is_a_repeat() -> None:
    codec = started_codec()

    heard = [
        codec.receive(media(payload, chunk=chunk, timestamp=str(20 * int(chunk))))
        for payload, chunk in (("AAAA", "1"), ("AAAA", "1"), ("BBBB", "2"), ("CCCC", "1"), ("DDDD", "3"))
    ]

    assert [event.payload for event in heard if isinstance(event, Media)] == ["AAAA", "BBBB", "DDDD"]


def test_a_gap_is_told_by_the_timestamp_only() -> None:
    codec = started_codec()

    events = [
        codec.receive(media("f39/fw==", chunk="1", timestamp="20")),
        codec.receive(media("f39/fw==", chunk="90", timestamp="1800")),
    ]

    assert events == [Media("f39/fw==", 20), Media("f39/fw==", 1800)]


def test_a_chunk_fed_twice_is_heard_once_on_the_slow_path_too() -> None:
    codec = started_codec()
    frame = json.dumps(json.loads(media("f39/fw==", chunk="4", timestamp="80")), indent=1)

    assert [codec.receive(frame), codec.receive(frame)] == [Media("f39/fw==", 80), None]


@given(
    st.binary(max_size=400),
    st.integers(0, 10**12),
    st.integers(0, 10**12),
    st.sampled_from([(",", ":"), (", ", ": ")]),
    st.booleans(),
)
def test_cutting_a_payload_out_gives_what_parsing_gives(
    audio: bytes, chunk: int, timestamp: int, separators: tuple[str, str], sorted_keys: bool
) -> None:
    payload = base64.b64encode(audio).decode()
    frame = json.loads(media(payload, chunk=str(chunk), timestamp=str(timestamp)))

    event = started_codec().receive(json.dumps(frame, separators=separators, sort_keys=sorted_keys))

    assert event == Media(payload, timestamp)


@given(st.text(alphabet=st.characters(), max_size=40))
def test_only_base64_is_handed_on(payload: str) -> None:
    try:
        base64.b64decode(payload.encode("ascii"), validate=True)
        valid = len(payload) % 4 == 0
    except ValueError:
        valid = False

    assert (outcome(started_codec(), media(payload)) == Media(payload, 20)) is valid


@given(st.text(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_no_frame_raises_anything_but_a_protocol_error(text: str) -> None:
    assert outcome(started_codec(), text) == ("twilio", 1007)


def test_slashes_escaped_by_the_sender_are_the_same_payload() -> None:
    frame = media("//79/Pv6").replace("//79/Pv6", r"\/\/79\/Pv6")

    assert started_codec().receive(frame) == Media("//79/Pv6", 20)


def test_media_fields_we_do_not_know_are_ignored() -> None:
    assert started_codec().receive(media("f39/fw==", level="3")) == Media("f39/fw==", 20)


@pytest.mark.parametrize(
    ("frame", "message", "close_code"),
    [
        ("no json", "not JSON", 1007),
        ("[]", "not an object", 1007),
        ('{"event":7}', "event is missing", 1007),
        ('{"event":""}', "event is missing", 1007),
        ('{"event":"start"}', "start is missing", 1007),
        ('{"event":"start","start":{"streamSid":"MZ1"}}', "callSid is missing", 1007),
        ('{"event":"start","start":{"streamSid":"MZ1","callSid":"../CA1"}}', "callSid is malformed", 1007),
        ('{"event":"start","start":{"streamSid":"MZ1","callSid":"CA1\\n"}}', "callSid is malformed", 1007),
        ('{"event":"start","start":{"streamSid":"MZ1","callSid":"CA1","customParameters":[1]}}', "Parameters", 1007),
        ('{"event":"start","start":{"streamSid":"MZ1","callSid":"CA1","mediaFormat":"wav"}}', "mu-law", 1003),
        (
            '{"event":"start","start":{"streamSid":"MZ1","callSid":"CA1",'
            '"mediaFormat":{"encoding":"audio/l16","sampleRate":16000,"channels":1}}}',
            "mu-law",
            1003,
        ),
        ('{"event":"start","start":{"streamSid":"MZ1","callSid":"CA2"}}' + " " * MAX_FRAME, "too long", 1009),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_malformed_frame_before_the_start_is_an_error(frame: str, message: str, close_code: int) -> None:
    with pytest.raises(ProtocolError, match=message) as raised:
        TwilioCodec().receive(frame)

    assert raised.value.close_code == close_code


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"event": "media", "streamSid": STREAM}, "media is missing"),
        ({"event": "media", "streamSid": STREAM, "media": {}}, "payload is missing"),
        ({"event": "media", "streamSid": STREAM, "media": {"payload": "f39/", "chunk": "one"}}, "chunk is not"),
        ({"event": "media", "streamSid": STREAM, "media": {"payload": "f39/", "timestamp": "-1"}}, "timestamp is not"),
        ({"event": "media", "streamSid": STREAM, "media": {"payload": "secret!!"}}, "not base64"),
        ({"event": "dtmf", "streamSid": STREAM, "dtmf": {"digit": None}}, "digit is missing"),
        ({"event": "mark", "streamSid": STREAM, "mark": {}}, "name is missing"),
        ({"event": "mark", "streamSid": STREAM, "mark": {"name": "m"}, "sequenceNumber": []}, "sequenceNumber is not"),
    ],
    ids=lambda value: value if isinstance(value, str) else "frame",
)
def test_a_malformed_frame_of_the_stream_is_an_error_that_quotes_nothing(frame: dict[str, Any], message: str) -> None:
    with pytest.raises(ProtocolError, match=message) as raised:
        started_codec().receive(json.dumps(frame))

    assert "secret" not in str(raised.value)


def test_a_media_frame_that_is_too_long_is_an_error_on_the_fast_path_too() -> None:
    with pytest.raises(ProtocolError, match="too long") as raised:
        started_codec().receive(media("A" * MAX_FRAME))

    assert raised.value.close_code == 1009


@pytest.mark.parametrize(
    ("frame", "event"),
    [
        ({"event": "weather", "x": 1}, Unknown("weather")),
        ({"event": "w" * 99}, Unknown("w" * 40)),
        ({"event": "dtmf", "streamSid": STREAM, "dtmf": {"digit": "77"}}, Unknown("dtmf")),
        ({"event": "mark", "streamSid": "MZother", "mark": {"name": "m"}}, Unknown("mark")),
        ({"event": "media", "media": {"payload": "f39/fw=="}}, Unknown("media")),
        ({"event": "media", "streamSid": STREAM, "media": {"track": "outbound", "payload": "f39/"}}, Unknown("media")),
        (
            {"event": "media", "streamSid": STREAM, "media": {"track": "inbound_track", "payload": "/w=="}},
            Media("/w==", None),
        ),
        ({"event": "mark", "streamSid": STREAM, "mark": {"name": ""}}, Mark("")),
        ({"event": "connected"}, Connected(protocol="", version="")),
    ],
    ids=[
        "event",
        "long",
        "two digits",
        "stream",
        "no stream",
        "track",
        "caller's track",
        "nameless mark",
        "connected again",
    ],
)
def test_what_we_do_not_use_is_a_value(frame: dict[str, Any], event: Event) -> None:
    assert started_codec().receive(json.dumps(frame)) == event


@pytest.mark.parametrize("event", ["media", "dtmf", "mark", "stop", "weather"])
def test_before_the_start_nothing_counts(event: str) -> None:
    frame = {"event": event, "streamSid": STREAM, "media": {"payload": "f39/fw=="}}

    assert TwilioCodec().receive(json.dumps(frame)) == Unknown(event)


def test_a_start_repeated_is_dropped() -> None:
    codec = started_codec()

    again = codec.receive(json.dumps({"event": "start", "start": {"streamSid": STREAM, "callSid": CALL}}))

    assert again is None
    assert codec.started is not None
    assert codec.started.stream_sid == STREAM


def test_a_second_start_for_another_call_is_an_error() -> None:
    with pytest.raises(ProtocolError, match="another call") as raised:
        started_codec().receive(json.dumps({"event": "start", "start": {"streamSid": STREAM, "callSid": "CAother"}}))

    assert raised.value.close_code == 1008


def test_parameters_that_are_not_text_are_left_out() -> None:
    codec = started_codec(customParameters={"a": "1", "b": 2, "c": None}, mediaFormat=None)

    assert codec.started is not None
    assert codec.started.parameters == {"a": "1"}


def test_parameters_do_not_show_in_a_log() -> None:
    assert "t-1" not in repr(STARTED)


def test_commands_are_the_documented_messages() -> None:
    codec = started_codec()

    assert codec.send(Play("f39/fw==")) == (
        '{"event":"media","streamSid":"MZ0f00000000000000000000000000000a","media":{"payload":"f39/fw=="}}'
    )
    assert codec.send(Mark("g1:m4")) == (
        '{"event":"mark","streamSid":"MZ0f00000000000000000000000000000a","mark":{"name":"g1:m4"}}'
    )
    assert codec.send(Clear()) == '{"event":"clear","streamSid":"MZ0f00000000000000000000000000000a"}'


@given(st.text(min_size=1), st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80))
def test_names_of_any_spelling_survive_the_envelope(stream: str, name: str) -> None:
    codec = TwilioCodec()
    stream = stream.encode("utf-8", "replace").decode()
    codec.receive(json.dumps({"event": "start", "start": {"streamSid": stream, "callSid": CALL}}))

    assert json.loads(codec.send(Play("f39/"))) == {"event": "media", "streamSid": stream, "media": {"payload": "f39/"}}
    assert json.loads(codec.send(Mark(name))) == {"event": "mark", "streamSid": stream, "mark": {"name": name}}


def test_nothing_is_said_before_the_start() -> None:
    with pytest.raises(RuntimeError, match="started"):
        TwilioCodec().send(Clear())
