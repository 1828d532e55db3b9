"""What has just failed is not waited for again, until a probe has succeeded."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from adapters.stores.breaker import Breaker
from adapters.stores.contract import StoreAway


class Wall:
    """A clock that is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def fail(breaker: Breaker, reason: str = "gone") -> None:
    with pytest.raises(StoreAway, match=reason), breaker.attempt():
        raise StoreAway(reason)


def is_tried(breaker: Breaker) -> bool:
    """Whether an attempt is let through; it fails."""
    tried = False
    with suppress(StoreAway), breaker.attempt():
        tried = True
        raise StoreAway("still gone")
    return tried


def test_after_a_failure_nothing_is_tried_until_its_time_has_come() -> None:
    clock = Wall()
    breaker = Breaker(first=0.25, now=clock, draw=lambda: 1.0)
    assert not breaker.away
    fail(breaker, "no route")
    assert (breaker.away, breaker.reason) == (True, "no route")

    clock.now = 0.24
    with pytest.raises(StoreAway, match="no route"), breaker.attempt():
        pytest.fail("it was tried")
    clock.now = 0.26
    with breaker.attempt():
        pass

    assert (breaker.away, breaker.reason) == (False, "")


def test_it_stays_open_twice_as_long_after_each_probe_that_fails_up_to_a_bound() -> None:
    clock = Wall()
    breaker = Breaker(first=0.25, longest=5.0, now=clock, draw=lambda: 1.0)
    fail(breaker)
    lengths = []
    for _ in range(7):
        before = clock.now
        while not is_tried(breaker):
            clock.now += 0.25
        lengths.append(clock.now - before)

    assert lengths == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


def test_time_outs_differ_in_their_lower_half_at_most() -> None:
    clock = Wall()
    early = Breaker(first=1.0, now=clock, draw=lambda: 0.0)
    fail(early)
    clock.now = 0.49
    assert not is_tried(early)
    clock.now = 0.5
    assert is_tried(early)


async def test_one_probe_at_a_time() -> None:
    clock = Wall()
    breaker = Breaker(now=clock, draw=lambda: 1.0)
    fail(breaker)
    clock.now = 1.0
    with breaker.attempt(), pytest.raises(StoreAway, match="gone"), breaker.attempt():
        pytest.fail("two were tried")
    with breaker.attempt():
        pass


async def test_probe_that_is_cancelled_tells_nothing_and_bars_no_other() -> None:
    clock = Wall()
    breaker = Breaker(now=clock, draw=lambda: 1.0)
    fail(breaker)
    clock.now = 1.0
    with pytest.raises(asyncio.CancelledError), breaker.attempt():
        raise asyncio.CancelledError

    assert breaker.away
    assert is_tried(breaker)


def test_many_that_fail_together_count_once() -> None:
    clock = Wall()
    breaker = Breaker(first=0.25, now=clock, draw=lambda: 1.0)
    one, other = breaker.attempt(), breaker.attempt()
    one.__enter__()
    other.__enter__()
    for attempt in (one, other):
        away = StoreAway("gone")
        assert not attempt.__exit__(StoreAway, away, None)
    clock.now = 0.26

    assert is_tried(breaker)
