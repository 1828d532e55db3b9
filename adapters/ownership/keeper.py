"""Which calls this node owns: a lease and a fence for each, renewed together; what another node has is given up.

The store's clock decides. An owner that cannot reach the store keeps serving what it holds, and takes nothing over.
Source: Gray and Cheriton, "Leases" (SOSP 1989); Kleppmann, "How to do distributed locking" (fencing tokens).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from adapters.rounds import Rounds
from adapters.stores.contract import CallRefused, Claim, SessionStore, StoreAway
from fsm.observe import Observer
from fsm.session import Session

__all__ = ["Keeper", "Writer"]

log = logging.getLogger(__name__)
T = TypeVar("T")
_ANSWER_S = 1.0  # how long a caller is kept waiting for the store
_RENEWALS = 3  # in the time of one lease
_FIRST = 1  # the fence of a call that nobody has had


class Writer(Protocol):
    """Who commits the calls of this node; see `stores/write_behind.py`."""

    def adopt(self, call_id: str, *, fence: int, version: int) -> None:
        """Commit this call with `fence`, from the entry after `version`."""
        ...

    async def replayed(self) -> None:
        """Return once the store has what a former process here could not write: till then it knows old things."""
        ...


@dataclass(slots=True)
class _Held:
    """A call of this node."""

    session: Session
    fence: int


class Keeper(Observer):
    """Holds the fences of the calls of this node.

    Args:
        lease: seconds that a claim lasts without renewal.
        max_active: how many calls may be live on all nodes together.

    Attributes:
        store_away: the store did not answer when it was asked last.
        given_up: how many calls were given up because another node has them.
    """

    def __init__(self, store: SessionStore, *, node: str, lease: float, max_active: int) -> None:
        self.node = node
        self.lease = lease
        self.store_away = False
        self.given_up = 0
        self._store = store
        self._writer: Writer | None = None
        self._max_active = max_active
        self._held: dict[str, _Held] = {}
        self._settling: dict[str, int] = {}
        """Fences of calls that have settled here; kept until the store knows, or it would seem orphaned."""
        self._rounds = Rounds("leases", self.renew, every=lease / _RENEWALS)

    @property
    def writer(self) -> Writer:
        """Who commits the calls of this node; set before there is one."""
        assert self._writer is not None
        return self._writer

    @writer.setter
    def writer(self, writer: Writer) -> None:
        self._writer = writer

    # -- asking the store ------------------------------------------------------------------------

    async def ask(self, answer: Awaitable[T], *, within: float = _ANSWER_S) -> T:
        """Return what the store answers. Raises StoreAway, also if it does not answer in time."""
        try:
            async with asyncio.timeout(within):
                told = await answer
        except TimeoutError:
            self._note_away(f"no answer in {within:g} s")
            raise StoreAway(f"the store did not answer in {within:g} s") from None
        except CallRefused:
            raise  # it is there, and serves other calls
        except StoreAway as away:
            self._note_away(str(away))
            raise
        if self.store_away:
            self.store_away = False
            log.warning("store_back")
        return told

    async def claim(self, call_id: str, *, force: bool = False) -> Claim:
        """Become the owner of a call; see `SessionStore.claim`. What is granted is held, or released."""
        claim = self._store.claim(call_id, self.node, lease=self.lease, force=force, max_active=self._max_active)
        return await self.ask(claim)

    async def release(self, call_id: str, fence: int) -> None:
        """Give back what was granted and is not used; the lease runs out if the store is away."""
        with suppress(StoreAway):
            await self.ask(self._store.release(self.node, call_id, fence))

    async def ready(self) -> None:
        """Return if kept calls may be gone on with; asks nothing of the store itself. Raises StoreAway."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                await self.writer.replayed()
        except TimeoutError:
            raise StoreAway("the store does not have yet what a former process here has left in its spool") from None

    # -- what is held ----------------------------------------------------------------------------

    def hold(self, session: Session, claim: Claim | None) -> None:
        """Own the call of `session`, which has not committed anything yet.

        Args:
            claim: what was granted; None: the store was away. Then it is the store's when it is back, unless another
                node has claimed it meanwhile.
        """
        call_id = session.call_id
        fence = _FIRST if claim is None else claim.fence
        self._settling.pop(call_id, None)
        self._held[call_id] = _Held(session, fence)
        self.writer.adopt(call_id, fence=fence, version=claim.kept.version if claim and claim.kept else 0)

    def has_settled(self, call_id: str) -> bool:
        """Whether a call is over here and the store, which may not know yet, must not be believed about it."""
        return call_id in self._settling

    def fence(self, call_id: str) -> int | None:
        """Return the fence of a call of this node; None: it is not ours."""
        held = self._held.get(call_id)
        return None if held is None else held.fence

    def give_up(self, call_id: str, *, fence: int | None = None) -> bool:
        """Another node has the call: end what is held of it here. False if it is not ours.

        Args:
            fence: of the other node; nothing happens if ours is not below.
        """
        held = self._held.get(call_id)
        if held is None or (fence is not None and fence <= held.fence):
            return False
        del self._held[call_id]
        self.given_up += 1
        log.warning("call_fenced", extra={"call_id": call_id, "fence": held.fence})
        held.session.give_up()
        return True

    async def forget(self, call_id: str) -> None:
        """A call was erased: nothing of it is renewed, or its lease would come to exist again."""
        self._settling.pop(call_id, None)

    def fenced(self, call_id: str) -> None:
        """The store has refused a commit: somebody has a higher fence."""
        self._settling.pop(call_id, None)
        self.give_up(call_id)

    async def answer_fenced(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
        """Another node tells that it has taken a call over (`{"op": "fenced", "call_id", "fence"}`)."""
        return {"given_up": self.give_up(str(question["call_id"]), fence=int(question["fence"]))}

    def on_settled(self, session: Session) -> None:
        held = self._held.get(session.call_id)
        if held is not None and held.session is session:
            del self._held[session.call_id]
            if not session.given_up:
                self._settling[session.call_id] = held.fence

    # -- its rounds ------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to renew."""
        self._rounds.start()

    async def aclose(self) -> None:
        """Stop; leases that are left run out."""
        await self._rounds.aclose()

    async def renew(self) -> None:
        """Renew every lease, and give up what another node has."""
        fences = {**self._settling, **{call_id: held.fence for call_id, held in self._held.items()}}
        with suppress(StoreAway):
            if fences:
                renewal = self._store.renew(self.node, list(fences.items()), lease=self.lease)
                for call_id in await self.ask(renewal, within=self.lease):
                    self._settling.pop(call_id, None)
                    if self.fence(call_id) == fences[call_id]:
                        self.give_up(call_id)
        with suppress(StoreAway, TimeoutError):
            async with asyncio.timeout(self.lease / _RENEWALS):  # what is left over can wait, and leases cannot
                await self._forget_settled()

    async def _forget_settled(self) -> None:
        """Forget calls of which the store knows that they have settled."""
        for call_id in list(self._settling):
            fence = self._settling.pop(call_id, None)
            if fence is None:
                continue
            self._settling[call_id] = fence  # behind the others, if time runs out
            with suppress(CallRefused):
                kept = await self.ask(self._store.get(call_id))
                if kept is None or kept.head.settled:
                    self._settling.pop(call_id, None)

    def _note_away(self, why: str) -> None:
        if not self.store_away:
            self.store_away = True
            log.warning("store_away", extra={"why": why})
