"""`Calls`: all calls of all nodes, for whoever operates them.

How this works. A call of this node is asked directly (`here.py`). For any other one the store tells who has it, and
that node is asked over the bus (`remote.py`). Where it does not answer, what is only looked at comes from the store;
what is to be changed waits for that node, unless its lease is over: then the call goes on here first. A call that is
over is only in the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from secrets import token_hex
from typing import Any, Literal

from adapters.bus.contract import NodeAway
from adapters.calls.contract import (
    AlreadyThere,
    BadEvent,
    CallOver,
    CallsPage,
    Created,
    TranscriptLine,
    UnknownCall,
    Unreachable,
    Validity,
)
from adapters.calls.counting import Counting
from adapters.calls.desk import OperatorDesk
from adapters.calls.here import Here, NotHere
from adapters.calls.over import OverCalls
from adapters.calls.remote import Nodes, Served, answers_of
from adapters.calls.shelf import Shelf, reachable
from adapters.pauses import with_pauses
from adapters.stores.contract import Kept
from fsm.clock import Clock
from fsm.compile import Machine
from fsm.document import status_of
from fsm.errors import CallchartError

__all__ = ["CallBook", "listens"]

_CHANGES = 3  # how often a call may change hands while it is asked for
_ENDING_S = 70.0  # how long another node may take to end a call; its calls have 60 s
_KEPT_S = 2.0  # how long is waited for the store to have what this node knows


def listens(machine: Machine) -> bool:
    """Return whether a chart can do without a carrier: `meta: {listens: true}`."""
    return machine.chart.root.meta.get("listens") is True


class CallBook(Counting):
    """Implements `Calls` (contract.py).

    Args:
        here: the calls of this node.
        nodes: the others.
        desk: begins calls, and takes over those of dead nodes.
        bots: the machine of each bot, by its name, in the order of the bots file.
        why_not: why a kept call may not be resumed; empty: it may.
        run_pipeline: has the post-call work of a call done again, and returns an id of the run.
        on_reset: told when all calls are being ended.
    """

    def __init__(
        self,
        *,
        here: Here,
        shelf: Shelf,
        over: OverCalls,
        nodes: Nodes,
        desk: OperatorDesk,
        bots: Mapping[str, Machine],
        clock: Clock,
        why_not: Callable[[Kept], str] = lambda kept: "",
        run_pipeline: Callable[[str], Awaitable[str]],
        on_reset: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(here, shelf, nodes, clock)
        self._over = over
        self._desk = desk
        self._bots = bots
        self._why_not = why_not
        self._run_pipeline = run_pipeline
        self._on_reset = on_reset
        self._answers = answers_of(here)

    @property
    def answers(self) -> Mapping[str, Served]:
        """What other nodes may ask this one; see `remote.serve_calls`."""

        async def erase(question: Mapping[str, Any]) -> Any:
            await self._erase_here(question["call_id"])

        return {**self._answers, "erase": erase}

    # -- looking ---------------------------------------------------------------------------------

    async def get(self, call_id: str) -> dict[str, Any]:
        found = await self._look(call_id, "document")
        if isinstance(found, Kept):
            return self._shelf.document(found)
        document: dict[str, Any] = found
        return document

    async def lines(self, call_id: str) -> list[TranscriptLine]:
        found = await self._look(call_id, "lines", segments=False)
        if isinstance(found, Kept):
            return (await self._shelf.transcript(found)).lines()
        return [TranscriptLine(**line) for line in found]

    async def segments(self, call_id: str) -> list[TranscriptLine]:
        found = await self._look(call_id, "lines", segments=True)
        if isinstance(found, Kept):
            return (await self._shelf.transcript(found)).segments()
        return [TranscriptLine(**line) for line in found]

    async def journal(
        self, call_id: str, *, after: int = 0, limit: int = 500
    ) -> tuple[list[dict[str, Any]], int | None]:
        with suppress(TimeoutError):
            async with asyncio.timeout(_KEPT_S):
                await self._here.kept(call_id)
        records = await self._shelf.journal(call_id, after, limit)
        if not records[0] and not self._here.has(call_id):
            await self._shelf.kept(call_id)
        return records

    async def find(
        self, *, live: bool | None = None, state: str = "", q: str = "", cursor: str = "", limit: int = 50
    ) -> CallsPage:
        wanted = _Wanted(live, state, q)
        try:
            page = await self._shelf.page(live=live, state=state, q=q, cursor=cursor, limit=limit)
        except Unreachable:
            if cursor:
                raise
            return CallsPage(await self._find_here(wanted, limit), None, complete=False)
        known = {kept.call_id for kept in page.calls}
        shown = [] if cursor else self._newborn(known, page.calls[-1] if page.next_cursor else None)
        async for kept in with_pauses(page.calls):
            here = self._here.has(kept.call_id)
            shown.append(self._here.document(kept.call_id) if here else self._shelf.document(kept))
        return CallsPage([call for call in shown if wanted.has(call)], page.next_cursor)

    async def validate(self, call_id: str) -> Validity:
        try:
            found = await self._look(call_id, "document")
        except UnknownCall:
            return Validity(False, "unknown")
        status = found.head.status if isinstance(found, Kept) else found["status"]
        if status in ("ended", "error"):
            return Validity(False, "ended")
        if isinstance(found, Kept) and (why := self._why_not(found)):
            return Validity(False, why)
        return Validity(False, "not_answered") if status == "initiated" else Validity(True, "")

    # -- steering --------------------------------------------------------------------------------

    async def create(self, *, call_id: str, bot: str, metadata: Mapping[str, Any]) -> Created:
        name = self._listener(bot)
        call_id = call_id or f"API{token_hex(16)}"
        if self._here.has(call_id):
            raise AlreadyThere(f"there is a call {call_id!r}")
        with reachable():
            session = await self._desk.create(call_id, bot=name, metadata=metadata)
        if session == "full":
            raise Unreachable("no slot is free; try again, or on another node")
        if session == "known":
            raise AlreadyThere(f"there is, or was, a call {call_id!r}")
        await self._here.begun(session)
        with suppress(TimeoutError):  # the other nodes are to know it when it is told
            async with asyncio.timeout(_KEPT_S):
                await self._here.kept(call_id)
        return Created(call_id, session.state, status_of(session.context, closed=session.closed))

    async def add_segments(self, call_id: str, segments: Sequence[Mapping[str, Any]]) -> int:
        return int(await self._steer(call_id, "add_segments", segments=list(segments)))

    async def post(self, call_id: str, event: str, data: Mapping[str, Any]) -> int:
        return int(await self._steer(call_id, "post", event=event, data=dict(data)))

    async def end(self, call_id: str, reason: str = "") -> Literal["ending", "over"]:
        try:
            return "ending" if await self._steer(call_id, "end", reason=reason) else "over"
        except CallOver:
            return "over"

    async def patch(self, call_id: str, metadata: Mapping[str, Any], *, version: int | None) -> dict[str, Any]:
        try:
            patched: dict[str, Any] = await self._steer(
                call_id, "patch", metadata=dict(metadata), version=version, within=15.0
            )
        except CallOver:
            await self._here.settled(call_id)
            return await self._over.patch(call_id, metadata, version)
        return patched

    async def erase(self, call_id: str) -> None:
        if not self._here.has(call_id):
            kept = await self._shelf.kept(call_id)
            try:
                if not kept.head.over:
                    await self._steer(call_id, "erase", within=_ENDING_S)
                    return
            except CallOver:
                pass
            if kept.owner not in ("", self._nodes.node):
                with suppress(CallchartError):  # it is gone, and with it what it had
                    await self._nodes.ask(kept.owner, "erase", call_id=call_id)
        await self._erase_here(call_id)

    async def run_pipeline(self, call_id: str) -> str:
        found = await self._look(call_id, "document")
        status = found.head.status if isinstance(found, Kept) else found["status"]
        if status not in ("ended", "error"):
            raise BadEvent(f"call {call_id} is not over")
        if self._here.has(call_id):
            await self._here.settled(call_id)
        with reachable():
            return await self._run_pipeline(call_id)

    async def reset(self, *, wait: bool = False) -> int:
        self._on_reset()
        try:
            kept = [call for call in await self._shelf.live() if not self._here.has(call.call_id)]
        except Unreachable as away:
            count = await self._here.reset(wait=False)
            raise Unreachable(f"{away}; {count} calls of this node are ending, those of others are not") from away
        others = {call.owner for call in kept if self._is_served(call)}
        dead = [call.call_id for call in kept if not self._is_served(call) and call.lease_left <= 0]
        asked = [self._nodes.ask(node, "reset", within=_ENDING_S, wait=wait) for node in others]
        ended = await asyncio.gather(self._here.reset(wait=wait), *asked, *map(self.end, dead), return_exceptions=True)
        for problem in ended:
            if isinstance(problem, NodeAway):
                raise Unreachable(f"not every node answers: {problem}; try again") from problem
            if isinstance(problem, BaseException):
                raise problem
        return sum(count if isinstance(count, int) else count == "ending" for count in ended)

    # -- inside ----------------------------------------------------------------------------------

    async def _look(self, call_id: str, what: str, **facts: Any) -> Any:
        """Return what the node answers that has the call, or else the call as it is kept."""
        question = {"call_id": call_id, **facts}
        if self._here.has(call_id):
            with suppress(NotHere), reachable():
                return await self._answers[what](question)
        kept = await self._shelf.kept(call_id)
        if self._is_served(kept):
            with suppress(CallchartError):  # what is kept is good enough
                return await self._nodes.ask(kept.owner, what, **question)
        return kept

    async def _steer(self, call_id: str, what: str, *, within: float = 2.0, **facts: Any) -> Any:
        """Have the node that has the call do something; one that is nobody's goes on here first.

        Raises:
            CallOver: it has ended.
        """
        question = {"call_id": call_id, **facts}
        for _ in range(_CHANGES):
            if self._here.has(call_id):
                with suppress(NotHere), reachable():
                    return await self.answers[what](question)
            kept = await self._shelf.kept(call_id)
            if kept.head.over:
                raise CallOver(f"call {call_id} has ended")
            if self._is_served(kept):
                try:
                    return await self._nodes.ask(kept.owner, what, within=within, **question)
                except NodeAway as away:
                    raise Unreachable(f"the node that has call {call_id} does not answer; try again") from away
                except NotHere:
                    continue
            if kept.owner == self._nodes.node and kept.lease_left > 0:
                raise Unreachable(f"the store does not know yet how call {call_id} ended; try again")
            with reachable():
                await self._desk.take_over(call_id)
        raise Unreachable(f"call {call_id} is changing hands; try again")

    async def _erase_here(self, call_id: str) -> None:
        if self._here.has(call_id):
            self._here.end(call_id)
            await self._here.settled(call_id)
            self._here.forget(call_id)
        await self._over.erase(call_id)

    def _listener(self, bot: str) -> str:
        """Return the name of a bot that does without a carrier."""
        if bot and bot not in self._bots:
            raise BadEvent(f"no bot is called {bot!r}")
        if bot and not listens(self._bots[bot]):
            raise BadEvent(f"the bot {bot!r} needs a carrier: its chart does not say `meta: {{listens: true}}`")
        found = bot or next((name for name, machine in self._bots.items() if listens(machine)), "")
        if not found:
            raise BadEvent("no bot has a chart that listens; give one `chart: listen`")
        return found

    async def _find_here(self, wanted: _Wanted, most: int) -> list[dict[str, Any]]:
        """Return what this node alone knows of the calls that are asked for."""
        found: list[dict[str, Any]] = []
        async with aclosing(self._here.documents()) as documents:
            async for call in documents:
                if wanted.has(call):
                    found.append(call)
                if len(found) == most:
                    break
        return found

    def _newborn(self, known: set[str], last: Kept | None) -> list[dict[str, Any]]:
        """Return the calls of this node that the store may not have yet, newest first."""
        since = last.head.created_at if last is not None else 0.0
        fresh = [s for s in self._here.live() if s.call_id not in known and s.context.created_at >= since]
        return [self._here.document(session.call_id) for session in reversed(fresh)]


class _Wanted:
    """What `find` was asked for: a call of this node may have moved on since the store looked."""

    def __init__(self, live: bool | None, state: str, q: str) -> None:
        self._live, self._state, self._q = live, state, q

    def has(self, call: Mapping[str, Any]) -> bool:
        over = call["status"] in ("ended", "error")
        if self._live is not None and over is self._live:
            return False
        if self._state and call["state"] != self._state:
            return False
        q = self._q
        return not q or call["call_id"] == q or call["caller"].startswith(q) or call["called"].startswith(q)
