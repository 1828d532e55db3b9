"""Without the store, the calls of a node are shown and steered on that node all the same, and lists say so."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from adapters.calls.contract import UnknownCall, Unreachable
from adapters.stores.contract import SessionStore, StoreAway
from tests.adapters.calls.node import LEASE, some_nodes
from tests.adapters.calls.test_here_and_there import GOODBYE, HELLO, a_call
from tests.adapters.stores.faulty import a_spool
from tests.fakes import elapse

Lose = Callable[[SessionStore], None]


@pytest.fixture
def lose(monkeypatch: pytest.MonkeyPatch) -> Lose:
    """Have a store not answer until `monkeypatch` is undone."""

    async def away(*args: object, **more: object) -> object:
        raise StoreAway("gone")

    def lose(store: SessionStore) -> None:
        for method in ("get", "find", "claim", "commit", "log", "renew"):
            monkeypatch.setattr(store, method, away)

    return lose


async def test_without_the_store_the_calls_of_this_node_are_steered_all_the_same(
    monkeypatch: pytest.MonkeyPatch, lose: Lose
) -> None:
    async with some_nodes() as (one,):
        await a_call(one)
        await elapse(1)
        lose(one.store)
        await one.book.add_segments("API1", [HELLO])
        await elapse(0)

        assert (await one.book.get("API1"))["state"] == "listening"
        assert [line.text for line in await one.book.lines("API1")] == ["hello"]
        for asked in (one.book.get("CA9"), one.book.end("CA9")):
            with pytest.raises(Unreachable, match="the store does not answer"):
                await asked
        with pytest.raises(Unreachable):
            await a_call(one, "API2")
        assert await one.book.end("API1") == "ending"
        monkeypatch.undo()
        await elapse(30)


async def test_without_the_store_the_calls_of_this_node_are_listed_and_the_list_says_so(
    monkeypatch: pytest.MonkeyPatch, lose: Lose
) -> None:
    async with some_nodes(2) as (one, two):
        for call_id in ("API1", "API2", "API3"):
            await a_call(one, call_id)
            await elapse(1)
        await a_call(two, "API4")
        await one.book.add_segments("API1", [HELLO])
        await elapse(1)
        lose(one.store)
        await one.book.end("API2")
        await elapse(1)
        active, totals = await one.book.active(), await one.book.totals()
        found, over = await one.book.find(limit=2), await one.book.find(live=False)

        assert ([call["call_id"] for call in active.calls], active.complete) == (["API3", "API1"], False)
        assert active.calls[1]["cumulative_transcript"] == "hello"
        assert (totals.session_list, totals.complete) == (["API3", "API1"], False)
        assert [call["call_id"] for call in found.calls] == ["API3", "API2"]
        assert (found.next_cursor, found.complete) == (None, False)
        assert [(call["call_id"], call["status"]) for call in over.calls] == [("API2", "ended")]
        with pytest.raises(Unreachable):
            await one.book.find(cursor="WzEuMCwgIkFQSTEiXQ==")
        monkeypatch.undo()
        await elapse(30)

        assert (await one.book.active()).complete
        assert [call["call_id"] for call in (await one.book.find(live=True)).calls] == ["API4", "API3", "API1"]


async def test_a_call_that_ends_without_the_store_is_answered_for_until_the_store_has_its_end(
    monkeypatch: pytest.MonkeyPatch, lose: Lose
) -> None:
    async with some_nodes(spool=a_spool()) as (one,):
        await a_call(one)
        await elapse(1)
        lose(one.store)
        await one.book.add_segments("API1", [HELLO])
        await one.book.end("API1")
        await elapse(5)
        spooled = one.journal.spooled

        assert spooled == 1
        assert (await one.book.get("API1"))["status"] == "ended"
        assert [line.text for line in await one.book.lines("API1")] == ["hello"]
        assert await one.book.validate("API1") == (False, "ended")
        assert await one.book.end("API1") == "over"
        assert [call["call_id"] for call in (await one.book.find(live=False)).calls] == ["API1"]
        monkeypatch.undo()
        await elapse(30)

        assert not one.here.has("API1")
        assert (await one.book.get("API1"))["status"] == "ended"


async def test_a_call_that_ended_without_the_store_may_be_erased_once_it_is_back(
    monkeypatch: pytest.MonkeyPatch, lose: Lose
) -> None:
    async with some_nodes(spool=a_spool()) as (one,):
        await a_call(one)
        await elapse(1)
        lose(one.store)
        await one.book.end("API1")
        await elapse(5)
        monkeypatch.undo()
        await one.book.erase("API1")

        assert not one.here.has("API1")
        assert one.journal.spooled == 0
        with pytest.raises(UnknownCall):
            await one.book.get("API1")


async def test_of_calls_that_end_without_the_store_the_last_are_answered_for(
    monkeypatch: pytest.MonkeyPatch, lose: Lose
) -> None:
    monkeypatch.setattr("adapters.calls.here._MOST_ENDED", 2)
    async with some_nodes() as (one,):
        for number in (1, 2, 3):
            await a_call(one, f"API{number}")
            await elapse(1)
        lose(one.store)
        for number in (1, 2, 3):
            await one.book.end(f"API{number}")
            await elapse(0.1)

        assert [call["call_id"] async for call in one.here.documents()] == ["API3", "API2"]
        monkeypatch.undo()
        await elapse(30)


async def test_a_resumed_call_is_listed_without_the_store_as_far_as_it_is_known_here(
    monkeypatch: pytest.MonkeyPatch, lose: Lose
) -> None:
    async with some_nodes(2) as (one, two):
        await a_call(one)
        await one.book.add_segments("API1", [HELLO])
        await elapse(1)
        await one.die()
        await elapse(LEASE + 1)
        await two.book.add_segments("API1", [GOODBYE])
        lose(two.store)
        shown = await two.book.active()

        assert [call["call_id"] for call in shown.calls] == ["API1"]
        assert not shown.complete
        monkeypatch.undo()
        await elapse(30)


async def test_without_the_store_a_reset_ends_the_calls_of_this_node_and_says_that_it_is_not_all(
    monkeypatch: pytest.MonkeyPatch, lose: Lose
) -> None:
    async with some_nodes() as (one,):
        await a_call(one)
        await a_call(one, "API2")
        lose(one.store)
        with pytest.raises(Unreachable, match="2 calls of this node are ending, those of others are not"):
            await one.book.reset(wait=True)
        await elapse(1)

        assert one.here.live() == []
        monkeypatch.undo()
        await elapse(30)
