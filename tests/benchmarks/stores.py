"""Stores: what keeping a call costs, serialisation included, and how much room it takes.

Each operation is one that a call or an operator makes, on a call with 20 messages of 60 characters:

- create: the document of a new call as JSON, and its first commit
- get: the call from the store, and its document read back to a context
- update: a step's journal record and the document as JSON, and their commit
- resume: the claim of another node, and the document read back to a context

Many calls' commits in one go are measured twice: given to the store as they are, and written behind the calls' backs as
a process does it, with all that belongs to it.

Redis is a real server on this machine. Its goals are made of its own round trip (PING), measured in turns with them.
Beside ours stand the figures that other systems publish as their goals for the same operations.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

import orjson
import uvloop
from redis import asyncio as aioredis

from adapters.settings import Settings
from adapters.stores.contract import Commit, Head, SessionStore
from adapters.stores.dumps import dumps
from adapters.stores.memory import MemoryStore
from adapters.stores.redis import redis_store
from adapters.stores.sqlite import SqliteStore
from adapters.stores.write_behind import WriteBehind
from fsm.clock import LoopClock
from fsm.context import BotSettings, CallContext
from fsm.document import Facts, document, read_document
from fsm.history import Message
from fsm.journal import step_record
from fsm.session import Session
from fsm.step import Step, step
from fsm.stored import StoredCall, store
from fsm.triggers import SessionConfigured
from tests.benchmarks.calls import bundled_machine
from tests.benchmarks.report import Figure, main
from tests.fakes import fake_ports
from tests.redis_server import RedisServer

__all__ = ["Kit", "measure", "operations", "opened"]

OTHERS = {"create": (10, 50), "get": (5, 20), "resume": (15, 60), "update": (8, 40)}
"""Milliseconds that other systems publish as goals: in memory, with Redis."""
_BATCH = 256
_STEPS = 60  # three a message
_NUMBERS = count()
_HEAD = Head(status="active", state="listening", carrier="twilio", bot="shop", created_at=1.0, active_at=2.0)
_BOT = BotSettings(name="shop")


def measure(smoke: bool) -> list[Figure]:
    """Measure every store that can be opened here, on the event loop that `callchart serve` runs."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure(smoke))


async def _measure(smoke: bool) -> list[Figure]:
    rounds = 30 if smoke else 2000
    figures: list[Figure] = []
    for kind in ("memory", "sqlite", "redis"):
        with TemporaryDirectory() as folder:
            async with opened(kind, Path(folder)) as one:
                if one is None:
                    figures.append(Figure(name=f"{kind}: no server can be started here", reached=0))
                    continue
                figures += await _times(kind, one, rounds)
                figures += await _throughput(kind, one.store, *((1, 1) if smoke else (20, 5)))
                figures.append(await _behind(kind, one.store, *((1, 1) if smoke else (20, 5))))
                if one.key_bytes is not None:
                    figures.append(await _key(one))
    return [*figures, *await _memory(200 if smoke else 10_000)]


# -- stores -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A store, started.

    Attributes:
        ping: makes one round trip to the server, if there is one.
        key_bytes: tells how much memory the server needs for a call's document.
    """

    store: SessionStore
    ping: Callable[[], Awaitable[object]] | None = None
    key_bytes: Callable[[str], Awaitable[int]] | None = None


@asynccontextmanager
async def opened(kind: str, folder: Path) -> AsyncIterator[Opened | None]:
    """Open a store; None: there is no server for it."""
    if kind == "redis":
        async with _redis(folder) as one:
            yield one
        return
    kept: SessionStore = (
        SqliteStore(folder / "calls.db") if kind == "sqlite" else MemoryStore(clock=LoopClock(), max_sessions=1_000_000)
    )
    await kept.start()
    try:
        yield Opened(store=kept)
    finally:
        await kept.aclose()


@asynccontextmanager
async def _redis(folder: Path) -> AsyncIterator[Opened | None]:
    try:
        server = RedisServer(folder)
        server.start()
    except (OSError, ImportError, RuntimeError):
        yield None
        return
    client = aioredis.Redis.from_url(server.url)
    kept = redis_store(Settings(store="redis", redis_url=server.url))

    async def key_bytes(call_id: str) -> int:
        return await client.memory_usage(f"call_session:{call_id}") or 0

    try:
        await kept.start()
        yield Opened(store=kept, ping=client.ping, key_bytes=key_bytes)
    finally:
        await kept.aclose()
        await client.aclose()
        server.kill()


# -- one operation ------------------------------------------------------------------------------------


class Kit:
    """A call with 20 messages, and what is done with its likes."""

    def __init__(self, kept: SessionStore, *, items: int = 20, owner: str = "n1") -> None:
        self.store = kept
        self._owner = owner
        history = tuple(
            Message(role="caller", text=f"{n:02} ".ljust(60, "x"), item_id=f"item_{n}") for n in range(items)
        )
        context = CallContext(
            call_id="CA",
            carrier="twilio",
            caller="+15550100",
            called="+15550101",
            bot=_BOT,
            history=history,
            answered=True,
        )
        machine = bundled_machine()
        session = Session(machine, context, fake_ports(), clock=LoopClock())
        session.snapshot = session.snapshot._replace(state="listening", seq=40, visits=tuple(1 for _ in machine.nodes))
        done = step(machine, session.snapshot, SessionConfigured(voice="cedar"))
        assert isinstance(done, Step)
        self.step = done
        self.machine = machine
        self.call = store(session)

    def session_of(self, call: StoredCall) -> Session:
        """Return a call that nobody runs, where `call` stands."""
        session = Session(self.machine, call.context, fake_ports(), clock=LoopClock())
        session.snapshot = self.step.before._replace(context=call.context)
        return session

    def another(self) -> StoredCall:
        """Return a call of another id, alike in all else."""
        return replace(self.call, context=replace(self.call.context, call_id=f"CA{next(_NUMBERS):032}"))

    async def create(self, call: StoredCall) -> None:
        await self._commit(call, 1)

    async def get(self, call_id: str) -> StoredCall:
        kept = await self.store.get(call_id)
        assert kept is not None
        assert kept.document is not None
        return read_document(orjson.loads(kept.document), _bot)

    async def update(self, call: StoredCall, version: int) -> None:
        await self._commit(call, version)

    async def resume(self, call_id: str) -> StoredCall:
        claim = await self.store.claim(call_id, "n2", lease=15.0, force=True)
        assert claim.kept is not None
        assert claim.kept.document is not None
        return read_document(orjson.loads(claim.kept.document), _bot)

    def commit(self, call: StoredCall, version: int) -> Commit:
        """Return the commit of one step."""
        record = {**step_record(self.machine, self.step, 2.0), "call_id": call.context.call_id}
        said = document(call, Facts(active_at=2.0), closed=False)
        return Commit(
            call_id=call.context.call_id,
            owner=self._owner,
            fence=1,
            first=version,
            entries=(dumps(record),),
            document=dumps(said),
            head=_HEAD,
        )

    async def _commit(self, call: StoredCall, version: int) -> None:
        [outcome] = await self.store.commit([self.commit(call, version)])
        assert outcome.verdict == "applied", outcome


def _bot(name: str, called: str) -> BotSettings:
    return _BOT


async def operations(one: Opened, rounds: int) -> dict[str, list[float]]:
    """Return the seconds that each of `rounds` took, by operation, taken in turns."""
    kit = Kit(one.store)
    took: dict[str, list[float]] = {name: [] for name in ("ping", *OTHERS)}

    async def timed(name: str, work: Awaitable[object]) -> None:
        began = time.perf_counter()
        await work
        took[name].append(time.perf_counter() - began)

    gc.collect()
    for _ in range(rounds):
        call = kit.another()
        call_id = call.context.call_id
        if one.ping is not None:
            await timed("ping", one.ping())
        await timed("create", kit.create(call))
        await timed("get", kit.get(call_id))
        await timed("update", kit.update(call, 2))
        await timed("resume", kit.resume(call_id))
    return took


async def _times(kind: str, one: Opened, rounds: int) -> list[Figure]:
    await operations(one, 10)
    took = {name: [seconds * 1e6 for seconds in times] for name, times in (await operations(one, rounds)).items()}
    trip = median(took["ping"]) if took["ping"] else 0.0
    figures = []
    if trip:
        figures.append(Figure(name=f"{kind}: round trip (PING), p50", reached=trip, unit="us"))
    for name, (in_memory, with_redis) in OTHERS.items():
        others = with_redis if kind == "redis" else in_memory
        goal = {"memory": 50.0, "redis": trip + 100.0}.get(kind)
        p99 = quantiles(took[name], n=100)[98]
        note = f"p99: {p99:,.0f} us; others: {others} ms, {others * 1000 / median(took[name]):,.0f} x"
        figures.append(
            Figure(
                name=f"{kind}: {name}, p50",
                reached=median(took[name]),
                unit="us",
                goal=goal,
                better="lower",
                note=note,
            )
        )
    return figures


async def _throughput(kind: str, kept: SessionStore, batches: int, rounds: int) -> list[Figure]:
    """Commit to many calls at once, as a process does whose calls share pipelines; median of the rounds."""
    figures = []
    for lanes, what in ((1, "in one go"), (2, "in one go, two goes under way")):
        rates = [await _rate(kept, batches, lanes) for _ in range(rounds)]
        goal = 20_000 if kind == "redis" and lanes == 1 else None
        name = f"{kind}: commits a second, {_BATCH} {what}"
        figures.append(Figure(name=name, reached=median(rates), unit="/s", goal=goal, note=f"best: {max(rates):,.0f}"))
    return figures


async def _rate(kept: SessionStore, batches: int, lanes: int) -> float:
    kit = Kit(kept, owner="n3")

    async def lane() -> None:
        calls = [kit.another() for _ in range(_BATCH)]
        for version in range(1, batches + 1):
            outcomes = await kept.commit([kit.commit(call, version) for call in calls])
            assert {outcome.verdict for outcome in outcomes} == {"applied"}

    gc.collect()
    began = time.perf_counter()
    await asyncio.gather(*(lane() for _ in range(lanes)))
    return batches * lanes * _BATCH / (time.perf_counter() - began)


async def _behind(kind: str, kept: SessionStore, batches: int, rounds: int) -> Figure:
    """Commit as a process does: what observes the calls queues, makes and sends; median of the rounds."""
    writer = WriteBehind(kept, node="n5", clock=LoopClock(), spool=None, batch=_BATCH)
    await writer.start()
    rates, busy = [], []
    for _ in range(rounds):
        kit = Kit(kept)
        sessions = [kit.session_of(kit.another()) for _ in range(_BATCH)]
        gc.collect()
        began, worked = time.perf_counter(), time.process_time()
        for _ in range(batches):
            for session in sessions:
                writer.on_commit(session, kit.step)
            await writer.flushed()
        busy.append((time.process_time() - worked) / batches / _BATCH * 1e6)
        rates.append(batches * _BATCH / (time.perf_counter() - began))
    await writer.aclose()
    name = f"{kind}: commits a second, written behind {_BATCH} calls"
    goal = 20_000 if kind == "redis" else None
    note = f"best: {max(rates):,.0f}; this process works {median(busy):,.0f} us for each"
    return Figure(name=name, reached=median(rates), unit="/s", goal=goal, note=note)


# -- room ---------------------------------------------------------------------------------------------


async def _key(one: Opened) -> Figure:
    kit = Kit(one.store, items=0, owner="n4")
    call = kit.another()
    call = replace(call, context=replace(call.context, call_id="CC" + "0" * 32))
    await kit.create(call)
    assert one.key_bytes is not None
    used = await one.key_bytes(call.context.call_id)
    name = "redis: key of a bare snapshot, journal apart"
    return Figure(name=name, reached=used, unit="bytes", goal=2048, better="lower")


async def _memory(calls: int) -> list[Figure]:
    """Keep many calls in memory, without and with the journal of as many steps as it takes to say 20 things."""
    bare, size = await _kept(calls, 0)
    whole, _ = await _kept(calls, _STEPS)
    return [
        Figure(
            name="memory: a session of 20 messages, journal apart",
            reached=bare / calls,
            unit="bytes",
            goal=8192,
            better="lower",
            note=f"its document: {size:,} bytes",
        ),
        Figure(
            name=f"memory: {calls:,} sessions, journal apart",
            reached=bare / 2**20,
            unit="MiB",
            goal=100,
            better="lower",
        ),
        Figure(name=f"memory: {calls:,} sessions, with a journal of {_STEPS} steps", reached=whole / 2**20, unit="MiB"),
    ]


async def _kept(calls: int, steps: int) -> tuple[float, int]:
    """Return how many bytes the memory store takes for many calls, and how long the document of one is."""
    kept = MemoryStore(clock=LoopClock(), max_sessions=calls)
    kit = Kit(kept)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(calls):
        commit = kit.commit(kit.another(), 1)
        await kept.commit([replace(commit, entries=commit.entries * steps)])
    gc.collect()
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return used, len(kit.commit(kit.call, 1).document)


if __name__ == "__main__":
    sys.exit(main(measure, __doc__))
