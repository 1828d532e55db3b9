"""Twilio Media Streams, our side of one socket: text frames to events, commands to text frames. No I/O.

How this works: fifty frames a second of each call are `media`, so a frame of the expected shape is not parsed: its
envelope is matched up to the payload, which is cut out, checked to be base64, and handed on as it is. Anything of
another shape (other key order, white space, other events) is parsed as JSON and checked field by field; both ways
give the same events.

Twilio numbers its frames. A `media` that is newer than its predecessors in neither `chunk` nor `timestamp` is a
repeat or late, and audio must not be fed twice or backwards; another numbered frame is a repeat if the very same was
seen before. Repeats give None. A gap gives nothing special: `timestamp_ms` tells.

Source: Twilio, Media Streams - WebSocket Messages. All counters are strings there; numbers are taken too.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias, assert_never

import orjson

from fsm.errors import ProtocolError

__all__ = [
    "CALL_SID", "MAX_FRAME", "Clear", "Command", "Connected", "Dtmf", "Event", "Mark", "Media", "Play", "Started",
    "Stopped", "TwilioCodec", "Unknown",
]  # fmt: skip

CALL_SID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
"""What is taken for a call's id: it stands in addresses, keys and names of files. Twilio's are `CA` and 32 digits."""

MAX_FRAME = 65_536
"""Characters of one frame. Twilio's longest, a `start` with its parameters, has a few thousand."""

_UNSUITABLE, _INCONSISTENT, _POLICY, _TOO_BIG = 1003, 1007, 1008, 1009  # RFC 6455 section 7.4.1
_ENCODING = ("audio/x-mulaw", 8000, 1)  # the only format of a bidirectional stream
_CALLER_TRACKS = ("inbound", "inbound_track")  # Twilio writes the one in `media`, the other in `dtmf`
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_PADDING = (b"=", b"==")
_DIGITS = frozenset("0123456789*#ABCD")
_PLAY_END = '"}}'
_REMEMBERED = 64  # control frames; a repeat comes soon or never


# -- events ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """The first frame. It names no stream."""

    protocol: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The stream of a call begins; `parameters` are those of our `<Parameter>` elements."""

    stream_sid: str
    call_sid: str
    account_sid: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)


class Media(NamedTuple):
    """Audio of the caller: base64 mu-law, 8 kHz, and its place on the stream's own clock."""

    payload: str
    timestamp_ms: int | None


@dataclass(frozen=True, slots=True)
class Dtmf:
    """The caller pressed a key."""

    digit: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Said: tell us when what is queued has been played. Heard, with the same name: it was played, or cleared."""

    name: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The stream has ended, and with it the call."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Something of Twilio that we do not use, or that is not about our stream."""

    event: str


Event: TypeAlias = Connected | Started | Media | Dtmf | Mark | Stopped | Unknown


# -- commands -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Play:
    """Queue base64 mu-law of any length at Twilio."""

    payload: str


@dataclass(frozen=True, slots=True)
class Clear:
    """Drop what is queued; every outstanding mark comes back."""


Command: TypeAlias = Play | Mark | Clear


# -- the codec ------------------------------------------------------------------------------------


class TwilioCodec:
    """One Media Streams connection, seen from the server."""

    __slots__ = ("_chunk", "_counts", "_envelopes", "_play", "_seen", "_standing", "_timestamp", "started")

    def __init__(self) -> None:
        self.started: Started | None = None
        self._envelopes: list[_Envelope] = []
        self._play = ("", "")
        self._chunk = "-1"  # a number only where it must be compared
        self._timestamp = -1
        self._counts = False  # whether the counters have ever moved: those that stand still tell nothing
        self._standing = ""
        self._seen: deque[int] = deque(maxlen=_REMEMBERED)

    def receive(self, text: str) -> Event | None:
        """Return what a frame says; None for a repeat.

        Raises:
            ProtocolError: it is not JSON, too long, lacks what its event must have, or starts another call.
        """
        for head, tail, tail_at in self._envelopes:
            if (found := head(text)) is None or not text.endswith(tail):
                continue
            payload = text[found.end() : tail_at]
            timestamp = int(found[2])
            if timestamp > self._timestamp and len(text) <= MAX_FRAME and _is_base64(payload):
                if not self._counts:
                    self._counts, self._standing = self._timestamp >= 0, text
                self._timestamp, self._chunk = timestamp, found[1]
                return Media(payload, timestamp)
        return self._parse(text)

    def send(self, command: Command) -> str:
        """Return the frame that carries out `command`. The stream must have started."""
        if self.started is None:
            raise RuntimeError("nothing can be said to Twilio before the stream has started")
        match command:
            case Play(payload=payload):
                before, after = self._play
                return before + payload + after
            case Mark(name=name):
                return _frame("mark", self.started.stream_sid, mark={"name": name})
            case Clear():
                return _frame("clear", self.started.stream_sid)
            case _:
                assert_never(command)

    def _parse(self, text: str) -> Event | None:
        frame = _json(text)
        event = _text(frame, "event")
        if self.started is None and event not in ("connected", "start"):
            return Unknown(event[:40])
        if event in ("media", "dtmf", "mark") and frame.get("streamSid") != self._stream_sid:
            return Unknown(event)
        if event == "media":
            return self._parsed_media(_part(frame, "media"), text)
        if event not in ("connected", "start") and self._is_repeat(frame, text):
            return None
        return self._control(event, frame)

    def _control(self, event: str, frame: dict[str, Any]) -> Event | None:
        match event:
            case "connected":
                return Connected(protocol=str(frame.get("protocol", "")), version=str(frame.get("version", "")))
            case "start":
                return self._start(_part(frame, "start"))
            case "dtmf":
                digit = _text(_part(frame, "dtmf"), "digit")
                return Dtmf(digit) if digit in _DIGITS else Unknown("dtmf")
            case "mark":
                return Mark(_text(_part(frame, "mark"), "name", empty=True))  # not ours, and no reason to part
            case "stop":
                return Stopped()
            case _:
                return Unknown(event[:40])

    def _start(self, start: dict[str, Any]) -> Started | None:
        _check_format(start.get("mediaFormat"))
        parameters = start.get("customParameters") or {}
        if not isinstance(parameters, dict):
            raise _broken("customParameters is not an object")
        started = Started(
            stream_sid=_text(start, "streamSid"),
            call_sid=_call_sid(start),
            account_sid=str(start.get("accountSid", "")),
            parameters={name: value for name, value in parameters.items() if isinstance(value, str)},
        )
        if self.started is not None:
            if started.call_sid != self.started.call_sid:
                raise _broken("a second start names another call", close_code=_POLICY)
            return None
        self.started = started
        self._envelopes = _envelopes(started.stream_sid)
        envelope = _frame("media", started.stream_sid, media={"payload": ""})
        self._play = (envelope[: -len(_PLAY_END)], _PLAY_END)
        return started

    def _parsed_media(self, media: dict[str, Any], text: str) -> Media | Unknown | None:
        payload = _text(media, "payload", empty=True)
        if not _is_base64(payload):
            raise _broken("the payload is not base64")
        if media.get("track", "inbound") not in _CALLER_TRACKS:
            return Unknown("media")
        timestamp, chunk = _counter(media, "timestamp"), _counter(media, "chunk")
        if timestamp is None or chunk is None:  # nothing to tell a repeat by
            return Media(payload, timestamp)
        if timestamp <= self._timestamp and chunk <= int(self._chunk):
            if self._counts or text == self._standing:
                return None
            self._standing = text
            return Media(payload, None)
        self._counts, self._standing = self._timestamp >= 0, text
        self._timestamp, self._chunk = timestamp, str(chunk)
        return Media(payload, timestamp)

    def _is_repeat(self, frame: dict[str, Any], text: str) -> bool:
        if _counter(frame, "sequenceNumber") is None:
            return False
        if (seen := hash(text)) in self._seen:
            return True
        self._seen.append(seen)
        return False

    @property
    def _stream_sid(self) -> str:
        return self.started.stream_sid if self.started is not None else ""


class _Envelope(NamedTuple):
    """What stands around a payload; the groups of `head` are chunk and timestamp."""

    head: Callable[[str], re.Match[str] | None]
    tail: str
    tail_at: int


def _envelopes(stream_sid: str) -> list[_Envelope]:
    """Return the shapes that Twilio's documents show: they differ in where `streamSid` stands."""
    stream = orjson.dumps(stream_sid).decode()
    event = '\\{"event":"media","sequenceNumber":"[0-9]{1,15}",'
    media = '"media":\\{"track":"inbound","chunk":"([0-9]{1,15})","timestamp":"([0-9]{1,15})","payload":"'
    shapes = [(f'"streamSid":{stream},', '"}}'), ("", f'"}},"streamSid":{stream}}}')]
    return [_Envelope(re.compile(event + re.escape(middle) + media).match, tail, -len(tail)) for middle, tail in shapes]


def _is_base64(payload: str) -> bool:
    """Tell without decoding. Others splice the payload: it must not break their envelope."""
    foreign = payload.encode("ascii", "replace").translate(None, _BASE64)
    if foreign and (foreign not in _PADDING or not payload.endswith(foreign.decode())):
        return False
    return len(payload) % 4 == 0


def _frame(event: str, stream_sid: str, **parts: object) -> str:
    return orjson.dumps({"event": event, "streamSid": stream_sid, **parts}).decode()


def _json(text: str) -> dict[str, Any]:
    if len(text) > MAX_FRAME:
        raise _broken("a frame is too long", close_code=_TOO_BIG)
    try:
        frame = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise _broken("a frame is not JSON") from None  # the cause would quote the frame
    if not isinstance(frame, dict):
        raise _broken("a frame is not an object")
    return frame


def _check_format(media_format: object) -> None:
    if isinstance(media_format, dict):
        found = (media_format.get("encoding"), media_format.get("sampleRate"), media_format.get("channels"))
        if (found[0], str(found[1]), str(found[2])) == (_ENCODING[0], str(_ENCODING[1]), str(_ENCODING[2])):
            return
    elif media_format is None:
        return
    raise _broken("the stream is not mu-law, 8000 Hz, one channel", close_code=_UNSUITABLE)


def _part(frame: dict[str, Any], name: str) -> dict[str, Any]:
    part = frame.get(name)
    if not isinstance(part, dict):
        raise _broken(f"{name} is missing")
    return part


def _text(part: dict[str, Any], name: str, *, empty: bool = False) -> str:
    value = part.get(name)
    if not isinstance(value, str) or not (value or empty):
        raise _broken(f"{name} is missing")
    return value


def _call_sid(start: dict[str, Any]) -> str:
    call_sid = _text(start, "callSid")
    if not CALL_SID.fullmatch(call_sid):
        raise _broken("callSid is malformed")
    return call_sid


def _counter(part: dict[str, Any], name: str) -> int | None:
    value = part.get(name)
    if value is None:
        return None
    counter = str(value)
    if not (counter.isascii() and counter.isdigit() and len(counter) <= 15):
        raise _broken(f"{name} is not a number")
    return int(counter)


def _broken(message: str, *, close_code: int = _INCONSISTENT) -> ProtocolError:
    return ProtocolError(message, peer="twilio", close_code=close_code)
