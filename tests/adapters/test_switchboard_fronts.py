"""What a browser front has left for a call reaches that call, and no call before or after it."""

from __future__ import annotations

import pytest

from adapters.live.fronts import Fronts, Key
from fsm.clock import LoopClock
from tests.adapters.media.fakes import FakeLeg
from tests.adapters.test_switchboard import Exchange
from tests.fakes import elapse

_NUMBER = "+15550101"  # what `Exchange.connect` calls


async def _ring(exchange: Exchange, called: str = _NUMBER) -> None:
    exchange.board.announce("CA1", carrier="fake", caller="", called=called)
    await elapse(0.1)


async def test_what_waits_for_a_number_is_for_the_next_call_and_not_for_one_that_rings_already() -> None:
    fronts = Fronts(clock=LoopClock())
    exchange = Exchange(claim_job=fronts.claim)
    fronts.configure(None, Key("called", _NUMBER), {"instructions": "for the first"})
    await _ring(exchange)
    fronts.configure(None, Key("called", _NUMBER), {"instructions": "for the second"})
    exchange.connect(FakeLeg("MZ1"))
    exchange.connect(FakeLeg("MZ2"), call_id="CA2")
    await elapse(0.1)

    assert exchange.sessions["CA1"].context.instructions == "for the first"
    assert exchange.sessions["CA2"].context.instructions == "for the second"
    await exchange.end()


@pytest.mark.parametrize("key", [Key("call_id", "CA1"), Key("called", _NUMBER)], ids=["id", "number"])
async def test_what_comes_before_the_socket_reaches_a_call_that_was_announced_without_its_number(key: Key) -> None:
    fronts = Fronts(clock=LoopClock())
    exchange = Exchange(claim_job=fronts.claim)
    await _ring(exchange, called="")
    fronts.configure(None, key, {"voice": "cedar"})
    exchange.connect(FakeLeg("MZ1"))
    await elapse(0.1)

    assert exchange.sessions["CA1"].context.voice == "cedar"
    assert [step.trigger.name for step in exchange.steps[:3]] == ["init", "session.configured", "call.started"]
    await exchange.end()
