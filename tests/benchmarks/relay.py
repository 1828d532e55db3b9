"""The relay: what one frame costs on its way between caller and model, beside parsing and printing JSON both ways.

In: a Twilio `media` frame of 20 ms through codec, relay and client to a socket that only counts. Out: an OpenAI audio
delta of 200 ms through client, playhead, leg and its writer. The naive bridge does the least that any bridge must:
`json.loads`, take the audio out, `json.dumps`; it keeps no repeats out, knows no playhead and asks for no marks.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

from adapters.carriers.contract import LegEvents
from adapters.carriers.twilio.calls import TwilioCalls
from adapters.carriers.twilio.codec import Media, Started, TwilioCodec
from adapters.carriers.twilio.config import TwilioConfig
from adapters.carriers.twilio.leg import TwilioLeg
from adapters.media.clips import Clips
from adapters.media.line import Line
from adapters.sts.openai.client import OpenAiClient
from adapters.sts.openai.config import OpenAiConfig
from adapters.sts.openai.transport import Disconnected
from fsm.clock import LoopClock
from fsm.context import CallContext
from fsm.triggers import StsReady, Trigger
from tests.benchmarks.report import Figure, interleaved, main

__all__ = ["bridge", "delta", "frames", "measure"]

STREAM = "MZ0123456789abcdef0123456789abcdef"
_FRAME = base64.b64encode(bytes(range(160))).decode()  # 20 ms of mu-law
_DELTA = base64.b64encode(bytes(200) * 8).decode()  # 200 ms
_BATCH = 20  # deltas between two waits: what is queued stays short, as on a real line


def measure(smoke: bool) -> list[Figure]:
    """Measure both ways, ours and naive in turns."""
    rounds, count = (2, 200) if smoke else (15, 2000)
    naive_in, ours_in = interleaved(rounds, lambda: _naive_in(count), lambda: asyncio.run(_ours_in(count)))
    naive_out, ours_out = interleaved(
        rounds, lambda: asyncio.run(_naive_out(count // 4)), lambda: asyncio.run(_ours_out(count // 4))
    )
    return [
        _figure("caller to model, a frame of 20 ms", ours_in, naive_in),
        _figure("model to caller, a delta of 200 ms", ours_out, naive_out),
        Figure(
            name="share of a core for 100 calls that speak and hear",
            reached=100 * (ours_in * 50 + ours_out * 5) * 100,
            unit="%",
            note="sockets not included",
        ),
    ]


def _figure(name: str, ours: float, naive: float) -> Figure:
    note = f"naive JSON {naive * 1e6:.1f} us, {naive / ours:.2f} x ours"
    return Figure(name=name, reached=ours * 1e6, unit="us", note=note)


# -- what comes over the sockets -----------------------------------------------------------------------


def frames(count: int) -> Iterator[str]:
    """Yield Twilio's `media` frames of a caller, as Twilio spells them."""
    for n in range(1, count + 1):
        yield (
            f'{{"event":"media","sequenceNumber":"{n + 1}","media":{{"track":"inbound","chunk":"{n}",'
            f'"timestamp":"{n * 20}","payload":"{_FRAME}"}},"streamSid":"{STREAM}"}}'
        )


def delta(number: int) -> str:
    return json.dumps(
        {
            "type": "response.output_audio.delta",
            "event_id": f"event_{number}",
            "response_id": "resp_1",
            "item_id": "item_1",
            "output_index": 0,
            "content_index": 0,
            "delta": _DELTA,
        },
        separators=(",", ":"),
    )


class Model:
    """A transport whose far end is a model that opens sessions and answers one request; audio in is only counted."""

    def __init__(self) -> None:
        self.heard = 0
        self.answering = asyncio.Event()
        self._said: asyncio.Queue[str | None] = asyncio.Queue()
        self.say(json.dumps({"type": "session.created", "event_id": "event_0", "session": {"id": "sess_1"}}))

    def say(self, message: str) -> None:
        self._said.put_nowait(message)

    def send(self, message: str) -> None:
        if '"input_audio_buffer.append"' in message[:80]:
            self.heard += 1
            return
        event = json.loads(message)
        if event["type"] == "session.update":
            self.say(json.dumps({"type": "session.updated", "event_id": "event_1", "session": event["session"]}))
        elif event["type"] == "response.create":
            response = {"id": "resp_1", "status": "in_progress", "metadata": event["response"].get("metadata")}
            self.say(json.dumps({"type": "response.created", "event_id": "event_2", "response": response}))
            self.answering.set()

    async def receive(self) -> str:
        message = await self._said.get()
        if message is None:
            raise Disconnected(1000)
        return message

    def abort(self) -> None:
        self._said.put_nowait(None)

    async def close(self) -> None:
        self.abort()


class Caller:
    """The sending half of Twilio's socket; knows when it has been sent enough."""

    def __init__(self) -> None:
        self.sent = 0
        self._wanted = 0
        self._enough = asyncio.Event()

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if '"media"' in message.get("text", "")[:40]:
            self.sent += 1
            if self.sent == self._wanted:
                self._enough.set()

    def expect(self, count: int) -> asyncio.Event:
        """Return what is set once `count` more pieces of audio have come."""
        self._wanted = self.sent + count
        self._enough.clear()
        return self._enough


# -- ours ----------------------------------------------------------------------------------------------


@asynccontextmanager
async def bridge() -> AsyncIterator[tuple[TwilioCodec, LegEvents, Model, Caller, Line]]:
    """Open a line between a Twilio leg and an OpenAI client, both without sockets."""
    model, caller, clock = Model(), Caller(), LoopClock()
    ready = asyncio.Event()

    def post(trigger: Trigger) -> None:
        if isinstance(trigger, StsReady):
            ready.set()

    async def connect(url: str, headers: Mapping[str, str], config: OpenAiConfig) -> Model:
        return model

    line = Line(
        call_id="CA1",
        post=post,
        clock=clock,
        make_client=lambda events: OpenAiClient(OpenAiConfig(api_key="-"), events, clock=clock, connect=connect),
        clips=Clips(),
        idle_after=0,
    )
    codec, config = TwilioCodec(), TwilioConfig()
    started = codec.receive(json.dumps(_START))
    assert isinstance(started, Started)
    leg = TwilioLeg(started, codec, TwilioCalls(config), config)
    writer = asyncio.create_task(leg.write(caller.send))
    events = line.offer(leg, can_return=False)
    line.carrier.attach()
    line.sts.start(CallContext(call_id="CA1"))
    await ready.wait()
    line.media.open()
    yield codec, events, model, caller, line
    leg.close()
    await writer
    leg.settled()
    await line.aclose()


_START = {
    "event": "start",
    "sequenceNumber": "1",
    "streamSid": STREAM,
    "start": {
        "accountSid": "AC1",
        "streamSid": STREAM,
        "callSid": "CA1",
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {},
    },
}


async def _ours_in(count: int) -> float:
    async with bridge() as (codec, events, model, _, _):
        texts = list(frames(count))
        gc.collect()
        began = time.perf_counter()
        for text in texts:
            event = codec.receive(text)
            if type(event) is Media:
                events.on_audio(event.payload, event.timestamp_ms)
        took = time.perf_counter() - began
        assert model.heard == count
    return took / count


async def _ours_out(count: int) -> float:
    async with bridge() as (_, _, model, caller, line):
        line.sts.respond(purpose="answer")
        await model.answering.wait()
        return await _deliver(model, caller, count)


async def _deliver(model: Model, caller: Caller, count: int) -> float:
    """Say `count` deltas and return seconds for one, from the model's socket to the caller's."""
    pieces = await _pieces(model, caller)
    texts = [delta(number) for number in range(count)]
    gc.collect()
    took = 0.0
    for first in range(0, count, _BATCH):
        batch = texts[first : first + _BATCH]
        enough = caller.expect(len(batch) * pieces)
        began = time.perf_counter()
        for text in batch:
            model.say(text)
        await enough.wait()
        took += time.perf_counter() - began
    return took / count


async def _pieces(model: Model, caller: Caller) -> int:
    """Return in how many frames one delta arrives: shorter ones let a barge-in cut sooner."""
    model.say(delta(-1))
    for _ in range(50):
        await asyncio.sleep(0)
    return caller.sent


# -- the least that a bridge must do --------------------------------------------------------------------


def _naive_in(count: int) -> float:
    model_heard = 0
    texts = list(frames(count))
    gc.collect()
    began = time.perf_counter()
    for text in texts:
        event = json.loads(text)
        if event["event"] == "media":
            json.dumps({"type": "input_audio_buffer.append", "audio": event["media"]["payload"]})
            model_heard += 1
    took = time.perf_counter() - began
    assert model_heard == count
    return took / count


async def _naive_out(count: int) -> float:
    model, caller = Model(), Caller()
    forwarding = asyncio.create_task(_forward(model, caller))
    took = await _deliver(model, caller, count)
    model.abort()
    await forwarding
    return took


async def _forward(model: Model, caller: Caller) -> None:
    while True:
        try:
            event = json.loads(await model.receive())
        except Disconnected:
            return
        if event["type"] == "response.output_audio.delta":
            media = {"event": "media", "streamSid": STREAM, "media": {"payload": event["delta"]}}
            await caller.send({"type": "websocket.send", "text": json.dumps(media)})


if __name__ == "__main__":
    sys.exit(main(measure, __doc__))
