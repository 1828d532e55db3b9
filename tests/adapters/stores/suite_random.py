"""Nodes that take calls from each other, lose replies and send again, in random order: what must hold all the same."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.simulators import virtual_time
from adapters.stores.contract import Commit
from tests.adapters.stores.bench import LONG, SHORT, Bench, Opens, a_commit, a_head, an_ended_head

__all__ = ["RandomSuite"]

_NODES = ("node-a", "node-b", "node-a", "node-c")
_CALLS = ("CA1", "CA1", "CA1", "CA2")
_ACTS = (
    "claim", "force", "brief", "commit", "commit", "commit", "lose", "lose", "lose", "resend", "skip", "renew",
    "release", "wait", "settle",
)  # fmt: skip
_PLANS = st.lists(
    st.tuples(st.sampled_from(_ACTS), st.sampled_from(_NODES), st.sampled_from(_CALLS), st.integers(0, 3)),
    min_size=5,
    max_size=50,
)


@dataclass
class _Grip:
    """What one node believes of one call: its fence, the version it has reached, and what was acknowledged of that."""

    fence: int = 0
    version: int = 0
    acknowledged: int = 0


@dataclass
class _World:
    """All nodes, what they sent, and what the store acknowledged."""

    bench: Bench
    grips: dict[tuple[str, str], _Grip] = field(default_factory=dict)
    sent: list[Commit] = field(default_factory=list)
    promised: dict[tuple[str, int], bytes] = field(default_factory=dict)
    fences: dict[str, int] = field(default_factory=dict)

    async def act(self, act: str, node: str, call_id: str, number: int) -> None:
        """Let one node do one thing."""
        grip = self.grips.setdefault((node, call_id), _Grip())
        match act:
            case "claim" | "force" | "brief":
                await self._claim(node, call_id, force=act == "force", lease=SHORT if act == "brief" else LONG)
            case "commit" | "lose" | "settle":
                if not grip.fence:
                    await self._claim(node, call_id, force=False, lease=LONG)
                self.grips[node, call_id].version += number
                await self._send(self._commit(node, call_id, settle=act == "settle"), lost=act == "lose")
            case "resend" if self.sent:
                await self._send(self.sent[number % len(self.sent)], lost=number % 2 == 1)
            case "wait" if number == 0:
                await self.bench.let_pass(2 * SHORT)
            case _:
                await self._hold(act, node, call_id, grip.fence)

    async def _hold(self, act: str, node: str, call_id: str, fence: int) -> None:
        store = self.bench.store
        match act:
            case "skip" if fence:
                (outcome,) = await store.commit([a_commit(call_id, 1000, owner=node, fence=fence)])
                assert outcome.verdict in ("gap", "fenced")
            case "renew" if fence:
                lost = await store.renew(node, [(call_id, fence)], lease=LONG)
                assert bool(lost) == (self.fences.get(call_id, 0) > fence)
            case "release":
                await store.release(node, call_id, fence)
            case _:
                pass

    async def _claim(self, node: str, call_id: str, *, force: bool, lease: float) -> None:
        claim = await self.bench.store.claim(call_id, node, lease=lease, force=force)
        grip = self.grips[node, call_id]
        if claim.granted and claim.fence != grip.fence:
            assert claim.fence > self.fences.get(call_id, 0)
            version = claim.kept.version if claim.kept else 0
            self.grips[node, call_id] = _Grip(claim.fence, version, version)
        self.fences[call_id] = max(claim.fence, self.fences.get(call_id, 0))

    def _commit(self, node: str, call_id: str, *, settle: bool) -> Commit:
        """Return all that a node has not had acknowledged, in one commit."""
        grip = self.grips[node, call_id]
        first, count = grip.acknowledged + 1, grip.version - grip.acknowledged
        head = an_ended_head() if settle else a_head()
        return a_commit(call_id, first, count, owner=node, fence=grip.fence, head=head)

    async def _send(self, commit: Commit, *, lost: bool) -> None:
        self.sent.append(commit)
        (outcome,) = await self.bench.store.commit([commit])
        if outcome.verdict == "fenced":
            assert outcome.fence > commit.fence
        if lost or outcome.verdict not in ("applied", "repeated"):
            return
        grip = self.grips[commit.owner, commit.call_id]
        if grip.fence == commit.fence:
            grip.acknowledged = max(grip.acknowledged, commit.version)
        for version, record in enumerate(commit.entries, commit.first):
            self.promised[commit.call_id, version] = record

    async def check(self) -> None:
        """Hold the store to its promises."""
        for call_id in set(_CALLS):
            entries = await self.bench.store.log(call_id)
            kept = await self.bench.store.get(call_id)
            assert [entry.version for entry in entries] == list(range(1, len(entries) + 1))
            assert len({(entry.fence, entry.record.partition(b"by")[2]) for entry in entries}) == len(
                {entry.fence for entry in entries}
            )
            assert [entry.fence for entry in entries] == sorted(entry.fence for entry in entries)
            assert (kept.version if kept else 0) == len(entries)
            if kept:
                assert kept.fence >= self.fences.get(call_id, 0)
                self.fences[call_id] = kept.fence
            records = {(call_id, entry.version): entry.record for entry in entries}
            assert {at: record for at, record in self.promised.items() if at[0] == call_id}.items() <= records.items()


class RandomSuite(Opens):
    """Versions without a gap, fences that only grow, one owner a fence, and nothing lost that was acknowledged."""

    examples = 100
    run: Callable[[Coroutine[Any, Any, None]], None] = staticmethod(virtual_time.run)
    """`asyncio.run` for a store whose time is the world's."""

    def test_what_was_acknowledged_stays_whoever_owns_the_call(self, tmp_path: Path) -> None:
        numbers = itertools.count()

        @settings(max_examples=self.examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(_PLANS)
        def play(plan: list[tuple[str, str, str, int]]) -> None:
            folder = tmp_path / str(next(numbers))
            folder.mkdir()
            self.run(self._play(folder, plan))

        play()

    async def _play(self, folder: Path, plan: list[tuple[str, str, str, int]]) -> None:
        async with self.opened(folder) as bench:
            world = _World(bench)
            for step in plan:
                await world.act(*step)
                await world.check()
