"""Calls that are over: erased in an order in which nothing of them comes back."""

from __future__ import annotations

import pytest

from adapters.calls.contract import Unreachable
from adapters.calls.over import OverCalls
from adapters.stores.contract import StoreAway
from fsm.clock import LoopClock
from tests.adapters.ownership.house import a_store


async def test_what_cannot_be_taken_from_the_spool_is_told_and_leaves_the_call_whole() -> None:
    forgotten: list[str] = []

    async def broken_disk(call_id: str) -> None:
        raise StoreAway("waiting.db: its disk is full")

    async def forget(call_id: str) -> None:
        forgotten.append(call_id)

    over = OverCalls(a_store(), clock=LoopClock(), unwrite=broken_disk, forget=forget)

    with pytest.raises(Unreachable, match="disk is full"):
        await over.erase("CA1")

    assert forgotten == []
