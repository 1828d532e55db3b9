"""Whoever looks at many calls at once does not hold them up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from adapters.stores.contract import StoreAway
from tests.adapters.calls.node import some_nodes
from tests.fakes import elapse


@asynccontextmanager
async def counted_turns() -> AsyncIterator[Callable[[], int]]:
    """Count how often something else of the loop has its turn."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    try:
        yield lambda: turns
    finally:
        counting.cancel()


async def test_looking_at_many_calls_and_ending_them_leaves_the_loop_to_others_in_between() -> None:
    async with some_nodes(1, max_calls=200) as (one,):
        for number in range(100):
            await one.book.create(call_id=f"API{number}", bot="notes", metadata={})

        async with counted_turns() as turns:
            shown = await one.here.summaries(words=True)
            looked = turns()
            ended = await one.here.reset(wait=False)

            assert (len(shown), ended) == (100, 100)
            assert looked >= 3
            assert turns() - looked >= 3


async def test_a_call_that_ends_while_others_are_looked_at_is_not_shown() -> None:
    async with some_nodes(1, max_calls=200) as (one,):
        for number in range(100):
            await one.book.create(call_id=f"API{number}", bot="notes", metadata={})
        looking = asyncio.create_task(one.here.summaries(words=True))
        await asyncio.sleep(0)
        one.here.end("API99")
        await elapse(1)

        assert [call["call_id"] for call in await looking] == [f"API{number}" for number in range(99)]


@pytest.mark.parametrize("away", [False, True], ids=["with the store", "without the store"])
async def test_a_page_of_many_calls_leaves_the_loop_to_others_in_between(
    away: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with some_nodes(1, max_calls=200) as (one,):
        for number in range(100):
            await one.book.create(call_id=f"API{number}", bot="notes", metadata={})
        await elapse(1)

        async def gone(*asked: object, **more: object) -> object:
            raise StoreAway("gone")

        if away:
            monkeypatch.setattr(one.store, "find", gone)
        async with counted_turns() as turns:
            page = await one.book.find(limit=100)

            assert (len(page.calls), page.complete) == (100, not away)
            assert turns() >= 3
        monkeypatch.undo()
