"""The calls that are not over, of all nodes: each node tells its own; for one that is silent the store does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from adapters.calls.contract import CallsPage, Totals, Unreachable
from adapters.calls.here import Here
from adapters.calls.remote import Nodes
from adapters.calls.shelf import Shelf, reachable
from adapters.stores.contract import Kept
from fsm.clock import Clock
from fsm.document import timestamp
from fsm.errors import CallchartError

__all__ = ["Counting"]


class Counting:
    """The part of `Calls` that looks at all live calls at once."""

    def __init__(self, here: Here, shelf: Shelf, nodes: Nodes, clock: Clock) -> None:
        self._clock = clock
        self._here = here
        self._shelf = shelf
        self._nodes = nodes

    async def active(self) -> CallsPage:
        return await self._summaries(words=True)

    async def totals(self) -> Totals:
        calls, _, complete = await self._summaries(words=False)
        now = self._clock.wall()
        lasted = [max(0.0, now - timestamp(call["start_time"])) for call in calls]
        return Totals(
            active_sessions=len(calls),
            total_audio_duration=round(sum((call["total_audio_duration"] for call in calls), 0.0), 3),
            total_segments=sum(call["segment_count"] for call in calls),
            average_duration_per_session=round(sum(lasted) / len(lasted), 3) if lasted else 0.0,
            session_list=[call["call_id"] for call in calls],
            complete=complete,
        )

    def _is_served(self, kept: Kept) -> bool:
        """Whether another node has the call."""
        return not kept.head.over and kept.lease_left > 0 and kept.owner not in ("", self._nodes.node)

    async def _summaries(self, *, words: bool) -> CallsPage:
        """Return the short form of every call that is not over; without the store, of those that are here."""
        try:
            return CallsPage(await self._of_all(words), None)
        except Unreachable:
            return CallsPage(_newest_first(await self._here.summaries(words=words, partly=True)), None, complete=False)

    async def _of_all(self, words: bool) -> list[dict[str, Any]]:
        with reachable():
            found = {call["call_id"]: call for call in await self._here.summaries(words=words)}
        kept = [call for call in await self._shelf.live() if not self._here.has(call.call_id)]
        nodes = {call.owner for call in kept if self._is_served(call)}
        answers = await asyncio.gather(*(self._of_node(node, words) for node in nodes))
        silent = {node for node, told in zip(nodes, answers, strict=True) if told is None}
        for told in answers:
            found.update({call["call_id"]: call for call in told or ()})
        left = [call for call in kept if not self._is_served(call) or call.owner in silent]
        for shown in await asyncio.gather(*(self._shelf.summary(call, words=words) for call in left)):
            found.setdefault(shown["call_id"], shown)
        return _newest_first(found.values())

    async def _of_node(self, node: str, words: bool) -> list[dict[str, Any]] | None:
        try:
            told: list[dict[str, Any]] = await self._nodes.ask(node, "summaries", words=words)
        except CallchartError:
            return None
        return told


def _newest_first(calls: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(calls, key=lambda call: (call["start_time"], call["call_id"]), reverse=True)
