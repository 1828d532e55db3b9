"""What stands before the nodes of a deployment: one address, whose new connections go to one node at a time.

It can lose its callers and keep its connections to the nodes, as a network does: a node is not told that its caller
went elsewhere.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from adapters.simulators.waiting import Watch

__all__ = ["Front"]

_PIECE = 65_536
Address = tuple[str, int]


class Front:
    """A TCP relay on a free port of loopback.

    Attributes:
        target: where the next connections go.
    """

    def __init__(self) -> None:
        self.target: Address = ("", 0)
        self._pairs: dict[asyncio.Task[None], _Pair] = {}
        self._watch = Watch()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        tasks = list(self._pairs)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"http://{host}:{port}"

    def lose_callers(self) -> None:
        """Reset every caller's connection; those to the nodes stay open."""
        for pair in self._pairs.values():
            pair.lost = True
            pair.caller.transport.abort()

    def open_to(self, node: Address) -> int:
        """Return how many connections to a node are open, from either side."""
        return sum(pair.node == node for pair in self._pairs.values())

    async def closed_to(self, node: Address, *, within: float = 15.0) -> None:
        """Return once no connection to a node is open: the node has closed those that lost their caller."""
        if self.open_to(node):
            async with asyncio.timeout(within):
                with self._watch.expecting(lambda: not self.open_to(node)) as expected:
                    await expected

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pairs[task] = pair = _Pair(self.target, writer)
        try:
            await pair.relay(reader)
        finally:
            writer.transport.abort()
            del self._pairs[task]
            self._watch.changed()


@dataclass(eq=False, slots=True)
class _Pair:
    """A caller's connection and the one to a node that belongs to it; `lost`: the node is not to notice."""

    node: Address
    caller: asyncio.StreamWriter
    lost: bool = False

    async def relay(self, reader: asyncio.StreamReader) -> None:
        """Carry bytes both ways until the node closes its connection."""
        try:
            node_reader, node = await asyncio.open_connection(*self.node)
        except OSError:
            return
        up = asyncio.create_task(self._up(reader, node))
        try:
            await _pump(node_reader, self.caller)
            self.caller.close()
            with suppress(OSError):
                await self.caller.wait_closed()
        finally:
            up.cancel()
            await asyncio.gather(up, return_exceptions=True)
            node.transport.abort()

    async def _up(self, reader: asyncio.StreamReader, node: asyncio.StreamWriter) -> None:
        await _pump(reader, node)
        if not self.lost:
            node.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes until the one who sends them is gone; who takes them may go earlier."""
    with suppress(OSError):
        while piece := await reader.read(_PIECE):
            if not writer.is_closing():
                writer.write(piece)
