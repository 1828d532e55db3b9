"""A whole node: what all that looks at a step costs the event loop, and what an idle call takes of memory.

The observers are those of `adapters.bootstrap`: they keep each step, show it, and tell it to whoever watches. Nobody
does here, and log lines are left out. They are measured in turns with the machine's own steps, in CPU time. The calls
are made by API, as any call is: line, timers, place in every list. Their store is SQLite.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from adapters.bootstrap import Application, build
from adapters.settings import Settings
from fsm.clock import LoopClock
from fsm.context import CallContext
from fsm.observe import Observer
from fsm.session import Session
from fsm.step import Step, begin, step
from fsm.triggers import (
    CallStarted,
    IntentDetected,
    PlaybackFinished,
    ReplyFinished,
    ReplyStarted,
    StsReady,
    Trigger,
    UserSilent,
    UserSpeaking,
    UserTranscript,
)
from tests.benchmarks.calls import bundled_machine
from tests.benchmarks.report import Figure, main
from tests.fakes import fake_ports

__all__ = ["a_node", "conversation", "costs", "measure"]

_BATCH = 50


def measure(smoke: bool) -> list[Figure]:
    """Measure steps, then memory."""
    return asyncio.run(_measure(smoke))


async def _measure(smoke: bool) -> list[Figure]:
    figures = []
    async with a_node() as app:
        figures += await _steps(app, 3 if smoke else 200)
    async with a_node() as app:
        figures += await _memory(app, 50 if smoke else 1000)
    return figures


@asynccontextmanager
async def a_node() -> AsyncIterator[Application]:
    """Give a node that serves no port and has no model; it logs nothing."""
    with TemporaryDirectory() as folder, _no_logs():
        settings = Settings(
            data_dir=Path(folder), openai_api_key="none", token_secret="0" * 32, max_calls=100_000, max_sessions=100_000
        )
        app = build(settings)
        await app.start()
        try:
            yield app
        finally:
            await app.aclose()


@contextmanager
def _no_logs() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


# -- steps --------------------------------------------------------------------------------------------


def conversation(call_id: str, turns: int = 5) -> tuple[Session, list[Step], float]:
    """Return a call that nobody runs, the steps of its conversation, and the CPU seconds that `step` took for them."""
    machine = bundled_machine()
    session = Session(machine, CallContext(call_id=call_id, caller="+15550100"), fake_ports(), clock=LoopClock())
    said: list[Trigger] = [CallStarted(), StsReady()]
    for turn in range(turns):
        said += [
            ReplyStarted(response_id=f"r{turn}", item_id=f"a{turn}"),
            ReplyFinished(text="Hello! How can I help you?", item_id=f"a{turn}"),
            PlaybackFinished(),
            UserSpeaking(utterance_id=f"u{turn}"),
            UserSilent(utterance_id=f"u{turn}"),
            UserTranscript(text="where is my order please", item_id=f"u{turn}"),
            IntentDetected(intent="order", confidence=0.9, item_id=f"u{turn}"),
            StsReady(),
        ]
    began = time.process_time()
    steps = [begin(machine, session.context)]
    for trigger in said:
        outcome = step(machine, steps[-1].after, trigger)
        if isinstance(outcome, Step):
            steps.append(outcome)
    return session, steps, time.process_time() - began


def costs(observer: Observer, session: Session, steps: Sequence[Step]) -> float:
    """Return the CPU seconds that an observer takes for these steps."""
    began = time.process_time()
    for done in steps:
        observer.on_commit(session, done)
        observer.on_effects(session, done, [])
    return time.process_time() - began


async def _steps(app: Application, rounds: int) -> list[Figure]:
    made = await app.calls.create(call_id="", bot="listener", metadata={})
    live = app.switchboard.manager.get(made.call_id)
    assert live is not None
    observers = live.options.observers
    alone: list[float] = []
    took: dict[str, list[float]] = {type(observer).__name__: [] for observer in observers}
    gc.collect()
    for number in range(rounds):
        session, steps, machine = conversation(f"CA{number}")
        alone.append(machine / len(steps) * 1e6)
        for observer in observers:
            took[type(observer).__name__].append(costs(observer, session, steps) / len(steps) * 1e6)
        await app.write_behind.erase(session.call_id)
        session.given_up = True  # to another node: nothing of it is left here
        for observer in observers:
            observer.on_settled(session)
    await app.calls.reset(wait=True)
    shares = {name: median(times) for name, times in took.items()}
    note = ", ".join(f"{name} {share:.1f}" for name, share in shares.items() if share >= 0.1)
    whole = sum(shares.values())
    return [
        Figure(name="a step, the machine alone", reached=median(alone), unit="us"),
        Figure(name="all that looks at a step", reached=whole, unit="us", goal=15, better="lower", note=note),
        Figure(name="as a part of the machine's own", reached=whole / median(alone), unit="x"),
    ]


# -- memory -------------------------------------------------------------------------------------------


async def _memory(app: Application, count: int) -> list[Figure]:
    """Begin and end as many calls twice: what is made once is there the first time."""
    of_node = asyncio.all_tasks()
    tracemalloc.start()
    await _begin(app, count)
    await _end(app, of_node)
    before = _traced(app)
    await _begin(app, count)
    live = _traced(app)
    await _end(app, of_node)
    after = _traced(app)
    tracemalloc.stop()
    return [
        Figure(
            name=f"an idle call of {count:,}, everything wired",
            reached=(live - before) / count,
            unit="bytes",
            goal=12 * 1024,
            better="lower",
        ),
        Figure(
            name="of a call that has ended, the newest events apart",
            reached=max(0.0, (after - before) / count),
            unit="bytes",
            goal=256,
            better="lower",
        ),
    ]


async def _begin(app: Application, count: int) -> None:
    for _ in range(0, count, _BATCH):
        await asyncio.gather(*(app.calls.create(call_id="", bot="listener", metadata={}) for _ in range(_BATCH)))
    await app.write_behind.flushed()


async def _end(app: Application, of_node: set[asyncio.Task[object]]) -> None:
    """End all calls, and wait until the work after them is done."""
    await app.calls.reset(wait=True)
    while working := asyncio.all_tasks() - of_node:
        await asyncio.wait(working)


def _traced(app: Application) -> int:
    app.live.hub._ring.clear()  # the newest events of all calls, 10,000 at most, are kept for those who watch
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


if __name__ == "__main__":
    sys.exit(main(measure, __doc__))
