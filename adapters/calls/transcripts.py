"""What is being said in the calls of this node, at hand while they live; of others, what the store's log tells."""

from __future__ import annotations

import orjson

from adapters.calls.lines import Transcript
from adapters.stores.contract import Kept, SessionStore
from adapters.stores.paging import log_pages
from fsm.clock import Clock
from fsm.observe import Observer
from fsm.session import Session
from fsm.step import Step

__all__ = ["Transcripts", "read_transcript"]


class Transcripts(Observer):
    """The complete transcript of each call of this node that has not settled.

    Of a call that began elsewhere and was resumed here, the beginning is read from the store when it is asked for.
    """

    def __init__(self, *, clock: Clock, store: SessionStore) -> None:
        self._clock = clock
        self._store = store
        self._live: dict[str, Transcript] = {}
        self._missing: dict[str, int] = {}
        """Calls whose beginning is in the store, and the last entry of their logs that belongs to it."""

    def __len__(self) -> int:
        return len(self._live)

    def get(self, call_id: str) -> Transcript | None:
        """Return what is here of a call; None if it is not of this node, or has settled."""
        return self._live.get(call_id)

    async def whole(self, call_id: str) -> Transcript | None:
        """Return the complete transcript of a call; None if it is not of this node, or has settled.

        Raises:
            StoreAway: its beginning could not be read.
        """
        last = self._missing.get(call_id)
        if last is not None:
            beginning = await read_transcript(self._store, call_id, last=last)
            rest = self._live.get(call_id)
            if rest is not None and self._missing.pop(call_id, None) is not None:
                beginning.absorb(rest)
                self._live[call_id] = beginning
        return self._live.get(call_id)

    def restore(self, kept: Kept) -> None:
        """Know that a call is about to be resumed here: what was said before is in the store."""
        self._live[kept.call_id] = Transcript(kept.head.created_at)
        self._missing[kept.call_id] = kept.version

    # -- Observer --------------------------------------------------------------------------------

    def on_commit(self, session: Session, step: Step) -> None:
        call_id = session.call_id
        transcript = self._live.get(call_id)
        if transcript is None:
            transcript = self._live[call_id] = Transcript(session.context.created_at)
        transcript.take_step(step, self._clock.wall())

    def on_settled(self, session: Session) -> None:
        self._live.pop(session.call_id, None)
        self._missing.pop(session.call_id, None)


async def read_transcript(
    store: SessionStore, call_id: str, *, last: int | None = None, began: float = 0.0
) -> Transcript:
    """Return what a call's log tells was said.

    Args:
        last: version of the last entry that is read.
        began: when the call was created, seconds since the epoch; 0: with the first record.

    Raises:
        StoreAway: the log could not be read.
    """
    transcript = Transcript(began)
    async for page in log_pages(store, call_id, last=last):
        for entry in page:
            transcript.take(orjson.loads(entry.record))
    return transcript
