"""A TCP proxy whose faults are switched: what a network does to a client, without touching the network.

    async with TcpProxy("127.0.0.1", 6379) as proxy:
        ...                       # connect to 127.0.0.1:proxy.port
        proxy.swallow_replies()   # the next request is carried out, and nobody hears of it
        await proxy.swallowed()
        proxy.cut()               # RST on every connection
        proxy.mend()              # as if nothing had been

It lives in the event loop that starts it, takes a free port of loopback and keeps it. What waits in it while it stalls
or delays is bounded by what its clients send.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Literal, Self

from adapters.simulators.tcp import reset

__all__ = ["TcpProxy"]

_Way = Literal["out", "back"]


class TcpProxy:
    """Forwards connections to one server, as its switches say; all of them may be thrown at any time.

    Attributes:
        port: where it listens; the same for as long as it lives, also after `refuse`.
        delay: seconds that every byte is under way, in each direction; a round trip takes twice as long.
        stalled: see `stall`.
        swallows: see `swallow_replies`.
        left: see `reset_after`; None: no bound.
    """

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.port = 0
        self.delay = 0.0
        self.stalled = False
        self.swallows = False
        self.left: int | None = None
        self.links: set[_Link] = set()
        self.a_reply_was_swallowed = asyncio.Event()
        self.a_request_came = asyncio.Event()
        self.a_client_came = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.refuse()
        while self.links:
            await next(iter(self.links)).gone.wait()

    # -- switches --------------------------------------------------------------------------------

    def refuse(self) -> None:
        """Refuse new connections (ECONNREFUSED) and reset those there are, until `accept`."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    async def accept(self) -> None:
        """Take connections, on the same port as before."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(self._link, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    def stall(self) -> None:
        """Take connections and bytes, and keep them: nothing arrives anywhere until `mend`."""
        self.stalled = True
        self.a_request_came.clear()

    def swallow_replies(self) -> None:
        """Pass requests on and throw replies away, until `mend`."""
        self.swallows = True
        self.a_reply_was_swallowed.clear()

    def reset_after(self, count: int) -> None:
        """Reset all connections once so many more bytes of requests have been passed on, then go on as before."""
        self.left = count

    def cut(self) -> None:
        """Reset every connection there is, in both directions; new ones are as the switches say."""
        for link in list(self.links):
            link.cut()

    def mend(self) -> None:
        """Pass everything on again, first what `stall` has kept back. Leaves `delay` and `refuse` as they are.

        A connection of which replies were swallowed is out of step: cut it, or see that the client does.
        """
        self.stalled, self.swallows, self.left = False, False, None
        for link in list(self.links):
            link.go_on()

    # -- what has happened -----------------------------------------------------------------------

    async def swallowed(self) -> None:
        """Wait until a reply has been thrown away since `swallow_replies`: the server has done what it was asked."""
        await self.a_reply_was_swallowed.wait()

    async def asked(self) -> None:
        """Wait until bytes of a client have come since `stall`."""
        await self.a_request_came.wait()

    async def linked(self) -> None:
        """Wait for the next connection."""
        self.a_client_came.clear()
        await self.a_client_came.wait()

    def _link(self) -> asyncio.Protocol:
        link = _Link(self)
        self.links.add(link)
        self.a_client_came.set()
        return _End(link, "out")


class _Link:
    """One client's connection, and ours to the server."""

    def __init__(self, proxy: TcpProxy) -> None:
        self.gone = asyncio.Event()
        self._proxy = proxy
        self._loop = asyncio.get_running_loop()
        self._ends: dict[_Way, asyncio.Transport] = {}  # where that which goes this way is written
        self._waiting: dict[_Way, deque[tuple[float, bytes]]] = {"out": deque(), "back": deque()}
        self._reaching: asyncio.Task[None] | None = None
        self._reached = False
        self._is_cut = False

    def opened(self, way: _Way, transport: asyncio.Transport) -> None:
        if way == "out":
            self._ends["back"] = transport
            self._reaching = self._loop.create_task(self._reach())
        else:
            self._ends["out"] = transport
            if self._is_cut:
                reset(transport)
            self.go_on()

    async def _reach(self) -> None:
        try:
            await self._loop.create_connection(lambda: _End(self, "back"), *self._proxy.target)
        except OSError:
            self.cut()
        finally:
            self._reached = True
            self._see_if_gone()

    def received(self, way: _Way, data: bytes) -> None:
        proxy = self._proxy
        if way == "back" and proxy.swallows:
            proxy.a_reply_was_swallowed.set()
            return
        if way == "out":
            proxy.a_request_came.set()
            if proxy.left is not None:
                self._count(data)
                return
        self._pass(way, data)

    def _count(self, data: bytes) -> None:
        left = self._proxy.left or 0
        self._pass("out", data[:left])
        if len(data) < left:
            self._proxy.left = left - len(data)
            return
        self._proxy.left = None
        self._proxy.cut()

    def _pass(self, way: _Way, data: bytes) -> None:
        """Pass bytes on when their time has come; none: this end has closed."""
        due = self._loop.time() + self._proxy.delay
        self._waiting[way].append((due, data))
        self._flush(way)

    def go_on(self) -> None:
        """Pass on what was kept back."""
        self._flush("out")
        self._flush("back")

    def _flush(self, way: _Way) -> None:
        waiting, end = self._waiting[way], self._ends.get(way)
        while waiting and end is not None and not self._proxy.stalled:
            due, data = waiting[0]
            if due > self._loop.time():
                self._loop.call_at(due, self._flush, way)
                return
            waiting.popleft()
            if data:
                end.write(data)
            else:
                end.close()

    def cut(self) -> None:
        self._is_cut = True
        for way in ("out", "back"):
            self._waiting[way].clear()
        for end in self._ends.values():
            reset(end)

    def lost(self, way: _Way) -> None:
        """Note that one end is gone; the other follows once it has got everything."""
        self._ends.pop("back" if way == "out" else "out", None)
        self._pass(way, b"")
        self._see_if_gone()

    def _see_if_gone(self) -> None:
        if self._reached and not self._ends:
            self._proxy.links.discard(self)
            self.gone.set()


class _End(asyncio.Protocol):
    def __init__(self, link: _Link, way: _Way) -> None:
        self._link = link
        self._way: _Way = way

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._link.opened(self._way, transport)

    def data_received(self, data: bytes) -> None:
        self._link.received(self._way, data)

    def connection_lost(self, error: Exception | None) -> None:
        self._link.lost(self._way)
