"""Buses of several nodes in one process. What passes between them is JSON, as on a real one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from adapters.bus.contract import Answer, NodeAway
from fsm.errors import CallchartError

__all__ = ["BusHub", "HubBus"]


class BusHub:
    """Where buses meet."""

    def __init__(self) -> None:
        self.buses: dict[str, HubBus] = {}

    def bus(self, node: str) -> HubBus:
        """Return the end of a new node."""
        self.buses[node] = HubBus(self, node)
        return self.buses[node]


class HubBus:
    """A `Bus`. One that is `cut` is not heard, and does not hear.

    Attributes:
        asked: (node, question) of every question from here.
    """

    def __init__(self, hub: BusHub, node: str) -> None:
        self.node = node
        self.cut = False
        self.asked: list[tuple[str, Mapping[str, Any]]] = []
        self._hub = hub
        self._heard: list[Callable[[bytes], None]] = []
        self._answer: Answer | None = None

    def listen(self, heard: Callable[[bytes], None]) -> None:
        self._heard.append(heard)

    def serve(self, answer: Answer) -> None:
        self._answer = answer

    def publish(self, message: bytes) -> None:
        for other in self._hub.buses.values():
            if other is not self and not other.cut and not self.cut:
                for heard in other._heard:
                    heard(message)

    async def ask(self, node: str, question: Mapping[str, Any], *, within: float = 2.0) -> Mapping[str, Any]:
        self.asked.append((node, question))
        other = self._hub.buses.get(node)
        if other is None or other.cut or self.cut or other._answer is None:
            await asyncio.sleep(within)
            raise NodeAway(f"{node} does not answer")
        try:
            answer = await other._answer(orjson.loads(orjson.dumps(question)))
        except CallchartError as error:
            raise CallchartError(str(error)) from None  # its type does not pass
        told: Mapping[str, Any] = orjson.loads(orjson.dumps(answer))
        return told

    async def start(self) -> None:
        """There is nothing to start."""

    async def aclose(self) -> None:
        self.cut = True
