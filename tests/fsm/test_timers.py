"""One call on the clock for all timers of a call; what the clock is asked, and how often."""

from __future__ import annotations

from collections.abc import Callable

from fsm.clock import TimerHandle
from fsm.compile import Timer
from fsm.timers import Due, Timers

SHORT = Timer("short", "after.short", 1.0, 1, 101)
LONG = Timer("long", "after.long", 9.0, 0, 0)


class Handle:
    """What the clock gives for a call that it was asked for."""

    def __init__(self, when: float) -> None:
        self.when = when
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class StubClock:
    """A clock that notes when it is to call, and lets the test call."""

    def __init__(self) -> None:
        self.time = 0.0
        self.asked: list[Handle] = []

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return self.time

    def call_at(self, when: float, callback: Callable[[], None]) -> TimerHandle:
        self.asked.append(Handle(when))
        return self.asked[-1]

    @property
    def waiting(self) -> list[float]:
        return [handle.when for handle in self.asked if not handle.is_cancelled and handle.when > self.time]


class Owner:
    """Notes which timers were due."""

    def __init__(self) -> None:
        self.fired: list[str] = []

    def due(self, due: Due) -> None:
        self.fired.append(due.timer.key)


def some_timers() -> tuple[Timers, StubClock, Owner]:
    clock, owner = StubClock(), Owner()
    return Timers(clock, owner), clock, owner


def test_timers_that_start_together_ask_the_clock_once() -> None:
    timers, clock, _ = some_timers()

    timers.arm(LONG, 1, 9.0)
    timers.arm(SHORT, 1, 1.0)
    timers.schedule()

    assert len(timers) == 2
    assert [handle.when for handle in clock.asked] == [1.0]


def test_a_sooner_timer_has_the_clock_call_sooner() -> None:
    timers, clock, _ = some_timers()
    timers.arm(LONG, 1, 9.0)
    timers.schedule()

    timers.arm(SHORT, 1, 1.0)
    timers.schedule()

    assert clock.waiting == [1.0]


def test_the_clock_calls_for_nothing_when_the_earliest_was_disarmed_and_then_at_the_next() -> None:
    timers, clock, owner = some_timers()
    timers.arm(LONG, 1, 9.0)
    timers.arm(SHORT, 1, 1.0)
    timers.schedule()

    timers.disarm([SHORT.node])
    clock.time = 1.0
    timers()

    assert owner.fired == []
    assert clock.waiting == [9.0]


def test_the_clock_is_asked_for_nothing_once_no_timer_runs() -> None:
    timers, clock, _ = some_timers()
    timers.arm(SHORT, 1, 1.0)
    timers.schedule()

    timers.disarm([SHORT.node])
    timers.disarm([SHORT.node])

    assert clock.waiting == []
    assert len(timers) == 0


def test_timers_due_together_fire_in_order_and_what_is_left_is_told() -> None:
    timers, clock, owner = some_timers()
    timers.arm(SHORT, 1, 2.0)
    timers.arm(LONG, 1, 2.0)
    timers.arm(SHORT, 2, 5.0)
    timers.schedule()

    clock.time = 2.0
    timers()

    assert owner.fired == ["long", "short"]
    assert timers.left() == [(1, "short", 3.0)]
    assert clock.waiting == [5.0]


def test_a_clock_that_calls_a_hair_early_is_not_asked_again_for_the_same_timer() -> None:
    timers, clock, owner = some_timers()
    timers.arm(SHORT, 1, 1.0)
    timers.schedule()

    clock.time = 1.0 - 1e-12
    timers()

    assert owner.fired == ["short"]
    assert len(clock.asked) == 1
