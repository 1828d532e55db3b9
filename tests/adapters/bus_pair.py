"""Buses of several nodes in one process. What passes between them is JSON, as on a real one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from adapters.bus.contract import Answer, NodeAway
from fsm.errors import CallchartError

__all__ = ["Ether", "PairedBus"]


class Ether:
    """What joins the nodes.

    Attributes:
        cut: nodes that hear nothing and cannot be asked.
        asked: (asker, node, op) of every question.
    """

    def __init__(self) -> None:
        self.buses: dict[str, PairedBus] = {}
        self.cut: set[str] = set()
        self.asked: list[tuple[str, str, str]] = []

    def bus(self, node: str) -> PairedBus:
        """Return another node's end."""
        self.buses[node] = PairedBus(node, self)
        return self.buses[node]


class PairedBus:
    """A `Bus`."""

    def __init__(self, node: str, ether: Ether) -> None:
        self.node = node
        self._ether = ether
        self._heard: list[Callable[[bytes], None]] = []
        self._answer: Answer | None = None

    def listen(self, heard: Callable[[bytes], None]) -> None:
        self._heard.append(heard)

    def serve(self, answer: Answer) -> None:
        self._answer = answer

    def publish(self, message: bytes) -> None:
        for bus in self._ether.buses.values():
            if bus is not self and not {bus.node, self.node} & self._ether.cut:
                for heard in bus._heard:
                    heard(message)

    async def ask(self, node: str, question: Mapping[str, Any], *, within: float = 2.0) -> Mapping[str, Any]:
        self._ether.asked.append((self.node, node, question["op"]))
        other = self._ether.buses.get(node)
        if other is None or other._answer is None or {node, self.node} & self._ether.cut:
            raise NodeAway(f"{node} does not answer")
        try:
            answer: Mapping[str, Any] = orjson.loads(
                orjson.dumps(await other._answer(orjson.loads(orjson.dumps(question))))
            )
        except CallchartError as error:
            raise CallchartError(str(error)) from None
        return answer

    async def start(self) -> None:
        """Nothing to do."""

    async def aclose(self) -> None:
        self._ether.buses.pop(self.node, None)
