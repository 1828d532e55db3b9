"""From the end of a call to the work after it: what an outbox says is handed to the runner at least once.

A call that ends here is handed over as soon as its end is durable. What a crashed node has left is found in the store:
at the start, and from time to time. Two nodes may find the same call; the stages do nothing twice.
"""

from __future__ import annotations

import asyncio
import logging

from adapters.pipeline.contract import Runner
from adapters.rounds import Rounds
from adapters.stores.contract import SessionStore, StoreAway
from adapters.stores.queues import CallGone
from fsm.context import CallContext
from fsm.observe import Journal, Observer
from fsm.session import Session

__all__ = ["Relay"]

log = logging.getLogger(__name__)
_AT_ONCE = 100  # calls that a scan hands over before it waits
_CLOSING = 5.0
_WAITS = (1.0, 5.0)  # seconds until what failed is tried again; then it waits for the next look into the store


class Relay(Observer):
    """A `TranscriptPort`, too: a call whose chart keeps its transcript gets its work done without an outbox entry.

    Args:
        journal: tells when a call's end is durable.
        interval: seconds between two looks into the store. What another node has only just left is not taken before
            the second one: that node is probably at work.
    """

    def __init__(self, store: SessionStore, runner: Runner, journal: Journal, *, interval: float = 30.0) -> None:
        self._store = store
        self._runner = runner
        self._journal = journal
        self._wanted: set[str] = set()
        self._seen: set[str] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._rounds = Rounds("post-call relay", self._look, every=interval, at_once=True)
        self._looked = False

    # -- TranscriptPort and Observer -------------------------------------------------------------

    def save(self, call: CallContext) -> None:
        if call.history or call.segments:
            self._wanted.add(call.call_id)

    def on_settled(self, session: Session) -> None:
        wanted = session.call_id in self._wanted
        self._wanted.discard(session.call_id)
        if not session.given_up and (wanted or session.context.outbox):
            self._begin(session.call_id, session.snapshot.seq)

    # -- what bootstrap uses ---------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to look for what was left; returns at once."""
        self._rounds.start()

    async def aclose(self) -> None:
        """Stop looking, let what runs end within seconds, and close the runner; may be called twice."""
        await self._rounds.aclose()
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=_CLOSING)
        await self._runner.aclose()
        late = list(self._tasks.values())
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)

    # -- inside ----------------------------------------------------------------------------------

    async def _look(self) -> None:
        """Hand over what was left; but for the first time only what was there at the last look, too."""
        patient, self._looked = self._looked, True
        try:
            found = await self._store.undelivered()
        except StoreAway as error:
            log.warning("outbox_not_read", extra={"cause": str(error)})
            return
        waiting, self._seen = self._seen, set(found)
        for call_id in found:
            if call_id not in self._tasks and (call_id in waiting or not patient):
                while len(self._tasks) >= _AT_ONCE:
                    await asyncio.wait(list(self._tasks.values()), return_when=asyncio.FIRST_COMPLETED)
                self._begin(call_id, 0)

    def _begin(self, call_id: str, seq: int) -> None:
        if call_id not in self._tasks:
            task = asyncio.create_task(self._hand_over(call_id, seq), name=f"hand over {call_id}")
            self._tasks[call_id] = task
            task.add_done_callback(lambda _: self._tasks.pop(call_id, None))

    async def _hand_over(self, call_id: str, seq: int) -> None:
        """Have the work of a call done once its step `seq` is durable; 0: it is."""
        try:
            if seq:
                await self._journal.durable(call_id, seq)
        except CallGone:
            return  # another node has the call, and its end
        for wait in (*_WAITS, 0.0):
            if await self._delivered(call_id):
                return
            await asyncio.sleep(wait)
        self._seen.add(call_id)  # nobody else is at work: the next look takes it

    async def _delivered(self, call_id: str) -> bool:
        try:
            if not await self._runner.kept(await self._runner.run(call_id)):
                return False
            await self._store.hand_over(call_id)
        except StoreAway as error:
            log.warning("outbox_waits", extra={"call_id": call_id, "cause": str(error)})
            return False
        log.info("outbox_delivered", extra={"call_id": call_id})
        return True
