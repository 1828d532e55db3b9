"""The store that the settings choose."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from adapters.settings import Settings
from adapters.stores.chosen import store_of
from fsm.clock import LoopClock
from tests.adapters.stores.bench import committed
from tests.fakes import elapse


@pytest.mark.parametrize("jump", [7200.0, -7200.0], ids=["forward", "back"])
async def test_processes_agree_about_a_lease_whenever_the_clock_of_the_machine_was_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    settings, right = Settings(data_dir=tmp_path), time.time
    first = store_of(settings, LoopClock())
    await first.start()
    monkeypatch.setattr(time, "time", lambda: right() + jump)
    second = store_of(settings, LoopClock())
    await second.start()

    claim = await first.claim("CA1", "first", lease=15.0)
    await committed(first, "CA1", owner="first", fence=claim.fence)
    assert await second.unsettled() == []
    assert (await second.claim("CA1", "second", lease=15.0)).refused == "owned"

    await elapse(16.0)
    assert [kept.call_id for kept in await second.unsettled()] == ["CA1"]
    assert (await second.claim("CA1", "second", lease=15.0)).granted
    await second.aclose()
    await first.aclose()
