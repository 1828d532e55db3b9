"""Who has a call: claims, leases and fences."""

from __future__ import annotations

from pathlib import Path

from tests.adapters.stores.bench import (
    LONG,
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

__all__ = ["OwnerSuite"]


class OwnerSuite(Opens):
    """Of `claim`, `renew`, `release` and `unsettled`."""

    async def test_new_call_is_granted_with_the_first_fence(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            claim = await claimed(bench.store)

            assert claim.granted
            assert claim == ("", 1, "", None)

    async def test_claimed_call_is_not_known_before_its_first_commit(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await claimed(bench.store)

            assert await bench.store.get("CA1") is None
            assert await bench.store.list_active() == []
            assert await bench.store.unsettled() == []
            assert (await bench.store.find()).calls == ()
            assert (await bench.store.stats()).live == 0
            assert not await bench.store.delete("CA1")

    async def test_first_commit_keeps_the_lease_of_its_claim(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await claimed(bench.store)
            await committed(bench.store)

            kept = await known(bench.store)
            assert (kept.owner, kept.fence) == ("node-a", 1)
            assert 0 < kept.lease_left <= LONG

    async def test_new_call_that_another_node_claimed_is_owned(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await claimed(bench.store)

            assert await claimed(bench.store, owner="node-b") == ("owned", 1, "node-a", None)
            assert await committed(bench.store, owner="node-b") == ("fenced", 0, 1)

    async def test_call_is_owned_while_its_lease_runs(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await claimed(bench.store)
            await committed(bench.store)

            claim = await claimed(bench.store, owner="node-b")

            assert claim[:3] == ("owned", 1, "node-a")
            assert claim.kept is not None
            assert claim.kept.document == a_commit().document

    async def test_call_whose_lease_is_over_is_granted_with_a_higher_fence(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await claimed(bench.store, lease=SHORT)
            await committed(bench.store, count=3)
            await bench.let_pass(2 * SHORT)

            claim = await claimed(bench.store, owner="node-b")

            assert claim[:3] == ("", 2, "node-a")
            assert claim.kept is not None
            assert (claim.kept.version, claim.kept.document) == (3, a_commit(count=3).document)
            assert (await known(bench.store)).owner == "node-b"

    async def test_force_takes_a_call_whose_lease_runs(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await claimed(bench.store)
            await committed(bench.store)

            assert (await claimed(bench.store, owner="node-b", force=True))[:3] == ("", 2, "node-a")
            assert (await claimed(bench.store, owner="node-a"))[:3] == ("owned", 2, "node-b")

    async def test_owner_that_claims_again_keeps_its_fence(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await claimed(bench.store, lease=SHORT)
            await committed(bench.store)
            assert (await claimed(bench.store, lease=SHORT))[:3] == ("", 1, "node-a")
            await bench.let_pass(2 * SHORT)

            assert (await claimed(bench.store, force=True))[:3] == ("", 1, "node-a")

            assert (await known(bench.store)).lease_left > SHORT
            assert await committed(bench.store, first=2) == ("applied", 2, 1)

    async def test_call_that_is_over_and_not_settled_is_granted_once_its_lease_is_over(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await claimed(bench.store, lease=SHORT)
            await committed(bench.store, head=an_ended_head(settled=False))
            await bench.let_pass(2 * SHORT)

            assert (await claimed(bench.store, owner="node-b"))[:3] == ("", 2, "node-a")

    async def test_nobody_brings_a_call_that_is_over(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await committed(bench.store, head=an_ended_head(settled=False))

            claim = await claimed(bench.store, owner="node-b", force=True)

            assert claim[:3] == ("ended", 1, "node-a")
            assert claim.kept is not None
            assert claim.kept.head.status == "ended"

    async def test_settled_call_is_never_granted(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await committed(bench.store, head=an_ended_head())

            assert (await claimed(bench.store, owner="node-a")).refused == "ended"
            assert (await claimed(bench.store, owner="node-b")).refused == "ended"
            assert (await claimed(bench.store, owner="node-b", force=True)).refused == "ended"
            assert (await known(bench.store)).fence == 1

    async def test_new_call_is_refused_when_there_are_enough_live_ones(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await committed(bench.store, "CA1")
            await committed(bench.store, "CA2")
            await committed(bench.store, "CA3", head=an_ended_head())
            await committed(bench.store, "CA3b", head=an_ended_head(settled=False))

            assert await claimed(bench.store, "CA4", max_active=2) == ("full", 0, "", None)
            assert (await claimed(bench.store, "CA4", max_active=3)).granted

    async def test_known_call_is_granted_however_many_are_live(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await committed(bench.store, "CA1")
            await committed(bench.store, "CA2")

            assert (await claimed(bench.store, "CA1", owner="node-b", max_active=1)).granted

    async def test_renewed_lease_runs_on(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await claimed(bench.store, lease=SHORT)
            await committed(bench.store)

            assert await bench.store.renew("node-a", [("CA1", 1)], lease=LONG) == []

            await bench.let_pass(2 * SHORT)
            assert (await known(bench.store)).lease_left > SHORT
            assert (await claimed(bench.store, owner="node-b")).refused == "owned"

    async def test_owner_renews_even_late_as_long_as_nobody_took_the_call(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await claimed(bench.store, lease=SHORT)
            await committed(bench.store)
            await bench.let_pass(2 * SHORT)

            assert await bench.store.renew("node-a", [("CA1", 1)], lease=LONG) == []
            assert (await claimed(bench.store, owner="node-b")).refused == "owned"

    async def test_renewing_tells_which_calls_are_lost(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            for call_id in ("CA1", "CA2", "CA3"):
                await claimed(bench.store, call_id)
                await committed(bench.store, call_id)
            await claimed(bench.store, "CA2", owner="node-b", force=True)

            lost = await bench.store.renew("node-a", {("CA1", 1), ("CA2", 1), ("CA3", 1)}, lease=LONG)

            assert lost == ["CA2"]
            assert (await known(bench.store, "CA2")).owner == "node-b"

    async def test_owner_that_took_its_call_back_has_lost_its_former_fence(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await claimed(bench.store)
            await committed(bench.store)
            await claimed(bench.store, owner="node-b", force=True)
            assert (await claimed(bench.store, owner="node-a", force=True)).fence == 3

            assert await bench.store.renew("node-a", [("CA1", 1)], lease=LONG) == ["CA1"]
            assert await committed(bench.store, first=2, fence=1) == ("fenced", 1, 3)
            assert await committed(bench.store, first=2, fence=3) == ("applied", 2, 3)

    async def test_fence_that_the_store_lost_is_known_again_once_it_is_renewed(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await committed(bench.store, owner="node-a", fence=1)

            assert await bench.store.renew("node-b", [("CA1", 4)], lease=LONG) == []

            assert (await claimed(bench.store, owner="node-a"))[:3] == ("owned", 4, "node-b")
            assert await committed(bench.store, first=2, owner="node-a", fence=1) == ("fenced", 1, 4)

    async def test_call_that_the_store_does_not_know_is_lost_to_nobody(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            assert await bench.store.renew("node-a", [("CA1", 3)], lease=LONG) == []

            assert await claimed(bench.store, owner="node-b") == ("owned", 3, "node-a", None)
            assert await committed(bench.store, first=8, fence=3, rebase=True) == ("applied", 8, 3)

    async def test_renewing_a_settled_call_gives_it_no_lease(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await claimed(bench.store)
            await committed(bench.store, head=an_ended_head())

            assert await bench.store.renew("node-a", [("CA1", 1)], lease=LONG) == []
            assert (await known(bench.store)).lease_left <= 0

    async def test_nothing_to_renew_is_no_mistake(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            assert await bench.store.renew("node-a", [], lease=LONG) == []

    async def test_released_call_is_granted_at_once(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await claimed(bench.store)
            await committed(bench.store)

            await bench.store.release("node-a", "CA1", 1)

            kept = await known(bench.store)
            assert (kept.lease_left <= 0, kept.owner) == (True, "node-a")
            assert (await claimed(bench.store, owner="node-b"))[:3] == ("", 2, "node-a")

    async def test_released_claim_of_a_new_call_is_granted_at_once(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await claimed(bench.store)

            await bench.store.release("node-a", "CA1", 1)

            claim = await claimed(bench.store, owner="node-b")
            assert (claim.granted, claim.kept) == (True, None)

    async def test_nobody_gives_back_what_somebody_else_has(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await claimed(bench.store)
            await committed(bench.store)
            await claimed(bench.store, owner="node-b", force=True)

            await bench.store.release("node-a", "CA1", 1)
            await bench.store.release("node-a", "CA1", 2)
            await bench.store.release("node-b", "CA1", 1)
            await bench.store.release("node-b", "nobody", 1)

            assert (await claimed(bench.store, owner="node-c")).refused == "owned"

    async def test_somebody_has_to_look_after_calls_whose_lease_is_over(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await claimed(bench.store, "orphan", lease=SHORT)
            await committed(bench.store, "orphan", count=2)
            await claimed(bench.store, "unsettled", lease=SHORT)
            await committed(bench.store, "unsettled", head=an_ended_head(settled=False))
            await committed(bench.store, "settled", head=an_ended_head())
            await claimed(bench.store, "served")
            await committed(bench.store, "served")
            await bench.let_pass(2 * SHORT)

            found = {kept.call_id: kept for kept in await bench.store.unsettled()}

            assert set(found) == {"orphan", "unsettled"}
            orphan = found["orphan"]
            assert (orphan.owner, orphan.fence, orphan.version, orphan.head) == ("node-a", 1, 2, a_head())
            assert orphan.lease_left < 0

    async def test_former_owner_that_goes_on_writes_nothing(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as bench:
            await claimed(bench.store, lease=SHORT)
            await committed(bench.store)
            await bench.let_pass(2 * SHORT)
            taken = await claimed(bench.store, owner="node-b")
            await committed(bench.store, first=2, owner="node-b", fence=taken.fence)

            assert await committed(bench.store, first=2, count=2) == ("fenced", 2, 2)
            assert await bench.store.renew("node-a", [("CA1", 1)], lease=LONG) == ["CA1"]
            assert await versions(bench.store) == [1, 2]
