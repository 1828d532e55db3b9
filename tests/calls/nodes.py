"""Nodes of one deployment inside a test's own event loop, and what happens to one that dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from adapters.bootstrap import Application, build
from adapters.bus.contract import Bus
from adapters.settings import Settings
from adapters.stores.contract import Commit, SessionStore, StoreAway
from fsm.clock import Clock
from fsm.observe import Observer
from fsm.registry import Registry
from tests.bus_hub import HubBus
from tests.serve import running

__all__ = ["CutStore", "Node", "a_node"]


class CutStore:
    """A node's way to the store that all share; `cut`, it leads nowhere.

    Attributes:
        cuts_at: whether it is cut with these commits, which are lost.
    """

    def __init__(self, store: SessionStore) -> None:
        self.store = store
        self.cut = False
        self.cuts_at: Callable[[Commit], bool] = lambda commit: False

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.store, name)
        if name == "everything":
            return method

        async def asked(*args: Any, **more: Any) -> Any:
            if name == "commit" and any(map(self.cuts_at, args[0])):
                self.cut = True
            if self.cut:
                raise StoreAway("the store was cut off")
            return await method(*args, **more)

        return asked

    async def start(self) -> None:
        """It was started by whoever owns it."""

    async def aclose(self) -> None:
        """It is closed by whoever owns it."""


@dataclass
class Node:
    """One node that runs.

    Attributes:
        tasks: those that it has as long as it lives.
    """

    application: Application
    server: uvicorn.Server
    store: CutStore
    bus: HubBus
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    killed: bool = False

    @property
    def url(self) -> str:
        host, port = self.server.servers[0].sockets[0].getsockname()[:2]
        return f"http://{host}:{port}"

    def isolate(self) -> None:
        """Take store and bus from it; its sockets live."""
        self.store.cut = self.bus.cut = True

    def rejoin(self) -> None:
        """Give both back."""
        self.store.cut = self.bus.cut = False

    async def kill(self) -> None:
        """End it as `kill -9` does: nothing more is written, said or heard; its sockets are reset."""
        self.killed = True
        self.isolate()
        sessions = list(self.application.switchboard.manager)
        for session in sessions:
            session.give_up()  # ends what runs, and no block of its chart runs any more
        for connection in list(self.server.server_state.connections):
            connection.transport.abort()
        for session in sessions:
            await session.wait_settled()
        await self.application.ownership.reaper.aclose()
        await self.application.keeping.keeper.aclose()


@asynccontextmanager
async def a_node(
    settings: Settings,
    *,
    store: CutStore,
    bus: HubBus,
    clock: Clock,
    registry: Registry | None,
    observers: tuple[Observer, ...],
) -> AsyncIterator[Node]:
    """Run a node until the end of the block.

    Args:
        clock: the same for all nodes: each of its own would have another time of day once virtual time has passed.
    """
    application = build(
        settings, clock=clock, registry=registry, observers=observers, store=_stored(store), bus=_bussed(bus)
    )
    strangers = asyncio.all_tasks()
    await application.start()
    async with running(application.asgi) as server:
        node = Node(application, server, store, bus, asyncio.all_tasks() - strangers)
        yield node
    await application.aclose()


def _stored(store: CutStore) -> SessionStore:
    return store


def _bussed(bus: HubBus) -> Bus:
    return bus
