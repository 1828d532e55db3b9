"""How the nodes of one deployment talk to each other: events to all, questions to one.

Best effort: nothing that a call needs depends on it. A message may be lost, none is delivered twice, and those of one
node arrive in their order.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from fsm.errors import CallchartError

__all__ = ["Answer", "Bus", "NodeAway"]

Answer = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
"""Serves a question of another node: JSON-able values in and out. What it raises is told to the asker as `error`."""


class NodeAway(CallchartError):
    """The node that was asked does not answer: it is gone, or cannot be reached."""


class Bus(Protocol):
    """One node's end.

    Attributes:
        node: its name; no other has it, also not after a restart.
    """

    node: str

    def listen(self, heard: Callable[[bytes], None]) -> None:
        """Have `heard` called with every message that another node publishes."""
        ...

    def serve(self, answer: Answer) -> None:
        """Have `answer` serve the questions of other nodes."""
        ...

    def publish(self, message: bytes) -> None:
        """Send a message to all other nodes; enqueues. Dropped, and counted, if they cannot be reached."""
        ...

    async def ask(self, node: str, question: Mapping[str, Any], *, within: float = 2.0) -> Mapping[str, Any]:
        """Ask a node; return what it answers.

        Raises:
            NodeAway: no answer came in `within` seconds.
            CallchartError: it could not answer; the message is its own.
        """
        ...

    async def start(self) -> None:
        """Begin to hear; returns at once if the others cannot be reached yet."""
        ...

    async def aclose(self) -> None:
        """Stop; may be called twice."""
        ...
