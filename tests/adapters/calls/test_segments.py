"""Pieces of transcript that come by API: checked, numbered, told once."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.calls.contract import BadEvent
from tests.adapters.calls.node import some_nodes
from tests.fakes import elapse


async def seen(*batches: list[dict[str, Any]]) -> list[tuple[int, str, str]]:
    """Post batches, the last two without a pause; return (seq, id, text) of what is known then."""
    async with some_nodes() as (one,):
        await one.book.create(call_id="API1", bot="notes", metadata={})
        for nth, batch in enumerate(batches):
            await one.book.add_segments("API1", batch)
            if nth < len(batches) - 2:
                await elapse(0.1)
        await elapse(0)
        told = [(line.seq, line.id, line.text) for line in await one.book.segments("API1")]
        assert [(s.seq, s.id, s.text) for s in one.session("API1").context.segments] == told
        return told


async def test_segments_without_a_number_are_numbered_in_their_order() -> None:
    assert await seen([{"text": "a"}, {"text": "b"}], [{"text": "c"}], [{"text": "d"}]) == [
        (1, "s1", "a"),
        (2, "s2", "b"),
        (3, "s3", "c"),
        (4, "s4", "d"),
    ]


async def test_what_is_null_is_not_given() -> None:
    nothing = dict.fromkeys(("id", "seq", "start_ms", "end_ms", "final"))
    assert await seen([{"text": "a", **nothing}]) == [(1, "s1", "a")]


async def test_numbers_go_on_after_the_highest_that_was_given() -> None:
    assert await seen([{"text": "a", "seq": 7}], [{"text": "b"}]) == [(7, "s7", "a"), (8, "s8", "b")]


async def test_a_segment_that_comes_again_replaces_the_earlier_one_in_its_place() -> None:
    draft = {"id": "x", "text": "hel", "final": False}
    assert await seen([draft, {"text": "b"}], [{"id": "x", "text": "hello"}]) == [(1, "x", "hello"), (2, "s2", "b")]


async def test_what_is_repeated_is_told_once() -> None:
    async with some_nodes() as (one,):
        await one.book.create(call_id="API1", bot="notes", metadata={})
        batch = [{"id": "x", "text": "hello", "start_ms": 0, "end_ms": 5}, {"text": "again", "seq": 4}]
        await one.book.add_segments("API1", batch)
        await one.book.add_segments("API1", batch)
        await elapse(0.1)
        await one.book.add_segments("API1", batch)
        await elapse(0.1)

        assert one.session("API1").snapshot.seq == 4
        assert [line.text for line in await one.book.segments("API1")] == ["hello", "again"]


async def test_more_segments_than_an_inbox_holds_are_all_kept() -> None:
    async with some_nodes() as (one,):
        await one.book.create(call_id="API1", bot="notes", metadata={})
        await one.book.add_segments("API1", [{"text": f"word {n}"} for n in range(500)])
        await elapse(0.1)

        assert [line.text for line in await one.book.segments("API1")] == [f"word {n}" for n in range(500)]
        assert one.session("API1").dropped == 0


async def test_a_segment_that_is_posted_as_an_event_is_numbered_too() -> None:
    async with some_nodes() as (one,):
        await one.book.create(call_id="API1", bot="notes", metadata={})
        await one.book.post("API1", "segment.received", {"text": "hello"})
        await elapse(0)

        assert [(line.seq, line.id) for line in await one.book.segments("API1")] == [(1, "s1")]


@pytest.mark.parametrize(
    ("segment", "told"),
    [
        ({}, "segment 1: text: it is empty"),
        ({"text": " "}, "segment 1: text: it is empty"),
        ({"text": 7}, "segment 1: text: "),
        ({"text": "a", "seq": "x"}, "segment 1: seq: "),
        ({"text": "a", "seq": -1}, "segment 1: seq: it is below 0"),
        ({"text": "a", "start_ms": -1}, "segment 1: start_ms: it is below 0"),
        ({"text": "a", "start_ms": 5, "end_ms": 4}, "segment 1: end_ms: it ends before it begins"),
        ({"text": "a", "strat_ms": 5}, "segment 1 has no field 'strat_ms'; did you mean 'start_ms'"),
    ],
)
async def test_if_one_is_wrong_none_is_posted(segment: dict[str, Any], told: str) -> None:
    async with some_nodes() as (one,):
        await one.book.create(call_id="API1", bot="notes", metadata={})
        with pytest.raises(BadEvent) as refused:
            await one.book.add_segments("API1", [{"text": "good"}, segment])
        await elapse(0)

        assert str(refused.value).startswith(told)
        assert await one.book.segments("API1") == []
