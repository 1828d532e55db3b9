"""The loop's own time, as calls see it."""

from __future__ import annotations

import asyncio
import time

import pytest

from fsm.clock import LoopClock
from tests.fakes import elapse


async def test_wall_time_goes_on_with_the_loop() -> None:
    clock = LoopClock()
    began = clock.wall()
    await elapse(90.0)

    assert began == pytest.approx(time.time(), abs=60.0)
    assert clock.wall() - began == pytest.approx(90.0)


async def test_callback_runs_when_its_time_has_come_and_not_after_it_was_cancelled() -> None:
    clock, ran = LoopClock(asyncio.get_running_loop()), []
    began = clock.now()
    clock.call_at(began + 5.0, lambda: ran.append(clock.now() - began))
    clock.call_at(began + 6.0, lambda: ran.append(0.0)).cancel()
    await elapse(10.0)

    assert ran == [pytest.approx(5.0)]
