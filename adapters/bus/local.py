"""A bus of one node: nobody else hears, and nobody can be asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from adapters.bus.contract import Answer, NodeAway

__all__ = ["LocalBus"]


class LocalBus:
    """A `Bus` for a deployment of one node."""

    def __init__(self, node: str) -> None:
        self.node = node

    def listen(self, heard: Callable[[bytes], None]) -> None:
        """There is nobody to hear."""

    def serve(self, answer: Answer) -> None:
        """There is nobody who asks."""

    def publish(self, message: bytes) -> None:
        """There is nobody to tell."""

    async def ask(self, node: str, question: Mapping[str, Any], *, within: float = 2.0) -> Mapping[str, Any]:
        raise NodeAway(f"no node is called {node!r}: this deployment has one node, {self.node!r}")

    async def start(self) -> None:
        """There is nothing to start."""

    async def aclose(self) -> None:
        """There is nothing to stop."""
