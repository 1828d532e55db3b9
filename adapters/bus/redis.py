"""A bus over Redis: what is told to all goes through one channel, what is asked of a node through its own.

One task reads, one sends. While Redis is away what is published is dropped, and counted; a question fails at once.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

import orjson

from adapters.bus.contract import Answer, NodeAway
from adapters.settings import Settings
from adapters.stores.contract import StoreAway
from adapters.stores.redis import redis_target
from fsm.errors import CallchartError

if TYPE_CHECKING:
    from adapters.stores.redis_link import Link

__all__ = ["RedisBus", "redis_bus"]

log = logging.getLogger(__name__)
_AT_ONCE = 200  # messages that are sent in one go
_FIRST, _LONGEST = 0.25, 5.0  # seconds until Redis is looked for again


def redis_bus(settings: Settings, node: str) -> RedisBus:
    """Return this node's end of the bus in the Redis that the settings name; nothing is connected yet.

    A message to any node of a Redis Cluster reaches all of them: there, that of `REDIS_URL` is spoken to.

    Raises:
        SettingError: its client is not installed.
    """
    target = redis_target(settings)
    from adapters.stores.redis_link import Link

    link = Link(replace(target, cluster=False), keeps=False)
    return RedisBus(node, link, prefix=settings.session_prefix, spans=target.cluster)


class RedisBus:
    """A `Bus` over Redis.

    Args:
        prefix: of all channels; deployments that share a Redis differ in it.
        spans: other nodes may listen to other servers of a cluster.
        waiting: messages that may wait to be sent.
        answering: questions that are worked on at once.

    Attributes:
        dropped: messages that could not be sent.
    """

    def __init__(
        self,
        node: str,
        link: Link,
        *,
        prefix: str = "call_session:",
        spans: bool = False,
        waiting: int = 10_000,
        answering: int = 100,
    ) -> None:
        self.node = node
        self._spans = spans
        self.dropped = 0
        self._link = link
        self._prefix = prefix
        self._events = f"{{{prefix}}}:events".encode()
        self._own = self._channel(node)
        self._stamp = orjson.dumps(node) + b"\n"
        self._waiting: deque[tuple[bytes, bytes, int]] = deque()
        self._most = waiting
        self._is_due = asyncio.Event()
        self._heard: Callable[[bytes], None] | None = None
        self._answer: Answer | None = None
        self._answering = asyncio.Semaphore(answering)
        self._numbers = count(1)
        self._asked: dict[int, asyncio.Future[Mapping[str, Any]]] = {}
        self._listens = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def _channel(self, node: str) -> bytes:
        return f"{{{self._prefix}}}:node:{node}".encode()

    def listen(self, heard: Callable[[bytes], None]) -> None:
        self._heard = heard

    def serve(self, answer: Answer) -> None:
        self._answer = answer

    def publish(self, message: bytes) -> None:
        self._enqueue(self._events, self._stamp + message)

    async def ask(self, node: str, question: Mapping[str, Any], *, within: float = 2.0) -> Mapping[str, Any]:
        number = next(self._numbers)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        said = orjson.dumps({"from": self.node, "number": number, "question": question})
        self._enqueue(self._channel(node), said, number)
        try:
            async with asyncio.timeout(within):
                told = await answer
        except TimeoutError:
            raise NodeAway(f"node {node!r} did not answer in {within:g} s") from None
        finally:
            del self._asked[number]
        if "error" in told:
            raise CallchartError(str(told["error"]))
        return dict(told["answer"])

    async def start(self) -> None:
        if self._tasks:
            return
        self._begin(self._read())
        self._begin(self._send())
        with suppress(TimeoutError):
            async with asyncio.timeout(self._link.target.connect_within):
                await self.listening()

    async def listening(self) -> None:
        """Wait until this node hears the others."""
        await self._listens.wait()

    async def aclose(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for number in list(self._asked):
            self._fail(number, "this node is closing")
        await self._link.aclose()

    # -- hearing ---------------------------------------------------------------------------------

    async def _read(self) -> None:
        failures = 0
        while True:
            try:
                async with self._link.subscribed(self._events, self._own) as messages:
                    failures = 0
                    self._listens.set()
                    async for channel, message in messages:
                        self._take(channel, message)
            except StoreAway as away:
                log.warning("bus_away", extra={"reason": str(away)})
            self._listens.clear()
            length = min(_LONGEST, _FIRST * 2**failures)
            failures = min(failures + 1, 16)
            await asyncio.sleep(length * (0.5 + random.random() / 2))

    def _take(self, channel: bytes, message: bytes) -> None:
        try:
            if channel == self._events:
                sender, _, body = message.partition(b"\n")
                if self._heard is not None and sender + b"\n" != self._stamp:
                    self._heard(body)
            else:
                self._take_own(orjson.loads(message))
        except Exception:  # a listener that fails must not make this node deaf
            log.exception("message on the bus not taken")

    def _take_own(self, said: Mapping[str, Any]) -> None:
        if "question" in said:
            self._begin(self._reply(said))
        elif (asked := self._asked.get(said["number"])) is not None and not asked.done():
            asked.set_result(said)

    async def _reply(self, said: Mapping[str, Any]) -> None:
        asker, number = said["from"], said["number"]
        try:
            message = orjson.dumps({"number": number, "answer": await self._find_answer(said["question"])})
        except CallchartError as error:
            message = orjson.dumps({"number": number, "error": str(error)})
        except Exception as error:  # the asker is told, and this node goes on
            log.exception("question not answered")
            message = orjson.dumps({"number": number, "error": type(error).__name__})
        self._enqueue(self._channel(asker), message)

    async def _find_answer(self, question: Mapping[str, Any]) -> dict[str, Any]:
        if self._answer is None:
            raise CallchartError(f"node {self.node!r} serves no questions")
        async with self._answering:
            return dict(await self._answer(question))

    # -- sending ---------------------------------------------------------------------------------

    def _enqueue(self, channel: bytes, message: bytes, number: int = 0) -> None:
        if len(self._waiting) >= self._most:
            self._drop([(channel, message, number)], "too many messages wait to be sent")
            return
        self._waiting.append((channel, message, number))
        self._is_due.set()

    async def _send(self) -> None:
        while True:
            await self._is_due.wait()
            self._is_due.clear()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]
                try:
                    heard = await self._link.run([("PUBLISH", channel, message) for channel, message, _ in batch])
                except StoreAway as away:
                    self._drop(batch, str(away))
                else:
                    self._note_unheard(batch, heard)

    def _note_unheard(self, batch: list[tuple[bytes, bytes, int]], heard: list[int]) -> None:
        """Fail questions that nobody has heard. A cluster does not count who listens to other nodes of it."""
        for (_, _, number), receivers in zip(batch, heard, strict=True):
            if number and not receivers and not self._spans:
                self._fail(number, "no such node listens")

    def _drop(self, batch: list[tuple[bytes, bytes, int]], why: str) -> None:
        self.dropped += len(batch)
        for _, _, number in batch:
            self._fail(number, f"the bus is away: {why}")

    def _fail(self, number: int, why: str) -> None:
        asked = self._asked.get(number)
        if asked is not None and not asked.done():
            asked.set_exception(NodeAway(why))

    def _begin(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
