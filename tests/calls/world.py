"""A whole world: a simulated model, the application on a port of loopback, and callers who phone in.

    async with a_world() as world:
        call = await world.call()                  # dials the bot of bots.yaml
        await world.until(call, "listening")
        await call.hang_up()
        assert (await world.over(call)).end_reason == "caller_hung_up"

Whoever leaves the world waits for every call to settle, and fails if anything is left of one: a session, a slot, a
model's socket, a task, a timer, a listener; or if a call was closed never, or twice.

A world may have more nodes: `async with world.another_node() as node`. All have one store and one bus.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from adapters.bootstrap import Application
from adapters.settings import Settings
from adapters.simulators.realtime import Faults, RealtimePeer, Script
from adapters.simulators.realtime.connection import Connection
from adapters.simulators.realtime.script import Rule
from adapters.simulators.tcp import reset
from adapters.simulators.twilio import TwilioCaller
from adapters.simulators.waiting import Watch
from adapters.simulators.webhook import Answer, post_form
from adapters.stores.chosen import store_of
from adapters.stores.contract import SessionStore
from fsm.clock import LoopClock
from fsm.context import CallContext
from fsm.observe import Effect, Observer
from fsm.registry import Registry
from fsm.session import Session
from fsm.step import Refusal, Step
from tests.bus_hub import BusHub
from tests.calls.nodes import CutStore, Node, a_node
from tests.fakes import elapse

__all__ = ["A_QUESTION", "GOODBYE", "HOURS", "ORDER", "World", "a_script", "a_world"]

HOURS = "what are your opening hours"
ORDER = "where is my order"
GOODBYE = "thank you goodbye"
A_QUESTION = "What is the number of your order?"
_BOTS = str(Path(__file__).with_name("bots.yaml"))
_SETTLING = 60.0  # seconds in which a call that nobody ends any more must be over


def a_script(*utterances: str, **more: Any) -> Script:
    """Return a model that understands these, one after the other; it greets briefly and answers at length."""
    more.setdefault(
        "default_reply", "The shop is open from Monday to Saturday, from nine to six, and closed on Sunday."
    )
    more["rules"] = [*more.get("rules", ()), Rule(purpose="greeting", answer="Welcome to the Corner Shop.")]
    return Script(utterances=utterances, **more)


class World(Observer):
    """What happened in every call, and means to make more happen.

    Attributes:
        steps, effects, refusals: of each call, in order, on whatever node.
        sessions: the newest of each call; kept when it is over.
        settled, given_up: how often each call settled, and how often a node left it to another one.
        nodes: those that live; `application` and `url` are those of the first.
    """

    def __init__(self, peer: RealtimePeer, settings: Settings, registry: Registry | None) -> None:
        self.peer = peer
        self.nodes: list[Node] = []
        self._settings = settings
        self._registry = registry
        self._hub = BusHub()
        self._clock = LoopClock()
        self._store: SessionStore | None = None
        self.steps: dict[str, list[Step]] = {}
        self.effects: dict[str, list[Effect]] = {}
        self.refusals: dict[str, list[str]] = {}
        self.sessions: dict[str, Session] = {}
        self.settled: Counter[str] = Counter()
        self.given_up: Counter[str] = Counter()
        self._watch = Watch()

    # -- nodes -----------------------------------------------------------------------------------

    @property
    def application(self) -> Application:
        return self.nodes[0].application

    @property
    def url(self) -> str:
        return self.nodes[0].url

    @property
    def store(self) -> SessionStore:
        """What all nodes share."""
        assert self._store is not None
        return self._store

    @asynccontextmanager
    async def another_node(self, **settings: Any) -> AsyncIterator[Node]:
        """Run a node; one that was killed is none of the world's any more."""
        told = replace(self._settings, **settings)
        if self._store is None:
            self._store = store_of(told, self._clock)
            await self._store.start()
        store, bus = CutStore(self._store), self._hub.bus(f"node {len(self._hub.buses) + 1}")
        async with a_node(
            told, store=store, bus=bus, clock=self._clock, registry=self._registry, observers=(self,)
        ) as node:
            self.nodes.append(node)
            yield node

    async def reopen_store(self) -> None:
        """Close the store and open it again, as a machine does that restarts; every node must be dead."""
        await self.store.aclose()
        self._store = store_of(self._settings, self._clock)
        await self._store.start()

    def goes_to(self, call: TwilioCaller, node: Node) -> None:
        """Have what the carrier asks for this call reach another node from now on."""
        call._exchange.url = node.url

    # -- calls -----------------------------------------------------------------------------------

    def caller(self, **options: Any) -> TwilioCaller:
        """Return a caller who has not dialled yet; the end of the call is posted."""
        node: Node = options.pop("node", None) or self.nodes[0]
        public = self._settings.public_url or None
        return TwilioCaller(node.url, **{"status_path": "/twilio/status", "public_url": public, **options})

    async def call(self, **options: Any) -> TwilioCaller:
        """Phone in."""
        caller = self.caller(**options)
        await caller.dial()
        return caller

    async def post(self, path: str, **form: str) -> Answer:
        """Post what a carrier posts."""
        return await post_form(self.url + path, form, {})

    # -- what is known of them -------------------------------------------------------------------

    def session(self, call: TwilioCaller) -> Session:
        """Return the newest session of a call, live or over."""
        return self.sessions[call.call_sid]

    def context(self, call: TwilioCaller) -> CallContext:
        """Return what is known of a call."""
        return self.session(call).context

    def happened(self, call: TwilioCaller) -> list[str]:
        """Return the names of the triggers that a call took."""
        return [step.trigger.name for step in self.steps.get(call.call_sid, ())]

    def states(self, call: TwilioCaller) -> list[str]:
        """Return the states of a call, in order, each once per stay."""
        names = [step.after.state for step in self.steps.get(call.call_sid, ())]
        return [name for nth, name in enumerate(names) if nth == 0 or name != names[nth - 1]]

    def actions(self, call: TwilioCaller) -> list[str]:
        """Return the actions that ran, in order."""
        return [effect.name for effect in self.effects.get(call.call_sid, ()) if effect.outcome != "skipped"]

    # -- waiting ---------------------------------------------------------------------------------

    async def until(self, call: TwilioCaller, state: str, *, within: float = 60.0) -> None:
        """Return once the call is in `state`. Raises TimeoutError."""
        await self._wait(lambda: self._state(call) == state, within)

    async def until_happened(self, call: TwilioCaller, trigger: str, *, times: int = 1, within: float = 60.0) -> None:
        """Return once the call has taken `trigger` so often. Raises TimeoutError."""
        await self._wait(lambda: self.happened(call).count(trigger) >= times, within)

    async def over(self, call: TwilioCaller, *, within: float = _SETTLING) -> CallContext:
        """Return what is known of a call once it has settled. Raises TimeoutError."""
        await self._wait(lambda: self.settled[call.call_sid] > 0, within)
        return self.context(call)

    # -- faults ----------------------------------------------------------------------------------

    @property
    def model(self) -> Connection | None:
        """The model's newest socket, if it is open."""
        return next((one for one in reversed(self.peer.connections) if one.is_open), None)

    def lose_model(self) -> None:
        """Reset the model's connection, if there is one."""
        if model := self.model:
            reset(model.socket.transport)

    def fail_model(self) -> None:
        """Have the model tell an error that no attempt can cure, if it listens."""
        if model := self.model:
            model.conversation.fail("invalid_request_error", "invalid_api_key", "The key was revoked.")

    # -- Observer --------------------------------------------------------------------------------

    def on_commit(self, session: Session, step: Step) -> None:
        self.sessions[session.call_id] = session
        self.steps.setdefault(session.call_id, []).append(step)
        self._watch.changed()

    def on_effects(self, session: Session, step: Step, effects: list[Effect]) -> None:
        self.effects.setdefault(session.call_id, []).extend(effects)
        self._watch.changed()

    def on_refusal(self, session: Session, refusal: Refusal) -> None:
        self.refusals.setdefault(session.call_id, []).append(refusal.trigger.name)

    def on_settled(self, session: Session) -> None:
        (self.given_up if session.given_up else self.settled)[session.call_id] += 1
        self._watch.changed()

    # -- the end of the world --------------------------------------------------------------------

    async def check_nothing_is_left(self, strangers: set[asyncio.Task[Any]]) -> None:
        """Fail unless every call is over, was closed once, and has left nothing.

        Args:
            strangers: tasks that are none of the world's.
        """
        for manager in [node.application.switchboard.manager for node in self.nodes]:
            over = await manager.idle(timeout=_SETTLING)
            assert over, f"calls that never end: {[(s.call_id, s.state) for s in manager]}"
        await elapse(3.0)  # what a server is given to close a socket, or a caller to be told
        for manager in [node.application.switchboard.manager for node in self.nodes]:
            assert manager.call_ids() == []
            assert manager.slots_taken == 0
        assert await self.store.list_active() == []
        assert self.peer.open_sockets == 0, f"{self.peer.open_sockets} sockets of the model are open"
        rounds = {task for node in self.nodes for task in node.tasks}
        left = {task for task in asyncio.all_tasks() - strangers - rounds if not task.done()}
        assert not left, f"tasks that are left: {[f'{t.get_name()} {t.get_coro()}' for t in left]}"
        for call_id, session in self.sessions.items():
            finals = [step for step in self.steps[call_id] if step.row.final]
            assert len(finals) == self.settled[call_id], f"{call_id}: {self.steps[call_id]}"
            assert session.settled
            assert session.closed
            assert set(session.leftovers().values()) == {0}, session.leftovers()
            assert call_id not in self.refusals, self.refusals
        assert self.peer.violations == []

    def check_faultless(self) -> None:
        """Fail if something went wrong that could only be recorded."""
        assert {call_id: s.faults for call_id, s in self.sessions.items() if s.faults} == {}

    # -- inside ----------------------------------------------------------------------------------

    def _state(self, call: TwilioCaller) -> str:
        steps = self.steps.get(call.call_sid)
        return steps[-1].after.state if steps else ""

    async def _wait(self, happened: Any, within: float) -> None:
        if happened():
            return
        async with asyncio.timeout(within):
            with self._watch.expecting(happened) as expected:
                await expected


@asynccontextmanager
async def a_world(
    script: Script | None = None,
    *,
    faults: Faults | Sequence[Faults] = (),
    session_s: float = 3600.0,
    one_call: bool = True,
    registry: Registry | None = None,
    faultless: bool = True,
    **settings: Any,
) -> AsyncIterator[World]:
    """Give a world; see the module.

    Args:
        faults, session_s, one_call: of the model, see `RealtimePeer`.
        registry: what the chart names; the bundled one.
        faultless: whether a recorded failure of a handler fails the test.
        settings: of the application; calls are kept in memory unless they say otherwise.
    """
    strangers = asyncio.all_tasks()
    with TemporaryDirectory() as folder:
        peer = RealtimePeer(script or a_script(), faults=faults, session_s=session_s, one_call=one_call)
        async with peer:
            told = {"openai_url": peer.url, "openai_api_key": "k", "data_dir": Path(folder), "bots": _BOTS}
            world = World(peer, Settings(**{"store": "memory", **told, **settings}), registry)
            async with world.another_node():
                yield world
                await world.check_nothing_is_left(strangers)
                if faultless:
                    world.check_faultless()
            await world.store.aclose()
