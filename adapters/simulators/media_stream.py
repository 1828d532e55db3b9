"""One media WebSocket of a simulated Twilio call, from `connected` to `stop`, as Twilio's side speaks it.

Source: Twilio, Media Streams - WebSocket Messages; Twilio, TwiML Voice: `<Stream>`. Counters are strings.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

from adapters.simulators.audio import FRAME, SILENCE
from adapters.simulators.line import LineClock
from adapters.simulators.misbehaviour import Misbehaviour
from adapters.simulators.playback import MarkLog, Playback
from adapters.simulators.tcp import reset

__all__ = ["MediaStream", "StreamEnd", "StreamIds"]

StreamEnd: TypeAlias = Literal["hung_up", "aborted", "closed"]


@dataclass(frozen=True, slots=True)
class StreamIds:
    """The ids in each message: of the account (AC…), the call (CA…) and this stream (MZ…)."""

    account_sid: str
    call_sid: str
    stream_sid: str


class MediaStream:
    """Sends what the caller says, plays what arrives, returns marks.

    Attributes:
        playback: what was heard of this stream.
        received: every message that arrived, parsed; text that is not JSON as it came.
        problems: what the other side sent that Twilio would not understand.
        close_code: how the socket was closed, once it is.
    """

    def __init__(
        self,
        connection: ClientConnection,
        ids: StreamIds,
        clock: LineClock,
        faults: Misbehaviour,
        changed: Callable[[], None],
    ) -> None:
        self.ids = ids
        self.playback = Playback()
        self.received: list[Any] = []
        self.problems: list[str] = []
        self.close_code: int | None = None
        self._connection = connection
        self._clock = clock
        self._faults = faults
        self._changed = changed
        self._started_ms = clock.now_ms
        self._outbox: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self._sequence = 0
        self._frames = 0
        self._held: str | None = None
        self._end: StreamEnd = "closed"
        self._mark_timer: asyncio.TimerHandle | None = None

    def start(self, parameters: Mapping[str, str]) -> None:
        """Send `connected` and `start`."""
        faults = self._faults
        self._put({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        if faults.no_start:
            return
        for _ in range(faults.media_before_start):
            self._send_frame(SILENCE * FRAME)
        start = self._numbered("start", self._start_fields(parameters))
        for _ in range(2 if faults.duplicate_start else 1):
            self._put(start)
        for message in faults.garbage:
            self._outbox.put_nowait(message)
        if faults.oversized_bytes:
            self._send_frame(SILENCE * faults.oversized_bytes)

    def say(self, frame: bytes) -> None:
        """Send 20 ms of the caller."""
        if not self._faults.no_media and not self._faults.no_start:
            self._send_frame(frame)

    def press(self, digit: str) -> None:
        """Send one key."""
        self._put(self._numbered("dtmf", {"dtmf": {"track": "inbound_track", "digit": digit}}))

    def hang_up(self) -> None:
        """Send `stop` and close, after what is still to be sent."""
        self._end = "hung_up"
        if self._faults.hang_up_silently:
            reset(self._connection.transport)
            return
        if not self._faults.no_stop:
            ids = {"accountSid": self.ids.account_sid, "callSid": self.ids.call_sid}
            self._put(self._numbered("stop", {"stop": ids}))
        self._outbox.put_nowait(None)

    def abort(self) -> None:
        """Reset the connection."""
        self._end = "aborted"
        reset(self._connection.transport)

    async def run(self) -> StreamEnd:
        """Carry the stream until its socket is closed, and return who ended it."""
        writer = asyncio.create_task(self._write())
        try:
            if not self._faults.deaf:
                await self._read()
            await self._connection.wait_closed()
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            if self._mark_timer is not None:
                self._mark_timer.cancel()
            self.playback.end(self._clock.now_ms)
            self.close_code = self._connection.close_code
        return self._end

    async def _read(self) -> None:
        with suppress(ConnectionClosedError):  # an end like any other: `close_code` tells
            async for message in self._connection:
                self._receive(message)
                self._changed()

    async def _write(self) -> None:
        try:
            while (message := await self._outbox.get()) is not None:
                await self._connection.send(message)
            await self._connection.close()
        except ConnectionClosed:
            return  # the reader sees it too, and ends the stream

    def _receive(self, message: str | bytes) -> None:
        try:
            parsed = json.loads(message)
        except ValueError:
            self.received.append(message)
            self.problems.append("a message that is not JSON")
            return
        self.received.append(parsed)
        match parsed:
            case {"event": "media" | "mark" | "clear", "streamSid": str(sid)} if sid != self.ids.stream_sid:
                self.problems.append("a message for another stream")
            case {"event": "media", "streamSid": str(), "media": {"payload": str(payload)}}:
                self._hear(payload)
            case {"event": "mark", "streamSid": str(), "mark": {"name": str(name)}}:
                self.playback.mark(name, self._clock.now_ms)
                self._return_marks()
            case {"event": "clear", "streamSid": str()}:
                self._return(self.playback.clear(self._clock.now_ms))
            case _:
                self.problems.append("a message that Twilio does not know")

    def _hear(self, payload: str) -> None:
        try:
            sound = base64.b64decode(payload, validate=True)
        except binascii.Error:
            self.problems.append("a payload that is not base64")
            return
        if sound.startswith(b"RIFF"):
            self.problems.append("a payload with a WAV header")
        self.playback.add(sound, self._clock.now_ms)

    def _return_marks(self) -> None:
        """Return the marks that are due, and look again when the next one is."""
        self._return(self.playback.due_marks(self._clock.now_ms))
        if self._mark_timer is not None:
            self._mark_timer.cancel()
        due = self.playback.next_mark_ms
        self._mark_timer = None if due is None else self._clock.call_at(due, self._return_marks)

    def _return(self, marks: list[MarkLog]) -> None:
        for mark in marks:
            if not self._faults.keep_marks:
                self._put(self._numbered("mark", {"mark": {"name": mark.name}}))
        if marks:
            self._changed()

    def _send_frame(self, sound: bytes) -> None:
        self._frames += 1
        count, faults = self._frames, self._faults
        age = round(self._clock.now_ms - self._started_ms)
        payload = base64.b64encode(sound).decode()
        media = {"track": "inbound", "chunk": str(count), "timestamp": str(age), "payload": payload}
        text = json.dumps(self._numbered("media", {"media": media}))
        if _is_nth(count, faults.missing_every):
            return
        if _is_nth(count, faults.swapped_every):
            self._held = text
            return
        for _ in range(2 if _is_nth(count, faults.duplicate_every) else 1):
            self._outbox.put_nowait(text)
        if self._held is not None:
            self._outbox.put_nowait(self._held)
            self._held = None

    def _start_fields(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        return {
            "start": {
                "accountSid": self.ids.account_sid,
                "streamSid": self.ids.stream_sid,
                "callSid": self.ids.call_sid,
                "tracks": ["inbound"],
                "customParameters": dict(parameters),
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            }
        }

    def _numbered(self, event: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        self._sequence += 1
        numbers = {"sequenceNumber": str(self._sequence), "streamSid": self.ids.stream_sid}
        return {"event": event, **numbers, **fields}

    def _put(self, message: Mapping[str, Any]) -> None:
        self._outbox.put_nowait(json.dumps(message))


def _is_nth(count: int, every: int) -> bool:
    return bool(every) and count % every == 0
