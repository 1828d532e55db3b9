"""The handlers of a storm: stand-ins of the same names and kinds as the real ones, which misbehave as planned.

Guards and reducers are the real ones, and raise where the plan says so. Actions open and close what the real ones
open and close, in sets that can be counted afterwards.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from fsm import triggers as t
from fsm.ports import CallPorts
from fsm.registry import Action, Handler, Registry, Service
from fsm.triggers import Trigger
from handlers import REGISTRY
from tests.benchmarks.storm_plan import TICK, draw, fault

__all__ = ["CLOSING", "StandInError", "World", "WorldPorts"]

CLOSING = ("save_transcript", "hang_up", "release_slot", "notify_fronts")
"""The closing actions of the chart; `note_end` and `hand_over` are reducers, part of the commit."""
_ATTEMPT = 8.0  # seconds of one attempt of a handler that outlasts its deadline
_STUCK = 100.0  # the same for a service, whose deadline is its state's time-out


class StandInError(Exception):
    """A handler's bug."""


class World:
    """What the calls of one storm open, close and run.

    Attributes:
        ran: how often each handler ran, by call and name.
        faults: how often one was made to fail, by kind.
        listening, connected: the calls whose carrier socket is listened to; whose model session is open.
    """

    def __init__(self, *, all_async: bool) -> None:
        self.ran: Counter[tuple[str, str]] = Counter()
        self.faults: Counter[str] = Counter()
        self.listening: set[str] = set()
        self.connected: set[str] = set()
        self.all_async = all_async

    def registry(self) -> Registry:
        """Return a stand-in for everything that is registered."""
        return Registry(
            guards=[self._pure(h) for h in REGISTRY.all("guard")],
            reducers=[self._pure(h) for h in REGISTRY.all("reducer")],
            actions=[self._action(h) for h in REGISTRY.all("action")],
            services=[Service(self._service(h), produces=h.produces) for h in REGISTRY.all("service")],
        )

    def closed_once(self, call_id: str) -> bool:
        """Whether each closing action of this call was begun exactly once."""
        return all(self.ran[call_id, name] == 1 for name in CLOSING)

    def _pure(self, handler: Handler) -> Callable[..., Any]:
        @wraps(handler.function)
        def pure(call: Any, trigger: Trigger, **params: Any) -> Any:
            self._plainly(call.call_id, handler.name)
            return handler.function(call, trigger, **params)

        return pure

    def _action(self, handler: Handler) -> Action:
        effect = self._effect(handler.name)

        def plain(session: Any, trigger: Trigger) -> None:
            self._plainly(session.call_id, handler.name)
            effect(session)

        async def later(session: Any, trigger: Trigger) -> None:
            await self._slowly(session.call_id, handler.name, _ATTEMPT)
            effect(session)

        stand_in: Callable[..., Any] = later if handler.is_async or self.all_async else plain
        stand_in.__name__ = handler.name
        return Action(stand_in, handler.deadline, handler.opens, handler.closes, handler.needs)

    def _effect(self, name: str) -> Callable[[Any], object]:
        effects: dict[str, Callable[[Any], object]] = {
            "attach_listeners": self._attach,
            "remove_listeners": lambda session: self.listening.discard(session.call_id),
            "start_sts": lambda session: self.connected.add(session.call_id),
            "stop_sts": lambda session: self.connected.discard(session.call_id),
            "release_slot": lambda session: session.slot.release(),
        }
        return effects.get(name, lambda session: None)

    def _attach(self, session: Any) -> None:
        call_id = session.call_id
        self.listening.add(call_id)
        session.on_leave(lambda: self.listening.discard(call_id))

    def _service(self, handler: Handler) -> Callable[..., Awaitable[Trigger | None]]:
        work = {"detect_intent": self._detect, "run_agent": self._serve, "say_farewell": self._part}[handler.name]

        async def service(session: Any, trigger: Trigger) -> Trigger | None:
            await self._slowly(session.call_id, handler.name, _STUCK)
            return await work(session)

        service.__name__ = handler.name
        return service

    async def _detect(self, session: Any) -> Trigger:
        luck = draw(session.call_id, "intent", self.ran[session.call_id, "detect_intent"])
        await asyncio.sleep(luck % 16 * TICK)
        wants = luck % 3 == 0
        return t.IntentDetected(
            intent="order", confidence=luck / 1000, requires_agent=wants, agent_type="order_status" if wants else ""
        )

    async def _serve(self, session: Any) -> Trigger:
        luck = draw(session.call_id, "agent", self.ran[session.call_id, "run_agent"])
        session.post(t.AgentProgress(data={"step": 1}))
        await asyncio.sleep(luck % 64 * TICK)
        session.post(t.AgentNeedsInfo(question="which order?") if luck % 2 else t.AgentSaid(text="one moment"))
        await asyncio.sleep(luck % 256 * TICK)
        return t.AgentFailed(reason="closed") if luck % 5 == 0 else t.AgentCompleted(result="tomorrow")

    async def _part(self, session: Any) -> None:
        await asyncio.sleep(1.0)

    # -- how they go wrong -----------------------------------------------------------------------

    def _plainly(self, call_id: str, name: str) -> None:
        self.ran[call_id, name] += 1
        if fault(call_id, name, self.ran[call_id, name]).kind == "raises":
            self.faults["raises"] += 1
            raise StandInError(name)

    async def _slowly(self, call_id: str, name: str, attempt: float) -> None:
        self.ran[call_id, name] += 1
        kind, swallows = fault(call_id, name, self.ran[call_id, name])
        if kind == "raises":
            self.faults["raises"] += 1
            raise StandInError(name)
        if kind == "outlasts":
            self.faults["outlasts"] += 1
            await self._outlast(attempt, swallows)
        elif pause := draw(call_id, name) % 4:
            await asyncio.sleep(pause * TICK)

    async def _outlast(self, attempt: float, swallows: int) -> None:
        """Try and try again, whoever cancels, as a retry loop with a broad `except` does; the last attempt gives in."""
        for left in range(swallows, -1, -1):
            try:
                await asyncio.sleep(attempt)
            except asyncio.CancelledError:
                if left == 0:
                    raise
                self.faults["swallows"] += 1
            else:
                return


@dataclass(slots=True, kw_only=True)
class WorldPorts(CallPorts):
    """Both legs of one call; closing them goes wrong too, after they are closed."""

    call_id: str
    world: World

    async def aclose(self) -> None:
        self.world.connected.discard(self.call_id)
        self.world.listening.discard(self.call_id)
        await self.world._slowly(self.call_id, "aclose", _ATTEMPT)
