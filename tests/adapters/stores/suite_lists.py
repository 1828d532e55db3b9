"""What a store finds: lists, pages, counts, and everything for a backup."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.stores.contract import Page, StoreCounts
from tests.adapters.stores.bench import NOON, Opens, a_commit, a_head, an_ended_head, committed, known

__all__ = ["ListSuite"]

_ODD = [
    "100%",
    "1_0",
    "*",
    "a[b]",
    "\\",
    "'; drop table calls; --",
    '"',
    "späte Öse",
    "a b\n",
    "{x}",
    "\x00z",
    "CA/..",
    "🦉",
]


def ids(page: Page) -> list[str]:
    return [kept.call_id for kept in page.calls]


class ListSuite(Opens):
    """Of `list_active`, `find`, `undelivered`, `stats` and `everything`."""

    async def test_active_calls_are_listed_oldest_first(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await committed(bench.store, "young", head=a_head(created_at=NOON + 2))
            await committed(bench.store, "old", head=a_head(created_at=NOON - 2, status="initiated"))
            await committed(bench.store, "over", head=an_ended_head())
            await committed(bench.store, "broken", head=an_ended_head(status="error", settled=False))
            await committed(bench.store, "middle")

            assert await bench.store.list_active() == ["old", "middle", "young"]

    async def test_call_that_ended_is_no_longer_active(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await committed(bench.store)
            await committed(bench.store, first=2, head=an_ended_head())

            assert await bench.store.list_active() == []
            assert ids(await bench.store.find(live=True)) == []
            assert ids(await bench.store.find(live=False)) == ["CA1"]

    async def test_calls_are_found_newest_first_and_whole(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await committed(bench.store, "a", head=a_head(created_at=NOON - 9))
            await committed(bench.store, "b", count=2, head=a_head(created_at=NOON))
            await committed(bench.store, "c", head=an_ended_head(created_at=NOON - 5))

            page = await bench.store.find()

            assert (ids(page), page.next_cursor) == (["b", "c", "a"], None)
            assert (page.calls[0].document, page.calls[0].version) == (a_commit("b", count=2).document, 2)

    async def test_calls_are_found_by_what_was_asked(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await committed(bench.store, "+49", head=a_head(created_at=NOON, caller="+4315", called="+1"))
            await committed(bench.store, "b", head=a_head(created_at=NOON - 1, caller="+4930", state="agent"))
            await committed(bench.store, "c", head=an_ended_head(created_at=NOON - 2, caller="", called="+4940"))
            await committed(bench.store, "d", head=a_head(created_at=NOON - 3, caller="anonymous", called="+33"))
            find = bench.store.find

            assert ids(await find(q="+49")) == ["+49", "b", "c"]
            assert ids(await find(q="+494")) == ["c"]
            assert ids(await find(q="+4")) == ["+49", "b", "c"]
            assert ids(await find(q="d")) == ["d"]
            assert ids(await find(q="930")) == []
            assert ids(await find(live=True)) == ["+49", "b", "d"]
            assert ids(await find(live=False)) == ["c"]
            assert ids(await find(state="agent")) == ["b"]
            assert ids(await find(state="listening", live=True, q="+49")) == ["+49"]
            assert ids(await find(state="closed", live=True)) == []

    async def test_state_of_a_call_is_its_latest(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await committed(bench.store)
            await committed(bench.store, first=2, head=a_head(state="agent"))

            assert ids(await bench.store.find(state="listening")) == []
            assert ids(await bench.store.find(state="agent")) == ["CA1"]

    async def test_pages_follow_each_other_even_where_times_are_the_same(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            expected = ["e", "d", "c", "b", "a"]
            for call_id in "badce":
                await committed(bench.store, call_id)

            first = await bench.store.find(limit=2)
            second = await bench.store.find(limit=2, cursor=first.next_cursor or "")
            third = await bench.store.find(limit=2, cursor=second.next_cursor or "")

            assert ids(first) + ids(second) + ids(third) == expected
            assert third.next_cursor is None
            whole = await bench.store.find(limit=5)
            assert (ids(whole), whole.next_cursor) == (expected, None)

    async def test_page_does_not_move_when_calls_come_and_go(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            for at, call_id in enumerate("abcd"):
                await committed(bench.store, call_id, head=a_head(created_at=NOON + at + 0.125))
            first = await bench.store.find(limit=2, q="+49")

            await committed(bench.store, "new", head=a_head(created_at=NOON + 99))
            await bench.store.delete("c")

            assert ids(first) == ["d", "c"]
            assert ids(await bench.store.find(limit=2, q="+49", cursor=first.next_cursor or "")) == ["b", "a"]

    @pytest.mark.parametrize("cursor", ["x", "é", "W10", "bnVsbA", "[1]", "W251bGwsIngiXQ", "A" * 5001, "\x00", "MQ=="])
    async def test_foreign_cursor_is_refused(self, tmp_path: Path, cursor: str) -> None:
        async with self.opened(tmp_path) as bench:
            await committed(bench.store)

            with pytest.raises(ValueError, match="cursor"):
                await bench.store.find(cursor=cursor)

    async def test_ids_and_numbers_may_be_anything(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            for at, odd in enumerate(_ODD):
                await committed(bench.store, odd, head=a_head(created_at=NOON - at, caller=odd, state=odd))

            for odd in _ODD:
                assert (await known(bench.store, odd)).head.caller == odd
                assert odd in ids(await bench.store.find(q=odd))
                assert ids(await bench.store.find(state=odd)) == [odd]
            assert ids(await bench.store.find()) == _ODD
            assert ids(await bench.store.find(q="%")) == []
            assert ids(await bench.store.find(q="_")) == []
            assert ids(await bench.store.find(q="10")) == ["100%"]
            page = await bench.store.find(limit=6)
            assert ids(await bench.store.find(cursor=page.next_cursor or "")) == _ODD[6:]

    async def test_undelivered_are_those_that_ended_and_were_not_handed_over(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await committed(bench.store, "talking", head=a_head(handed_over=False))
            await committed(bench.store, "ended", head=an_ended_head(handed_over=False))
            await committed(bench.store, "failed", head=an_ended_head(status="error", handed_over=False, settled=False))
            await committed(bench.store, "delivered", head=an_ended_head())

            assert sorted(await bench.store.undelivered()) == ["ended", "failed"]

    async def test_calls_are_counted_by_status(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            assert await bench.store.stats() == StoreCounts()
            await committed(bench.store, "a", head=a_head(status="initiated"))
            await committed(bench.store, "b")
            await committed(bench.store, "c")
            await committed(bench.store, "d", head=an_ended_head())
            await committed(bench.store, "e", head=an_ended_head(status="error"))
            await committed(bench.store, "a", first=2, head=an_ended_head(status="error"))

            counts = await bench.store.stats()

            assert counts == StoreCounts(initiated=0, active=2, ended=1, error=2)
            assert counts.live == 2

    async def test_everything_is_every_call_that_is_kept(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            for number in range(250):
                head = a_head() if number % 2 else an_ended_head()
                await committed(bench.store, f"CA{number}", head=head)

            found = {kept.call_id: kept async for kept in bench.store.everything()}

            assert set(found) == {f"CA{number}" for number in range(250)}
            assert found["CA7"].document == a_commit("CA7").document
            assert found["CA8"].head == an_ended_head()

    async def test_store_is_closed_twice_without_harm(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await committed(bench.store)

            await bench.store.aclose()
            await bench.store.aclose()
