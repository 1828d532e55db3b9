"""Every handler of the chart behind a wrapper that can be told to misbehave, and tours that make all of them run.

A `Sabotage` says which handler, at which of its runs, does what; `rehearse` tells where in a tour each handler runs.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, TypeAlias, get_args, get_type_hints

from adapters.conversation.agents import AgentCall, AgentDesk, AgentGaveUp
from adapters.conversation.order_status import order_status
from fsm.clock import LoopClock
from fsm.compile import Machine, compile_chart
from fsm.context import BotSettings, CallContext
from fsm.load import load_chart
from fsm.manager import SessionManager, Slot
from fsm.observe import Effect, Observer
from fsm.options import Options
from fsm.ports import CallPorts
from fsm.registry import Action, Handler, Registry, Service
from fsm.session import Session
from fsm.step import Step
from fsm.triggers import IntentDetected, Trigger
from handlers import REGISTRY
from tests.fakes import elapse, fake_ports

__all__ = ["WAYS", "Call", "Place", "Sabotage", "Tour", "Way", "a_call", "named", "play", "rehearse"]

Way: TypeAlias = Literal["raises", "slow before", "slow after", "never ends", "swallows cancellation"]
WAYS: tuple[Way, ...] = get_args(Way)
Place: TypeAlias = tuple[str, int]
"""(tour, which run of the handler in it, from 1)."""


class SabotageError(Exception):
    """A handler's bug."""


@dataclass
class Sabotage:
    """Which handler misbehaves, and how.

    Attributes:
        nth: at which of its runs; 0: at every one.
        strike: called in the middle of the misbehaviour.
        ran: (name, state, trigger) of every run of every handler.
    """

    name: str = ""
    way: Way = "raises"
    nth: int = 0
    strike: Callable[[], None] = lambda: None
    ran: list[tuple[str, str, str]] = field(default_factory=list)

    def is_on(self, name: str, state: str, trigger: Trigger) -> bool:
        """Count a run; return whether it is to misbehave."""
        self.ran.append((name, state, trigger.name))
        nth = sum(1 for ran in self.ran if ran[0] == name)
        return name == self.name and self.nth in (0, nth)


_SOON = 0.01  # seconds after a misbehaviour has begun; a tour goes on after 0.02
plan = Sabotage()


async def _misbehave(own: Callable[[], Awaitable[Any]]) -> Any:
    loop = asyncio.get_running_loop()
    match plan.way:
        case "raises":
            plan.strike()
            raise SabotageError
        case "slow before":
            loop.call_later(_SOON, plan.strike)
            await elapse(1.0)
            return await own()
        case "slow after":
            result = await own()
            loop.call_later(_SOON, plan.strike)
            await elapse(1.0)
            return result
        case "never ends":
            loop.call_later(_SOON, plan.strike)
            await elapse(1e6)
        case "swallows cancellation":
            loop.call_later(_SOON, plan.strike)
            try:
                await elapse(1e6)
            except asyncio.CancelledError:
                await elapse(1e6)
    return None


def _asynchronous(handler: Handler) -> Any:
    async def wrapper(session: Session, trigger: Trigger, **params: Any) -> Any:
        async def own() -> Any:
            result = handler.function(session, trigger, **params)
            return await result if inspect.isawaitable(result) else result

        if plan.is_on(handler.name, session.state, trigger):
            return await _misbehave(own)
        return await own()

    return _disguised(wrapper, handler)


def _plain(handler: Handler) -> Any:
    def wrapper(first: Any, trigger: Trigger, **params: Any) -> Any:
        if plan.is_on(handler.name, getattr(first, "state", ""), trigger):
            plan.strike()
            raise SabotageError
        return handler.function(first, trigger, **params)

    return _disguised(wrapper, handler)


def _disguised(wrapper: Any, handler: Handler) -> Any:
    """Give `wrapper` the name and the signature of a handler; not its `__wrapped__`, which would tell it is plain."""
    late = {"Session": Session, "CallContext": CallContext}
    wrapper.__name__ = handler.name
    wrapper.__signature__ = inspect.signature(handler.function)
    wrapper.__annotations__ = get_type_hints(handler.function, localns=late)
    return wrapper


def _registry(*, asynchronous: bool) -> Registry:
    wrap = _asynchronous if asynchronous else _plain

    def action(handler: Handler) -> Action:
        wrapped = _asynchronous(handler) if handler.is_async else wrap(handler)
        return Action(wrapped, handler.deadline, handler.opens, handler.closes, handler.needs)

    return REGISTRY.extend(
        guards=[_plain(handler) for handler in REGISTRY.all("guard")],
        reducers=[_plain(handler) for handler in REGISTRY.all("reducer")],
        actions=[action(handler) for handler in REGISTRY.all("action")],
        services=[Service(_asynchronous(h), h.produces, h.needs, h.durable) for h in REGISTRY.all("service")],
    )


@cache
def machine(*, asynchronous: bool) -> Machine:
    """Return the bundled chart with wrapped handlers; with every action as a coroutine, or each as it is."""
    registry = _registry(asynchronous=asynchronous)
    return compile_chart(load_chart("voice_call", registry=registry), registry)


def named() -> set[tuple[str, str]]:
    """Return (kind, name) of every handler that the chart names."""
    found: set[tuple[str, str]] = set()
    for state in load_chart("voice_call", registry=REGISTRY).root.walk():
        rows = list(state.rows())
        refs = [*state.entry, *state.exit, *(ref for row in rows for ref in row.actions)]
        found |= {("reducer" if REGISTRY.get("reducer", ref.type) else "action", ref.type) for ref in refs}
        found |= {("guard", guard.type) for row in rows for guard in row.guards}
        found |= {("service", invoke.type) for invoke in state.invoke}
    return found


# -- one call ----------------------------------------------------------------------------------------


class Intents:
    """Understands what a tour says."""

    async def detect(self, call: CallContext, text: str) -> IntentDetected:
        for word, (name, agent, missing, confidence) in _WISHES.items():
            if text.endswith(word):
                return IntentDetected(
                    intent=name, confidence=confidence, missing=missing, requires_agent=bool(agent), agent_type=agent
                )
        return IntentDetected()


_WISHES: dict[str, tuple[str, str, tuple[str, ...], float]] = {
    "hours": ("hours", "", (), 0.9),
    "order": ("order_status", "order_status", (), 0.9),
    "complain": ("complaint", "complaint", (), 0.9),
    "book": ("booking", "booking", ("day",), 0.9),
    "mumble": ("", "", (), 0.1),
    "bye": ("goodbye", "", (), 0.9),
}


async def complaint(desk: AgentCall) -> str:
    """Says something, works for a while, asks, and gives up."""
    desk.say("I am sorry.")
    desk.progress(heard=True)
    await elapse(5.0)
    await desk.ask("Who was it?", "who")
    raise AgentGaveUp("nobody is there")


BOT = BotSettings(
    intents=(
        {"name": "hours", "reply": "Nine to five."},
        {"name": "order_status", "agent": "order_status"},
        {"name": "complaint", "agent": "complaint"},
        {"name": "goodbye", "goodbye": True},
    )
)


class Call(Observer):
    """What became of one call."""

    def __init__(self) -> None:
        self.commits: list[Step] = []
        self.effects: list[list[Effect]] = []
        self.settled = 0
        self.closed_at = -1.0
        self.struck_at = -1.0
        self.session: Session
        self.manager: SessionManager

    def on_commit(self, session: Session, step: Step) -> None:
        self.commits.append(step)
        if step.row.final:
            self.closed_at = asyncio.get_running_loop().time()

    def on_effects(self, session: Session, step: Step, effects: list[Effect]) -> None:
        self.effects.append(effects)

    def on_settled(self, session: Session) -> None:
        self.settled += 1

    def post(self, *triggers: Trigger) -> None:
        for trigger in triggers:
            self.session.post(trigger)

    def check_nothing_is_left(self) -> None:
        """Fail unless the call was closed once, its closing actions were attempted once, and it has left nothing."""
        finals = [step for step in self.commits if step.row.final]
        assert [step.after.state for step in finals] == ["closed"]
        closing = [effect.name for effect in self.effects[-1] if effect.block == "entry"]
        assert closing == ["save_transcript", "hang_up", "release_slot", "notify_fronts"]
        assert self.settled == 1
        assert self.session.closed
        assert self.session.settled
        assert set(self.session.leftovers().values()) == {0}, self.session.leftovers()
        assert (len(self.manager), self.manager.slots_taken) == (0, 0)


def a_call(*, asynchronous: bool) -> Call:
    """Start a call on the chart whose handlers are wrapped."""
    call = Call()
    call.manager = SessionManager(clock=LoopClock(), options=Options(observers=(call,)))

    def ports(session: Session, slot: Slot) -> CallPorts:
        made: Any = fake_ports([])
        made.intents = Intents()
        made.agents = AgentDesk({"order_status": order_status, "complaint": complaint})
        made.slot = slot
        return made  # type: ignore[no-any-return]

    context = CallContext(call_id="CA1", bot=BOT)
    call.session = call.manager.open(machine(asynchronous=asynchronous), context, ports)
    return call


Tour: TypeAlias = tuple[Trigger | float | Callable[[Any], None], ...]
"""Triggers, seconds that pass, and changes of a call's ports."""


async def play(call: Call, tour: Tour) -> None:
    """Let everything of a tour happen."""
    for what in tour:
        if isinstance(what, Trigger):
            call.post(what)
        elif callable(what):
            what(call.session.ports)
        await elapse(what if isinstance(what, float) else 0.02)


def rehearse(ran: dict[str, list[tuple[str, str, str]]]) -> Iterator[tuple[str, Place]]:
    """Yield (handler, place) for the first run of each handler in each state and for each trigger.

    Args:
        ran: the runs of each tour when nothing misbehaves.
    """
    known: set[tuple[str, str, str]] = set()
    for tour, runs in ran.items():
        for index, run in enumerate(runs):
            if run not in known:
                known.add(run)
                yield run[0], (tour, sum(1 for earlier in runs[: index + 1] if earlier[0] == run[0]))
