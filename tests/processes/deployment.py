"""Server processes that share one Redis, a model and a telephone network before them, all on this machine.

    async with a_deployment(a_script(HOURS)) as world:
        one, two = await world.start("one"), await world.start("two")
        world.front.target = one.address
        call = await world.call()
        await world.kept(call, "reply.finished")
        ...

The nodes reach Redis through `world.proxy`, and are reached through `world.front`. Everything runs in real time, the
conversation several times as fast; what a test waits for are log lines of the nodes, journal records in Redis, and
what caller and model notice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from adapters.call_folder import call_folder
from adapters.simulators.realtime import RealtimePeer, Script
from adapters.simulators.twilio import TwilioCaller
from adapters.stores.contract import Entry, Kept, SessionStore
from tests.processes.front import Front
from tests.processes.node import Node
from tests.processes.redis_log import RedisLog
from tests.redis_server import RedisServer
from tests.tcp_proxy import TcpProxy

__all__ = ["SPEED", "Deployment", "a_deployment"]

SPEED = 4.0
"""How much faster than life caller and model speak."""
_BOTS = Path(__file__).parents[1] / "calls" / "bots.yaml"
_TOKEN = "twilio-auth-token"
_SETTINGS = {
    "OPENAI_API_KEY": "none-needed",
    "CALLCHART_STORE": "redis",
    "CALLCHART_BOTS": str(_BOTS),
    "CALLCHART_LEASE": "1s",
    "CALLCHART_DELAY_RESUME_WINDOW": "1s",
    "TWILIO_AUTH_TOKEN": _TOKEN,
    "DRAIN_GRACE": "0s",
}


class Deployment:
    """What a test has at hand.

    Attributes:
        front: where callers phone in.
        proxy: between the nodes and Redis.
        peer: the model.
        nodes: the processes, in the order of their starts.
    """

    def __init__(self, folder: Path, front: Front, proxy: TcpProxy, peer: RealtimePeer, log: RedisLog) -> None:
        self.front = front
        self.proxy = proxy
        self.peer = peer
        self.nodes: list[Node] = []
        self._folder = folder
        self._log = log
        self._callers: list[TwilioCaller] = []

    async def start(self, name: str, **settings: str) -> Node:
        """Start a node of its own data folder; of one that was killed before, with what it left."""
        told = {
            **_SETTINGS,
            "REDIS_URL": f"redis://127.0.0.1:{self.proxy.port}/0",
            "OPENAI_REALTIME_URL": self.peer.url,
            "CALLCHART_PUBLIC_URL": self.front.url,
            **settings,
        }
        node = Node(name, self._folder / name, told)
        self.nodes.append(node)
        await node.start()
        return node

    async def call(self, **options: Any) -> TwilioCaller:
        """Phone in."""
        told = {"auth_token": _TOKEN, "speed": SPEED, "status_path": "/twilio/status", **options}
        caller = TwilioCaller(self.front.url, **told)
        self._callers.append(caller)
        await caller.dial()
        return caller

    # -- what is kept ----------------------------------------------------------------------------

    async def kept(self, call: TwilioCaller, event: str, *, times: int = 1, within: float = 15.0) -> None:
        """Return once Redis has the journal record of the call's `times`-th trigger of this name."""
        async with asyncio.timeout(within):
            await self._log.until(call.call_sid, lambda records: sum(r.get("event") == event for r in records) >= times)

    async def document(self, call: TwilioCaller) -> dict[str, Any]:
        """Return the call's document as Redis has it."""
        kept = await self.stored(call)
        assert kept.document is not None
        said: dict[str, Any] = orjson.loads(kept.document)
        return said

    async def stored(self, call: TwilioCaller) -> Kept:
        """Return the call as the store has it."""
        kept = await self.store.get(call.call_sid)
        assert kept is not None
        return kept

    async def log(self, call: TwilioCaller) -> list[Entry]:
        """Return the whole log of the call."""
        return await self.store.log(call.call_sid, limit=100_000)

    @property
    def store(self) -> SessionStore:
        return self._log.store

    def transcript(self, node: Node, call: TwilioCaller) -> list[tuple[str, str]]:
        """Return role and text of every message in the transcript that a node has written."""
        file = call_folder(node.folder / "calls", call.call_sid) / "transcript.json"
        return [(said["role"], said["text"]) for said in orjson.loads(file.read_bytes())["messages"]]

    async def aclose(self) -> None:
        """Let callers hang up, and end the processes."""
        for caller in self._callers:
            caller.abort()
        await asyncio.gather(*(caller.over() for caller in self._callers))
        await asyncio.gather(*(node.kill() for node in self.nodes))


@asynccontextmanager
async def a_deployment(script: Script, *, one_call: bool = True) -> AsyncIterator[Deployment]:
    """Give a Redis server, the network and a model; see the module."""
    with TemporaryDirectory() as name, RedisServer(Path(name)) as redis:
        async with (
            TcpProxy("127.0.0.1", redis.port) as proxy,
            RealtimePeer(script, speed=SPEED, one_call=one_call) as peer,
            Front() as front,
            RedisLog(redis.url) as log,
        ):
            world = Deployment(Path(name), front, proxy, peer, log)
            try:
                yield world
            except BaseException as error:
                for node in world.nodes:
                    error.add_note(f"log of {node.name}:\n{node.story()}")
                raise
            finally:
                await world.aclose()
