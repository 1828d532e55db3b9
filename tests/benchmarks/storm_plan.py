"""What befalls each call of a storm, and how each handler misbehaves: drawn from a seed, the same for every machine.

A call's events are planned beforehand, so that two machines hear the same at the same time. Whether the nth call of a
handler goes wrong follows from the call, the handler's name and n. All times are multiples of 1/16 s, which floats add
up without error: thousands of calls then share the moments at which something happens, and virtual time jumps less.
"""

from __future__ import annotations

from binascii import crc32
from dataclasses import dataclass
from random import Random
from typing import Literal, NamedTuple

from fsm import triggers as t
from fsm.triggers import Trigger

__all__ = ["Fault", "Plan", "draw", "fault", "plan_call"]

TICK = 1 / 16
_RAISES, _OUTLASTS = 50, 80  # of 1,000 calls of a handler: 5 % raise, 3 % outlast their deadline
_SWALLOWED = (0, 0, 0, 0, 1, 1, 2, 2, 6, 6)  # cancellations that one which outlasts its deadline takes before it ends


class Fault(NamedTuple):
    """How one call of a handler goes wrong."""

    kind: Literal["none", "raises", "outlasts"]
    swallows: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """One call: when it begins, what happens, and when it is over, all in seconds of the storm."""

    call_id: str
    begins: float
    events: tuple[tuple[float, Trigger], ...]
    ends: float


def draw(*words: object) -> int:
    """Return a number from 0 to 999 that depends on `words` only."""
    return crc32("/".join(map(str, words)).encode()) % 1000


def fault(call_id: str, handler: str, nth: int) -> Fault:
    """Return how the `nth` call of `handler` in this call goes wrong."""
    number = draw(call_id, handler, nth)
    if number < _RAISES:
        return Fault("raises")
    if number < _OUTLASTS:
        return Fault("outlasts", _SWALLOWED[number % 10])
    return Fault("none")


def plan_call(seed: int, number: int, window: float = 30.0) -> Plan:
    """Draw one call that begins within `window` seconds.

    Most begin as calls do and go on at random: whatever a carrier, a model, an agent or an operator may say, expected
    or not. At a random moment the caller hangs up, the carrier is lost for good, or the process shuts down; a few
    more events come too late.
    """
    random = Random(f"{seed}/{number}")
    begins = _ticks(random, window)
    ends = begins + TICK + _ticks(random, random.choice((2.0, 10.0, 60.0)))
    events = [(begins + TICK * i, trigger) for i, trigger in enumerate(_opening(random))]
    events += [(begins + _ticks(random, ends - begins), _anything(random, i)) for i in range(random.randrange(4, 24))]
    events = [(when, trigger) for when, trigger in events if when <= ends]
    events.sort(key=lambda event: event[0])
    events.append((ends, random.choice(_ENDS)))
    events += [(ends + _ticks(random, 3.0), _anything(random, 100 + i)) for i in range(random.randrange(3))]
    return Plan(f"CA{seed}-{number}", begins, tuple(events), ends)


_ENDS: tuple[Trigger, ...] = (*[t.CallEnded()] * 7, t.CallLost(), t.CallLost(), t.SessionShutdown())


def _ticks(random: Random, longest: float) -> float:
    return random.randint(0, int(longest / TICK)) * TICK


def _opening(random: Random) -> list[Trigger]:
    if random.random() < 0.05:
        return []
    opening: list[Trigger] = [t.CallStarted(carrier="twilio", caller="+4512345678", at_capacity=random.random() < 0.02)]
    if random.random() < 0.9:
        opening.append(t.StsReady(session_id="sess_1"))
    if random.random() < 0.8:
        opening.append(t.PlaybackFinished())
    return opening


def _anything(random: Random, number: int) -> Trigger:
    """Draw one event; what moves a call is drawn most."""
    likely: tuple[Trigger, ...] = (
        t.UserTranscript(text="where is my order", item_id=f"item_{number}"),
        t.UserTranscript(text="where is my order", item_id="item_again"),
        t.UserSpeaking(item_id="reply_1", heard_ms=700),
        t.UserIdle(idle_ms=10_000),
        t.ToolCalled(calls=(t.ToolCall(call_id=f"tool_{number % 8}", tool="order_status"),)),
        t.IntentDetected(intent="order", confidence=0.9, requires_agent=True, agent_type="order_status"),
        t.CallLost(can_return=True),
        t.CallResumed(proof=True),
    )
    rare: tuple[Trigger, ...] = (
        *(kind() for kind in t.TRIGGERS if kind not in (t.CallEnded, t.CallLost, t.SessionShutdown)),
        t.ActionFailed(name="error.action.start_sts"),
        t.InvokeDone(name="done.invoke.agent"),
        t.InvokeFailed(name="error.invoke.farewell"),
        t.TransferRequested(target="+4587654321"),
        t.UserTranscript(item_id=f"item_{number}", reason="timed_out"),
    )
    return random.choice(likely if random.random() < 0.6 else rare)
