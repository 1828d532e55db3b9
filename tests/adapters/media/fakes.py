"""A carrier's leg that plays in its own time, a model's client that only writes down, and a line between them."""

from __future__ import annotations

import asyncio
import base64
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from adapters.carriers.contract import LegEvents, MediaFormat
from adapters.media.clips import Clips
from adapters.media.line import Line, Recorder
from adapters.sts.contract import ResponseEnd, StsEvents
from fsm.clock import LoopClock
from fsm.context import CallContext
from fsm.errors import PortError
from fsm.triggers import Trigger

T = TypeVar("T", bound=Trigger)
PCMU = MediaFormat("pcmu", 8000)


def pcmu(ms: int, byte: int = 0x10) -> str:
    """Mu-law audio of `ms` milliseconds, as base64."""
    return base64.b64encode(bytes([byte]) * (8 * ms)).decode()


async def elapse(seconds: float) -> None:
    """Let virtual time pass."""
    await asyncio.sleep(seconds)


def timers() -> int:
    """How many timers the loop still has, without the fakes' own."""
    handles: list[asyncio.TimerHandle] = getattr(asyncio.get_running_loop(), "_scheduled")  # noqa: B009  # private
    return sum(1 for handle in handles if not handle.cancelled() and "FakeLeg" not in repr(handle))


class FakeLeg:
    """Plays what it is sent, `speed` times as fast as real time, and returns marks as Twilio does.

    Attributes:
        heard_ms: what the caller has heard since the leg was made.
        log: what was asked of it, in order.
    """

    carrier = "fake"
    can_return = True

    def __init__(
        self,
        stream_id: str = "MZ1",
        *,
        media_format: MediaFormat = PCMU,
        speed: float = 1.0,
        marks: bool = True,
        transfers: bool = True,
    ) -> None:
        self.stream_id = stream_id
        self.media_format = media_format
        self.events: LegEvents | None = None
        self.log: list[str] = []
        self.sent: list[str] = []
        self._speed = speed
        self._marks = marks
        self._transfers = transfers
        self._queue: deque[tuple[str, float]] = deque()  # (mark, 0) or ("", ms)
        self._timer: asyncio.TimerHandle | None = None
        self._began = 0.0
        self._played_ms = 0.0
        self._gone = asyncio.Event()
        self.stuck = False

    @property
    def heard_ms(self) -> float:
        playing = 0.0
        if self._timer is not None:
            playing = (asyncio.get_running_loop().time() - self._began) * 1000 * self._speed
        return self._played_ms + playing

    @property
    def counts(self) -> dict[str, int]:
        return {word: self.log.count(word) for word in set(self.log)}

    def play(self, payload: str) -> None:
        self.log.append("play")
        self.sent.append(payload)
        self._queue.append(("", len(base64.b64decode(payload)) / self.media_format.bytes_per_ms))
        self._go_on()

    def mark(self, name: str) -> None:
        self._queue.append((name, 0.0))
        self._go_on()

    def clear(self) -> None:
        self.log.append("clear")
        self._played_ms = self.heard_ms
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        marks = [name for name, _ in self._queue if name]
        self._queue.clear()
        for name in marks:
            asyncio.get_running_loop().call_soon(self._return, name)

    def close(self, reason: str = "") -> None:
        self.log.append(f"close {reason}")
        if not self._gone.is_set() and not self.stuck:
            asyncio.get_running_loop().call_soon(self.drop, reason)

    def drop(self, reason: str = "aborted") -> None:
        """The socket goes away."""
        if self._gone.is_set():
            return
        self._gone.set()
        if self._timer is not None:
            self._played_ms = self.heard_ms
            self._timer.cancel()
            self._timer = None
        self._queue.clear()
        if self.events is not None:
            self.events.on_closed(reason)

    async def hang_up(self) -> None:
        self.log.append("hang_up")
        self.drop("hung up")

    async def transfer(self, target: str) -> None:
        if not self._transfers:
            raise PortError("no transfer here", port="carrier", retryable=False)
        self.log.append(f"transfer {target}")

    async def wait_closed(self) -> None:
        await self._gone.wait()

    def _go_on(self) -> None:
        while self._timer is None and self._queue and not self._gone.is_set():
            name, ms = self._queue.popleft()
            if name:
                self._return(name)
                continue
            loop = asyncio.get_running_loop()
            self._began = loop.time()
            self._timer = loop.call_later(ms / 1000 / self._speed, self._played, ms)

    def _played(self, ms: float) -> None:
        self._timer = None
        self._played_ms += ms
        self._go_on()

    def _return(self, name: str) -> None:
        if self._marks and self.events is not None and not self._gone.is_set():
            self.events.on_mark(name)


class FakeClient:
    """Writes down what it is asked."""

    def __init__(self, events: StsEvents) -> None:
        self.events = events
        self.usable = False
        self.active_response_id: str | None = None
        self.conversation_id = ""
        self.appended: list[str] = []
        self.log: list[str] = []
        self.truncated: list[tuple[str, int]] = []
        self.remembered: list[CallContext] = []
        self.stuck = False
        self.broken = False

    def start(self, call: CallContext, media_format: MediaFormat) -> None:
        if media_format.encoding not in ("pcmu", "pcma", "pcm16"):
            raise ValueError("no such format")
        self.log.append(f"start {media_format.encoding} {media_format.rate}")

    def close_soon(self) -> None:
        self.log.append("close_soon")

    def configure(self, call: CallContext) -> None:
        self.log.append("configure")

    def append(self, payload: str) -> None:
        self.appended.append(payload)

    def respond(self, *, purpose: str, instructions: str = "") -> None:
        self.log.append(f"respond {purpose}")

    def cancel(self) -> None:
        self.log.append("cancel")

    def truncate(self, heard: Sequence[tuple[str, int]]) -> None:
        self.log.append("truncate")
        self.truncated += heard

    def remember(self, call: CallContext) -> None:
        self.remembered.append(call)

    def tell(self, text: str) -> None:
        self.log.append(f"tell {text}")

    def tool_result(self, call_id: str, output: str) -> None:
        self.log.append(f"tool_result {call_id} {output}")

    async def aclose(self) -> None:
        self.log.append("aclose")
        if self.broken:
            raise ConnectionError("broken")
        if self.stuck:
            await asyncio.Event().wait()

    # -- what a test lets the model say

    def begin(self, response_id: str = "resp_1") -> None:
        self.active_response_id = response_id

    def speak(
        self, ms: int, *, item: str = "item_1", response: str = "resp_1", purpose: str = "answer", text: str = ""
    ) -> None:
        self.active_response_id = response
        if text:
            self.events.on_reply_text(item, text)
        self.events.on_reply_audio(response, item, pcmu(ms), purpose)

    def end(self, response: str = "resp_1", **fields: Any) -> None:
        self.active_response_id = None
        self.events.on_response_end(
            ResponseEnd(**{"response_id": response, "purpose": "answer", "status": "completed", **fields})
        )


class Call:
    """A line with its fakes, and the triggers that it posted."""

    def __init__(
        self,
        *,
        leg: FakeLeg | None = None,
        idle_after: float = 0.0,
        recorder: Recorder | None = None,
        make_client: Callable[[StsEvents], FakeClient] = FakeClient,
    ) -> None:
        self.posted: list[Trigger] = []
        self.clients: list[FakeClient] = []
        self.line = Line(
            call_id="CA1",
            post=self.posted.append,
            clock=LoopClock(),
            make_client=self._client,
            clips=Clips(),
            idle_after=idle_after,
            recorder=recorder,
        )
        self._make = make_client
        self.leg = leg or FakeLeg()

    def _client(self, events: StsEvents) -> FakeClient:
        self.clients.append(self._make(events))
        return self.clients[-1]

    @property
    def client(self) -> FakeClient:
        return self.clients[-1]

    @property
    def caller(self) -> LegEvents:
        assert self.leg.events is not None
        return self.leg.events

    def offer(self, leg: FakeLeg | None = None, *, can_return: bool = True) -> FakeLeg:
        leg = leg or self.leg
        leg.events = self.line.offer(leg, can_return=can_return)
        return leg

    def connect(self) -> Call:
        """As far as the model being ready and the caller heard."""
        self.offer()
        self.line.carrier.attach()
        self.connect_rest()
        self.posted.clear()
        return self

    def connect_rest(self) -> None:
        """From the socket that was offered to the model that hears the caller."""
        self.line.carrier.attach()
        self.line.sts.start(CallContext())
        self.client.usable = True
        self.client.events.on_ready("sess_1")
        self.line.media.open()

    def ask(self, purpose: str = "answer") -> None:
        self.line.sts.respond(purpose=purpose)

    def names(self) -> list[str]:
        return [trigger.name for trigger in self.posted]

    def told(self, kind: type[T]) -> list[T]:
        return [trigger for trigger in self.posted if isinstance(trigger, kind)]

    def only(self, kind: type[T]) -> T:
        (trigger,) = self.told(kind)
        return trigger
