"""How a store takes commits: in order, once, and from its owner only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from adapters.stores.contract import Entry
from tests.adapters.stores.bench import (
    LONG,
    NOON,
    SHORT,
    Opens,
    a_commit,
    a_head,
    an_ended_head,
    claimed,
    committed,
    known,
    versions,
)

__all__ = ["CommitSuite"]


class CommitSuite(Opens):
    """Of `commit`, `log`, `get`, `update_activity`, `hand_over`, `delete` and `cleanup_expired`."""

    async def test_first_commit_makes_a_call_that_its_owner_has(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            commit = a_commit(count=2, fence=3)

            assert await bench.store.commit([commit]) == [("applied", 2, 3)]

            kept = await known(bench.store)
            assert (kept.call_id, kept.document, kept.head) == ("CA1", commit.document, commit.head)
            assert (kept.version, kept.fence, kept.owner) == (2, 3, "node-a")

    async def test_call_made_by_a_commit_has_no_lease_that_runs(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await committed(bench.store)

            assert (await known(bench.store)).lease_left <= 0
            assert (await claimed(bench.store, owner="node-b"))[:3] == ("", 2, "node-a")

    async def test_head_is_kept_whole(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            head = a_head(
                status="error", state="closed", ended_at=NOON + 9.25, settled=True, handed_over=False, durable=False
            )
            await committed(bench.store, head=head)

            assert (await known(bench.store)).head == head

    async def test_log_has_every_entry_as_it_came(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await bench.store.commit([a_commit(count=2), a_commit(first=3)])
            await claimed(bench.store, owner="node-b")
            await committed(bench.store, first=4, owner="node-b", fence=2)

            assert await bench.store.log("CA1") == [
                Entry(1, 1, b'{"seq":1,"by":"node-a"}'),
                Entry(2, 1, b'{"seq":2,"by":"node-a"}'),
                Entry(3, 1, b'{"seq":3,"by":"node-a"}'),
                Entry(4, 2, b'{"seq":4,"by":"node-b"}'),
            ]

    async def test_log_is_read_from_any_version_and_in_pieces(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await committed(bench.store, count=5)

            assert [entry.version for entry in await bench.store.log("CA1", after=1, limit=2)] == [2, 3]
            assert [entry.version for entry in await bench.store.log("CA1", after=3, limit=2)] == [4, 5]
            assert await bench.store.log("CA1", after=5) == []
            assert await bench.store.log("nobody") == []

    async def test_commits_of_several_calls_are_judged_each_by_itself(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            outcomes = await bench.store.commit([a_commit("CA1"), a_commit("CA2", first=5), a_commit("CA3", count=3)])

            assert outcomes == [("applied", 1, 1), ("gap", 0, 0), ("applied", 3, 1)]
            assert await bench.store.get("CA2") is None

    async def test_commits_of_one_call_are_applied_in_order(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            outcomes = await bench.store.commit([a_commit(), a_commit(first=2, count=2), a_commit(first=4)])

            assert outcomes == [("applied", 1, 1), ("applied", 3, 1), ("applied", 4, 1)]
            assert await versions(bench.store) == [1, 2, 3, 4]

    async def test_nothing_to_commit_is_no_mistake(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            assert await bench.store.commit([]) == []

    async def test_repeated_commit_writes_nothing(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await committed(bench.store, count=2)
            await committed(bench.store, first=3, document=b'{"newest":3}')

            assert await committed(bench.store, count=2) == ("repeated", 3, 1)
            assert await committed(bench.store, first=3, document=b'{"late":3}') == ("repeated", 3, 1)

            assert (await known(bench.store)).document == b'{"newest":3}'
            assert await versions(bench.store) == [1, 2, 3]

    async def test_what_was_there_of_a_commit_is_skipped_and_the_rest_applied(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await committed(bench.store, count=2)
            longer = a_commit(first=2, count=3)
            changed = replace(longer, entries=(b'{"not":"this"}', *longer.entries[1:]))

            assert await bench.store.commit([changed]) == [("applied", 4, 1)]

            records = [entry.record for entry in await bench.store.log("CA1")]
            assert records == [b'{"seq":%d,"by":"node-a"}' % seq for seq in (1, 2, 3, 4)]
            assert (await known(bench.store)).document == changed.document

    async def test_commit_after_a_gap_writes_nothing(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await committed(bench.store)

            assert await committed(bench.store, first=3, document=b"{}") == ("gap", 1, 1)

            assert (await known(bench.store)).document == a_commit().document
            assert await versions(bench.store) == [1]

    async def test_rebase_appends_where_the_log_has_lost_entries(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await committed(bench.store)

            assert await committed(bench.store, first=7, count=2, rebase=True) == ("applied", 8, 1)
            assert await committed(bench.store, first=9) == ("applied", 9, 1)

            assert await versions(bench.store) == [1, 7, 8, 9]
            assert [entry.version for entry in await bench.store.log("CA1", after=5, limit=2)] == [7, 8]

    async def test_rebase_brings_a_lost_call_back(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            assert await committed(bench.store, first=41, count=2, fence=6, rebase=True) == ("applied", 42, 6)

            assert await versions(bench.store) == [41, 42]
            assert (await known(bench.store)).owner == "node-a"

    async def test_rebase_never_goes_past_a_fence(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await committed(bench.store)
            await claimed(bench.store, owner="node-b")

            assert await committed(bench.store, first=9, rebase=True) == ("fenced", 1, 2)
            assert await versions(bench.store) == [1]

    async def test_repeated_rebase_writes_nothing(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await committed(bench.store, first=4, count=2, rebase=True)

            assert await committed(bench.store, first=4, count=2, rebase=True) == ("repeated", 5, 1)
            assert await versions(bench.store) == [4, 5]

    async def test_document_changes_without_entries(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await committed(bench.store, count=2)

            outcome = await committed(bench.store, first=3, count=0, document=b'{"v":3}', head=a_head(state="agent"))

            assert outcome == ("applied", 2, 1)
            kept = await known(bench.store)
            assert (kept.document, kept.head.state, kept.version) == (b'{"v":3}', "agent", 2)

    async def test_older_document_without_entries_does_not_replace_a_newer_one(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await committed(bench.store, count=3)

            assert await committed(bench.store, first=3, count=0, document=b"{}") == ("repeated", 3, 1)
            assert (await known(bench.store)).document == a_commit(count=3).document

    async def test_commit_with_a_lower_fence_is_refused(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await committed(bench.store)
            await claimed(bench.store, owner="node-b")

            assert await committed(bench.store, first=2) == ("fenced", 1, 2)
            assert await committed(bench.store) == ("fenced", 1, 2)

            assert await versions(bench.store) == [1]

    async def test_no_fence_has_two_owners(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await committed(bench.store, owner="node-a", fence=1)

            assert await committed(bench.store, first=2, owner="node-b", fence=1) == ("fenced", 1, 1)
            assert await versions(bench.store) == [1]

    async def test_fence_of_a_claim_that_the_store_lost_counts_from_then_on(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await committed(bench.store, owner="node-a", fence=1)

            assert await committed(bench.store, first=2, owner="node-b", fence=4) == ("applied", 2, 4)

            assert await committed(bench.store, first=3, owner="node-a", fence=1) == ("fenced", 2, 4)
            assert (await known(bench.store)).owner == "node-b"
            assert (await claimed(bench.store, owner="node-c")).fence == 5

    async def test_owner_without_a_lease_commits_as_long_as_nobody_took_the_call(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await claimed(bench.store, lease=SHORT)
            await bench.let_pass(2 * SHORT)

            assert await committed(bench.store) == ("applied", 1, 1)

    async def test_settled_call_is_nobodys(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await claimed(bench.store)

            await committed(bench.store, head=an_ended_head())

            assert (await known(bench.store)).lease_left <= 0

    async def test_activity_is_noted_and_never_goes_back(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await committed(bench.store)

            assert await bench.store.update_activity("CA1", NOON + 20)
            assert await bench.store.update_activity("CA1", NOON + 10)
            await committed(bench.store, first=2, head=a_head(active_at=NOON + 5))

            assert (await known(bench.store)).head.active_at == NOON + 20
            assert not await bench.store.update_activity("nobody", NOON)

    async def test_reading_counts_as_activity_only_if_it_is_said(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await committed(bench.store, head=a_head(active_at=NOON - 50))

            assert (await known(bench.store)).head.active_at == NOON - 50
            touched = await bench.store.get("CA1", touch=True)

            assert touched is not None
            assert abs(touched.head.active_at - bench.now()) < 20
            assert (await known(bench.store)).head.active_at == touched.head.active_at
            assert await bench.store.get("nobody", touch=True) is None

    async def test_outbox_is_handed_over_once(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            ended = an_ended_head(settled=False, handed_over=False)
            await committed(bench.store, head=ended)

            assert await bench.store.undelivered() == ["CA1"]
            assert await bench.store.hand_over("CA1")
            assert not await bench.store.hand_over("CA1")
            assert not await bench.store.hand_over("nobody")

            assert await bench.store.undelivered() == []
            assert (await known(bench.store)).head.handed_over

    async def test_what_was_handed_over_stays_so_whatever_its_owner_commits(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await committed(bench.store, head=an_ended_head(settled=False, handed_over=False))
            await bench.store.hand_over("CA1")

            await committed(bench.store, first=2, head=an_ended_head(handed_over=False))

            assert await bench.store.undelivered() == []
            assert not await bench.store.hand_over("CA1")

    async def test_deleted_call_leaves_nothing(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await claimed(bench.store)
            await committed(bench.store, count=3)

            assert await bench.store.delete("CA1")
            assert not await bench.store.delete("CA1")

            assert await bench.store.get("CA1") is None
            assert await bench.store.log("CA1") == []
            assert (await bench.store.find()).calls == ()
            assert await bench.store.list_active() == []
            assert await claimed(bench.store, owner="node-b") == ("", 1, "", None)

    async def test_ended_call_is_forgotten_when_its_retention_is_over(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path, retention=SHORT) as bench:
            await committed(bench.store, "ended", count=2, head=an_ended_head(ended_at=bench.now()))
            await committed(bench.store, "live")
            await bench.let_pass(2 * SHORT)

            assert await bench.store.cleanup_expired() == 1

            assert await bench.store.get("ended") is None
            assert await bench.store.log("ended") == []
            assert [kept.call_id for kept in (await bench.store.find()).calls] == ["live"]
            assert await bench.store.cleanup_expired() == 0

    async def test_ended_call_is_kept_while_its_retention_runs(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path, retention=LONG) as bench:
            await committed(bench.store, head=an_ended_head(ended_at=bench.now()))

            assert await bench.store.cleanup_expired() == 0
            assert await bench.store.get("CA1") is not None

    async def test_call_with_something_left_to_do_outlives_its_retention(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path, retention=SHORT) as bench:
            long_ago = bench.now() - 1000
            await committed(bench.store, "unsettled", head=an_ended_head(ended_at=long_ago, settled=False))
            await committed(bench.store, "undelivered", head=an_ended_head(ended_at=long_ago, handed_over=False))
            await bench.let_pass(2 * SHORT)

            assert await bench.store.cleanup_expired() == 0
            assert await bench.store.undelivered() == ["undelivered"]
            assert [kept.call_id for kept in await bench.store.unsettled()] == ["unsettled"]
