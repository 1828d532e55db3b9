"""Where carriers bring calls: those of this node, those that are kept, and those that another node has.

A call of this node is the switchboard's at once. For any other one the store is asked who has it:

    nobody has, and it is not known   it is claimed, and begins here
    kept, and its carrier is back     with proof it is claimed, whoever has it, and goes on here
    another node has it               its webhooks are passed on; if that node is dead, they end it here

Calls of nobody that no carrier brings back are the reaper's (`reaper.py`), which ends them through `recover`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal

from adapters.bus.contract import Bus, NodeAway
from adapters.carriers.contract import Announced, Leg, LegEvents
from adapters.ownership.keeper import Keeper
from adapters.ownership.kept import KeptCalls, NewerSchema
from adapters.ownership.turns import Turns
from adapters.stores.contract import Claim, Kept, SessionStore, StoreAway
from adapters.switchboard import Switchboard
from fsm.context import BY_API
from fsm.errors import CallchartError
from fsm.journal import trigger_data, trigger_from
from fsm.registry import Registry
from fsm.session import Session
from fsm.stored import StoredCall
from fsm.triggers import CallEnded, CallLost, CallStarted, CallTransferred, Trigger

__all__ = ["Desk"]

log = logging.getLogger(__name__)


class Desk:
    """A `CallDesk` (adapters/carriers/contract.py).

    Args:
        board: the calls of this node.
        registry: knows the triggers that other nodes pass on.
        on_reopen: told of a kept call that is about to go on here.
    """

    def __init__(
        self,
        *,
        board: Switchboard,
        store: SessionStore,
        keeper: Keeper,
        kept: KeptCalls,
        bus: Bus,
        registry: Registry,
        on_reopen: Callable[[Kept], None] = lambda kept: None,
    ) -> None:
        self._board = board
        self._store = store
        self._keeper = keeper
        self._kept = kept
        self._bus = bus
        self._registry = registry
        self._on_reopen = on_reopen
        self._turns = Turns()
        self._newer: set[str] = set()
        """Calls that a newer version keeps: looked at once, and left alone."""
        self._telling: set[asyncio.Task[None]] = set()

    # -- CallDesk --------------------------------------------------------------------------------

    async def announce(self, call_id: str, *, carrier: str, caller: str, called: str) -> Announced:
        if self._is_here(call_id):
            return "welcome"
        async with self._turn(call_id):
            if self._is_here(call_id):
                return "welcome"
            if self._keeper.has_settled(call_id):
                return "over"
            if not self._board.manager.has_room():
                log.info("call_refused", extra={"call_id": call_id, "carrier": carrier})
                return "busy"
            claim: Claim | None = None
            try:
                claim = await self._claim_new(call_id)
            except StoreAway:
                log.warning("call_unclaimed", extra={"call_id": call_id})  # the caller must be answered
            if claim is not None and (answer := await self._unwelcome(call_id, claim)):
                return answer
            session = self._board.announce(call_id, carrier=carrier, caller=caller, called=called)
            if session is None:
                await self._let_go(call_id, claim)
                return "busy"
            self._keeper.hold(session, claim)
            return "welcome"

    async def connect(
        self, leg: Leg, started: CallStarted, *, call_id: str, proof: bool, again: bool = False
    ) -> LegEvents | None:
        if self._is_here(call_id):
            return self._board.connect(leg, started, call_id=call_id, proof=proof)
        async with self._turn(call_id):
            if self._is_here(call_id):
                return self._board.connect(leg, started, call_id=call_id, proof=proof)
            over = self._keeper.has_settled(call_id)
            events = "ended" if over else await self._bring(leg, started, call_id, proof=proof, again=again)
            if isinstance(events, str):
                log.warning("socket_refused", extra={"call_id": call_id, "carrier": leg.carrier, "why": events})
                return None
            return events

    async def post(self, call_id: str, trigger: Trigger) -> bool:
        if self._is_here(call_id):
            return self._board.post(call_id, trigger)
        async with self._turn(call_id):
            if self._is_here(call_id):
                return self._board.post(call_id, trigger)
            if self._keeper.has_settled(call_id):
                return False
            try:
                return await self._post_elsewhere(call_id, trigger)
            except StoreAway:
                log.warning("trigger_lost", extra={"call_id": call_id, "trigger": trigger.name, "why": "store_away"})
                return False

    async def is_live(self, call_id: str) -> bool:
        if self._is_here(call_id):
            session = self._board.manager.get(call_id)
            return session is not None and not session.closed
        if self._keeper.has_settled(call_id):
            return False
        kept = await self._look(call_id)
        return kept is not None and not self._kept.why_not(kept) and call_id not in self._newer

    async def transfer_target(self, call_id: str) -> str:
        if self._is_here(call_id):
            return ""
        kept = await self._look(call_id)
        if kept is None or kept.head.over:
            return ""
        try:
            return (await self._kept.read(kept)).context.transfer_to
        except CallchartError:
            return ""

    def _is_here(self, call_id: str) -> bool:
        session = self._board.manager.get(call_id)
        return session is not None and not session.given_up

    @asynccontextmanager
    async def _turn(self, call_id: str) -> AsyncIterator[None]:
        """Decide about a call alone, and not before what was given up of it here is gone."""
        async with self._turns.of(call_id):
            session = self._board.manager.get(call_id)
            if session is not None and session.given_up:
                await session.wait_settled()
            yield

    # -- for operators (adapters/calls/desk.py) --------------------------------------------------

    async def create(
        self, call_id: str, *, bot: str, metadata: Mapping[str, Any]
    ) -> Session | Literal["known", "full"]:
        """Begin a call without a carrier here; `known`: there is, or was, one of that id. Raises StoreAway."""
        async with self._turn(call_id):
            if self._is_here(call_id) or self._keeper.has_settled(call_id):
                return "known"
            if not self._board.manager.has_room():
                return "full"
            claim = await self._claim_new(call_id)
            if not claim.granted:
                return "full" if claim.refused == "full" else "known"
            session = None if claim.kept else self._board.create(call_id, bot=bot, metadata=metadata)
            if session is None:
                await self._let_go(call_id, claim)
                return "known" if claim.kept else "full"
            self._keeper.hold(session, claim)
            return session

    async def take_over(self, call_id: str) -> Session | None:
        """Go on here with a call whose node is dead, as one that waits for its carrier; None: somebody has it."""
        async with self._turn(call_id):
            if self._is_here(call_id) or call_id in self._newer or self._keeper.has_settled(call_id):
                return None
            await self._keeper.ready()
            return await self._reopen(call_id, await self._keeper.claim(call_id), CallLost(can_return=True))

    # -- what is not on this node ----------------------------------------------------------------

    async def recover(self, call_id: str) -> bool:
        """See to a call that nobody has: without a carrier it ends, as its chart has it; one that needs none goes on.

        Returns:
            False: somebody has it, or it cannot be read.
        """
        async with self._turn(call_id):
            if self._is_here(call_id) or self._keeper.has_settled(call_id):
                return False
            return await self._recover(call_id)

    async def answer_post(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
        """Another node passes on what a carrier told it (`{"op": "post", "call_id", "event", "data"}`).

        Raises:
            CallchartError: there is no such event.
        """
        trigger = trigger_from(str(question["event"]), question["data"], self._registry)
        return {"taken": self._board.post(str(question["call_id"]), trigger)}

    async def aclose(self) -> None:
        """Return once nobody is being told anything any more."""
        if self._telling:
            await asyncio.wait(self._telling)

    # -- inside: admitting -----------------------------------------------------------------------

    async def _claim_new(self, call_id: str) -> Claim:
        """Claim a call that nobody knows: a repeated webhook must not fence an owner whose lease has lapsed."""
        kept = await self._keeper.ask(self._store.get(call_id))
        if kept is not None:
            return Claim("ended" if kept.head.over else "owned", kept.fence, kept.owner, kept)
        return await self._keeper.claim(call_id)

    async def _unwelcome(self, call_id: str, claim: Claim) -> Announced | None:
        """Return what is answered if the call is not to begin here."""
        if claim.granted and claim.kept is None:
            return None
        await self._let_go(call_id, claim)
        if claim.refused == "full":
            log.info("call_refused", extra={"call_id": call_id, "why": "full"})
            return "busy"
        over = claim.refused == "ended" or (claim.kept is not None and claim.kept.head.over)
        return "over" if over else "welcome"  # its socket will show that it may go on

    def _first(self, leg: Leg, started: CallStarted, call_id: str, claim: Claim | None) -> LegEvents | str:
        room = claim is None or claim.granted
        events = self._board.connect(leg, started, call_id=call_id, proof=False, room=room)
        session = self._board.manager.get(call_id)
        if session is not None:
            self._keeper.hold(session, claim if room else None)
        return "closed" if events is None else events

    async def _let_go(self, call_id: str, claim: Claim | None) -> None:
        if claim is not None and claim.granted:
            await self._keeper.release(call_id, claim.fence)

    # -- inside: resuming ------------------------------------------------------------------------

    async def _bring(
        self, leg: Leg, started: CallStarted, call_id: str, *, proof: bool, again: bool
    ) -> LegEvents | str:
        """Return who hears a socket whose call is not here, or why it is refused."""
        known = again
        try:
            if again:
                await self._keeper.ready()
            kept = await self._keeper.ask(self._store.get(call_id))
            known = known or kept is not None
            claim = await self._claim_for(kept, leg, call_id, proof=proof, again=again)
        except StoreAway:  # who has it, nobody can tell; a caller who is new must be answered
            return "store_away" if known else self._first(leg, started, call_id, None)
        if isinstance(claim, str):
            return claim
        if claim.granted and claim.kept is not None:
            return await self._go_on(leg, started, claim, claim.kept, proof=proof)
        if claim.granted:
            self._tell(call_id, claim)
        return self._first(leg, started, call_id, claim)

    async def _claim_for(self, kept: Kept | None, leg: Leg, call_id: str, *, proof: bool, again: bool) -> Claim | str:
        """Claim a call for a socket, and return what was granted (or that all is full), or why it is refused."""
        if why := self._why_not(kept, leg, proof=proof, again=again):
            if why == "expired":
                await self._recover(call_id)
            return why
        if kept is not None:
            await self._keeper.ready()
        claim = await self._keeper.claim(call_id, force=proof)
        return claim.refused if claim.refused in ("owned", "ended") else claim

    def _why_not(self, kept: Kept | None, leg: Leg, *, proof: bool, again: bool) -> str:
        if kept is None:
            return "unknown" if again else ""
        if kept.call_id in self._newer:
            return "unreadable"
        if why := self._kept.why_not(kept, carrier=leg.carrier):
            return why
        return "" if proof or kept.head.status == "initiated" else "no_proof"

    async def _go_on(self, leg: Leg, started: CallStarted, claim: Claim, kept: Kept, *, proof: bool) -> LegEvents | str:
        """Serve a call here that was granted to us and whose carrier is back."""
        try:
            stored = await self._read(claim, kept)
        except StoreAway:
            return "store_away"
        if stored is None:
            return "unreadable"
        self._tell(kept.call_id, claim)
        self._on_reopen(kept)
        session, events = self._board.resume(stored, leg, started, proof=proof, spent=self._kept.spent(kept))
        self._keeper.hold(session, claim)
        log.info("call_taken_over", extra={"call_id": kept.call_id, "fence": claim.fence, "state": stored.state})
        return events

    # -- inside: what concerns calls of other nodes ----------------------------------------------

    async def _look(self, call_id: str) -> Kept | None:
        try:
            return await self._keeper.ask(self._store.get(call_id))
        except StoreAway:
            return None  # who cannot ask takes nothing over

    async def _post_elsewhere(self, call_id: str, trigger: Trigger) -> bool:
        kept = await self._keeper.ask(self._store.get(call_id))
        if kept is None or kept.head.over:
            return False
        if kept.lease_left > -self._keeper.lease and kept.owner != self._bus.node:  # it may only have lapsed
            question = {"op": "post", "call_id": call_id, "event": trigger.name, "data": trigger_data(trigger)}
            try:
                return bool((await self._bus.ask(kept.owner, question))["taken"])
            except NodeAway:
                log.warning("owner_away", extra={"call_id": call_id, "owner": kept.owner})
            except CallchartError as error:
                log.warning("owner_refused", extra={"call_id": call_id, "owner": kept.owner, "why": str(error)})
                return False
        await self._keeper.ready()
        claim = await self._keeper.claim(call_id, force=True)
        session = await self._reopen(call_id, claim, CallLost(can_return=True, reason=_reason(trigger)))
        if session is not None:
            session.post(trigger)
        return session is not None

    async def _recover(self, call_id: str) -> bool:
        if call_id in self._newer:
            return False
        await self._keeper.ready()
        claim = await self._keeper.claim(call_id)
        lost = CallLost(can_return=False, reason="orphaned")
        if claim.kept is not None and claim.kept.head.carrier == BY_API:
            lost = CallLost(can_return=True)
        return await self._reopen(call_id, claim, lost) is not None

    async def _reopen(self, call_id: str, claim: Claim, lost: CallLost) -> Session | None:
        """Go on with a call without its carrier, if it was granted and can be read."""
        if not claim.granted:
            return None
        if claim.kept is None:
            await self._let_go(call_id, claim)
            return None
        stored = await self._read(claim, claim.kept)
        if stored is None:
            return None
        self._tell(call_id, claim)
        self._on_reopen(claim.kept)
        session = self._board.reopen(stored, lost, spent=self._kept.spent(claim.kept))
        self._keeper.hold(session, claim)
        log.info("call_reopened", extra={"call_id": call_id, "fence": claim.fence, "state": stored.state})
        return session

    async def _read(self, claim: Claim, kept: Kept) -> StoredCall | None:
        """Read a call that was granted. One that nobody can read is closed in the store, and a newer one left alone."""
        try:
            return await self._kept.read(kept)
        except StoreAway:
            raise
        except NewerSchema as error:
            self._newer.add(kept.call_id)
            log.error("call_unreadable", extra={"call_id": kept.call_id, "why": str(error)})  # noqa: TRY400  # it says all
            await self._let_go(kept.call_id, claim)
        except CallchartError as error:
            log.error("call_unreadable", extra={"call_id": kept.call_id, "why": str(error)})  # noqa: TRY400  # as above
            commit = self._kept.written_off(kept, node=self._keeper.node, fence=claim.fence)
            await self._keeper.ask(self._store.commit([commit]))
        return None

    def _tell(self, call_id: str, claim: Claim) -> None:
        """Have the node that had the call know that it is ours; without the bus it learns from the store."""
        if claim.owner in ("", self._bus.node):
            return
        question = {"op": "fenced", "call_id": call_id, "fence": claim.fence}
        task = asyncio.create_task(self._told(claim.owner, question), name=f"fenced {call_id}")
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _told(self, owner: str, question: Mapping[str, Any]) -> None:
        try:
            await self._bus.ask(owner, question)
        except CallchartError as error:
            log.info("owner_not_told", extra={"call_id": question["call_id"], "owner": owner, "why": str(error)})


def _reason(trigger: Trigger) -> str:
    """Return why a call ends that is lost to us and whose carrier tells `trigger`; the first reason stays."""
    if isinstance(trigger, CallTransferred):
        return "transferred"
    return trigger.reason if isinstance(trigger, CallEnded) else "carrier_lost"
