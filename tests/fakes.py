"""Ports in memory. They share one log, `did`, so that a test can tell the order across them.

`a_call(...)` is what handlers get in tests: the ports, a context that a test may replace, and what was posted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fsm.context import CallContext
from fsm.errors import PortError
from fsm.ports import CallPorts
from fsm.triggers import AgentCompleted, IntentDetected, Trigger

__all__ = [
    "FakeAgents", "FakeCall", "FakeCarrier", "FakeFronts", "FakeIntents", "FakeMedia", "FakeSlot", "FakeSts",
    "FakeTranscripts", "a_call", "elapse", "fake_ports",
]  # fmt: skip

Log = list[tuple[Any, ...]]


async def elapse(seconds: float) -> None:
    """Let time pass; virtual time, in tests."""
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, over.set)
    await over.wait()


@dataclass
class FakeCarrier:
    """Plays at once, unless `playing` is not empty: a list of seconds that each wait of `drained` takes."""

    did: Log
    playing: list[float] = field(default_factory=list)
    on_drain: Callable[[], None] = lambda: None
    can_transfer: bool = True

    def attach(self) -> None:
        self.did.append(("carrier.attach",))

    def detach(self) -> None:
        self.did.append(("carrier.detach",))

    def play(self, clip: str, language: str) -> None:
        self.did.append(("carrier.play", clip, language))

    async def drained(self) -> None:
        self.did.append(("carrier.drained",))
        self.on_drain()
        if self.playing:
            await elapse(self.playing.pop(0))

    async def hang_up(self) -> None:
        self.did.append(("carrier.hang_up",))

    async def transfer(self, target: str) -> None:
        if not self.can_transfer:
            raise PortError("no target takes this call", port="carrier", retryable=False)
        self.did.append(("carrier.transfer", target))


@dataclass
class FakeSts:
    did: Log
    usable: bool = True

    def start(self, call: CallContext) -> None:
        self.did.append(("sts.start", call.call_id))

    def close_soon(self) -> None:
        self.did.append(("sts.close_soon",))

    def configure(self, call: CallContext) -> None:
        self.did.append(("sts.configure", call.call_id))

    def respond(self, *, purpose: str, instructions: str = "") -> None:
        self.did.append(("sts.respond", purpose, instructions))

    def tell(self, text: str) -> None:
        self.did.append(("sts.tell", text))

    def tool_result(self, call_id: str, output: str) -> None:
        self.did.append(("sts.tool_result", call_id, output))


@dataclass
class FakeMedia:
    did: Log

    def open(self) -> None:
        self.did.append(("media.open",))

    def interrupt(self) -> None:
        self.did.append(("media.interrupt",))


@dataclass
class FakeIntents:
    did: Log
    answer: IntentDetected = IntentDetected()

    async def detect(self, call: CallContext, text: str) -> IntentDetected:
        self.did.append(("intents.detect", text))
        return self.answer


@dataclass
class FakeAgents:
    did: Log
    answer: Trigger = AgentCompleted()

    async def run(self, session: Any) -> Trigger:
        self.did.append(("agents.run", session.call_id))
        return self.answer

    def tell(self, call_id: str, text: str) -> None:
        self.did.append(("agents.tell", call_id, text))


@dataclass
class FakeTranscripts:
    did: Log

    def save(self, call: CallContext) -> None:
        self.did.append(("transcripts.save", call.call_id))


@dataclass
class FakeFronts:
    did: Log

    def notify(self, call_id: str, event: str, data: Mapping[str, Any]) -> None:
        self.did.append(("fronts.notify", call_id, event, dict(data)))


@dataclass
class FakeSlot:
    did: Log

    def release(self) -> None:
        self.did.append(("slot.release",))


def fake_ports(did: Log | None = None) -> CallPorts:
    """Return all ports of a call, in memory, with one log."""
    log: Log = [] if did is None else did
    return CallPorts(
        carrier=FakeCarrier(log),
        sts=FakeSts(log),
        media=FakeMedia(log),
        intents=FakeIntents(log),
        agents=FakeAgents(log),
        transcripts=FakeTranscripts(log),
        fronts=FakeFronts(log),
        slot=FakeSlot(log),
    )


@dataclass(eq=False)
class FakeCall:
    """A call as handlers see it, without a machine."""

    context: CallContext
    did: Log
    ports: CallPorts
    posted: list[Trigger] = field(default_factory=list)
    wake: asyncio.Event | None = None
    settled: bool = False

    @property
    def call_id(self) -> str:
        return self.context.call_id

    def __getattr__(self, port: str) -> Any:
        return getattr(self.ports, port)

    def post(self, trigger: Trigger) -> None:
        self.posted.append(trigger)
        if self.wake is not None:
            self.wake.set()

    async def next_post(self) -> Trigger:
        """Wait for the next trigger, take it off and return it."""
        while not self.posted:
            self.wake = asyncio.Event()
            await self.wake.wait()
        return self.posted.pop(0)


def a_call(**facts: Any) -> Any:
    """Return a call with these facts in its context; untyped, so that it passes as a `Session`."""
    did: Log = []
    return FakeCall(CallContext(**{"call_id": "CA1", **facts}), did, fake_ports(did))
