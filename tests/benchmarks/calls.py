"""Calls on the bundled chart as benchmarks need them: one whose agent is at work, and cases to simulate."""

from __future__ import annotations

import asyncio
import json
from functools import cache
from random import Random
from typing import Any

from fsm.clock import LoopClock
from fsm.compile import Machine, compile_chart
from fsm.context import CallContext
from fsm.load import load_chart
from fsm.session import Session
from fsm.triggers import (
    AgentCompleted,
    CallStarted,
    IntentDetected,
    PlaybackFinished,
    StsReady,
    Trigger,
    UserTranscript,
)
from handlers import REGISTRY
from tests.fakes import FakeAgents, FakeIntents, elapse, fake_ports

__all__ = ["a_call_in_agent", "bundled_machine", "simulated_cases"]


@cache
def bundled_machine() -> Machine:
    """Return the bundled chart with the real handlers."""
    return compile_chart(load_chart("voice_call", registry=REGISTRY), REGISTRY)


class BusyAgents(FakeAgents):
    """An agent that takes its time."""

    takes = 0.0
    begun: asyncio.Event

    async def run(self, session: Any) -> Trigger:
        self.begun.set()
        await elapse(self.takes)
        return AgentCompleted(result="tomorrow")


async def a_call_in_agent(machine: Machine, call_id: str, agent_takes: float) -> Session:
    """Return a call whose agent has just begun to work for `agent_takes` seconds."""
    ports = fake_ports()
    agents = BusyAgents([])
    agents.takes, agents.begun = agent_takes, asyncio.Event()
    wish = IntentDetected(intent="order", confidence=0.9, requires_agent=True, agent_type="order_status")
    ports.agents, ports.intents = agents, FakeIntents([], wish)
    session = Session(machine, CallContext(call_id=call_id), ports, clock=LoopClock())
    session.start()
    said = UserTranscript(text="where is my order", item_id="item_1")
    for trigger in (CallStarted(), StsReady(), PlaybackFinished(), said):
        session.post(trigger)
    await asyncio.wait_for(agents.begun.wait(), 10)
    return session


def simulated_cases(cases: int) -> tuple[list[str], int]:
    """Return as many cases, and how many steps they have: ten each, through every state."""
    random = Random(7)
    drawn = [[*_OPENING, *(random.choice(_STEPS) for _ in range(7))] for _ in range(cases)]
    return [json.dumps(case) for case in drawn], sum(map(len, drawn))


_OPENING: list[dict[str, Any]] = [{"event": "call.started"}, {"event": "sts.ready"}, {"event": "playback.finished"}]
_STEPS: list[dict[str, Any]] = [
    {"event": "user.transcript", "data": {"text": "where is my order"}},
    {"event": "user.transcript", "guards": {"is_duplicate": True}},
    {"event": "intent.detected", "guards": {"requires_agent": True, "entities_valid": True}},
    {"event": "intent.detected", "guards": {"confidence_at_least": True}},
    {"event": "user.speaking", "guards": {"talking_over": True}},
    {"event": "user.idle", "guards": {"retries_left": True}},
    {"event": "agent.needs_info"},
    {"event": "agent.completed"},
    {"event": "tool.called"},
    {"event": "reply.finished"},
    {"advance": 4000},
    {"advance": 250},
    {"event": "call.ended"},
]
