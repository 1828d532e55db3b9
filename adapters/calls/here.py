"""The calls of this node, as operators see and steer them: straight from their sessions, as fresh as can be.

A call that has settled here is still answered for until the store has its last step: one that lags or is away must not
make it unknown, or live.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any, NamedTuple

from adapters.calls.activity import Activity
from adapters.calls.contract import BadEvent, CallOver, Stale, Unreachable
from adapters.calls.lines import Transcript
from adapters.calls.segments import Placed, place
from adapters.calls.shown import document_of, metadata_patch, summary
from adapters.calls.transcripts import Transcripts
from adapters.ownership.turns import Turns
from adapters.pauses import with_pauses
from fsm.document import document, timestamp
from fsm.errors import CallchartError
from fsm.journal import trigger_from
from fsm.manager import SessionManager
from fsm.observe import Journal, Observer
from fsm.registry import Registry
from fsm.session import Session
from fsm.step import Refusal, Step
from fsm.stored import store
from fsm.triggers import CallStarted, SegmentReceived, SessionConfigured, SessionEndRequested, Trigger

__all__ = ["Here", "NotHere"]

log = logging.getLogger(__name__)
_TAKEN_S = 10.0  # how long a busy call may take to come to an event
_SETTLED_S = 60.0  # how long a call may take to say good-bye, and to end
_MOST_ENDED = 1000  # calls that are answered for after they have settled, while the store is away
_INSIDE = ("after.", "done.", "error.")


class NotHere(CallchartError):
    """This node does not have the call."""


class _Ended(NamedTuple):
    """A call that has settled here."""

    document: dict[str, Any]
    transcript: Transcript
    seq: int


class Here(Observer):
    """What this node's calls are asked. Methods that name a call raise `NotHere`.

    Args:
        journal: tells when a step is kept.
        registry: which events there are.
    """

    def __init__(self, *, journal: Journal, activity: Activity, transcripts: Transcripts, registry: Registry) -> None:
        self.activity = activity
        self.manager: SessionManager
        """The sessions; whoever makes it has this as an observer, so it is given afterwards."""
        self._journal = journal
        self._transcripts = transcripts
        self._registry = registry
        activity.on_restore = transcripts.restore
        self._ended: dict[str, _Ended] = {}
        self._keeping: set[asyncio.Task[None]] = set()
        self._waiting: dict[str, list[tuple[Callable[[Trigger], bool], asyncio.Future[bool]]]] = {}
        self._placed: dict[str, Placed] = {}
        self._turns = Turns()

    # -- looking ---------------------------------------------------------------------------------

    def has(self, call_id: str) -> bool:
        """Whether this node answers for the call: it is live here, or has only just ended."""
        return self._find(call_id) is not None or call_id in self._ended

    def is_live(self, call_id: str) -> bool:
        """Whether the call is here and has not closed."""
        session = self._find(call_id)
        return session is not None and not session.closed

    def live(self) -> list[Session]:
        """Return the calls that are not over, oldest first."""
        return [session for session in self.manager if not session.closed]

    async def documents(self) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the document of every call that this node answers for, newest first."""
        began = {call_id: timestamp(ended.document["created_at"]) for call_id, ended in self._ended.items()}
        began |= {session.call_id: session.context.created_at for session in self.manager}
        newest_first = sorted(began, key=lambda call_id: (began[call_id], call_id), reverse=True)
        async for call_id in with_pauses(newest_first):
            if self.has(call_id):
                yield self.document(call_id)

    def document(self, call_id: str) -> dict[str, Any]:
        """Return the call's document."""
        session = self._find(call_id)
        return self._over(call_id).document if session is None else self._document(session)

    async def transcript(self, call_id: str) -> Transcript:
        """Return what was said.

        Raises:
            StoreAway: the call began elsewhere, and its beginning cannot be read.
        """
        if self._find(call_id) is not None:
            whole = await self._transcripts.whole(call_id)
            return whole or Transcript()
        return self._over(call_id).transcript

    async def lines(self, call_id: str, *, segments: bool) -> list[dict[str, Any]]:
        """Return what was said, or only its segments, as JSON."""
        transcript = await self.transcript(call_id)
        return [asdict(line) for line in (transcript.segments() if segments else transcript.lines())]

    async def summaries(self, *, words: bool, partly: bool = False) -> list[dict[str, Any]]:
        """Return the short form of each call that is not over.

        Args:
            partly: what was said before a call was resumed here may be missing, if it cannot be read.

        Raises:
            StoreAway: it cannot, and is not to be missing.
        """
        found = []
        async for session in with_pauses(self.live()):
            call_id = session.call_id
            transcript = self._transcripts.get(call_id) if partly else await self._transcripts.whole(call_id)
            if self.is_live(call_id):
                facts = self.activity.facts(session)
                shown = document(store(session), facts, closed=False)
                found.append(summary(shown, transcript or Transcript(), words=words))
        return found

    async def kept(self, call_id: str) -> None:
        """Return once everything that this node knows of the call is kept, or never will be: another node has it."""
        session = self._find(call_id)
        ended = self._ended.get(call_id)
        seq = session.snapshot.seq if session is not None else ended.seq if ended is not None else 0
        if seq:
            with suppress(CallchartError):
                await self._journal.durable(call_id, seq)

    # -- steering --------------------------------------------------------------------------------

    async def post(self, call_id: str, event: str, data: Mapping[str, Any]) -> int:
        """See `Calls.post`."""
        session = self._open(call_id)
        if event == "init" or event.startswith(_INSIDE):
            raise BadEvent(f"{event} does not come from outside: the machine itself tells it")
        try:
            trigger = trigger_from(event, data, self._registry)
        except CallchartError as error:
            raise BadEvent(str(error)) from error
        if isinstance(trigger, SegmentReceived):
            return await self.add_segments(call_id, [data])
        return self._tell(session, trigger)

    async def add_segments(self, call_id: str, segments: Sequence[Mapping[str, Any]]) -> int:
        """See `Calls.add_segments`."""
        self._open(call_id)
        transcript = await self._transcripts.whole(call_id) or Transcript()
        session = self._open(call_id)  # it may have ended meanwhile
        placed = self._placed.setdefault(call_id, Placed())
        for segment in place(segments, transcript, placed):
            session.post(segment, keep=True)
        self.activity.touch(call_id)
        return session.snapshot.seq

    def end(self, call_id: str, reason: str = "") -> bool:
        """Ask for the end of a call; False if it has ended already."""
        session = self._find(call_id)
        if session is None or session.closed:
            self._over(call_id, or_closed=session)
            return False
        session.post(SessionEndRequested(reason=reason), keep=True)
        return True

    async def patch(self, call_id: str, metadata: Mapping[str, Any], version: int | None) -> dict[str, Any]:
        """See `Calls.patch`; one after the other for each call."""
        async with self._turns.of(call_id):
            return await self._patch(self._open(call_id), metadata, version)

    async def _patch(self, session: Session, metadata: Mapping[str, Any], version: int | None) -> dict[str, Any]:
        call_id = session.call_id
        call = session.context
        if version is not None and version != call.metadata_version:
            raise Stale(f"the metadata of call {call_id} are of version {call.metadata_version}", call.metadata_version)
        news = metadata_patch(call.metadata, metadata)
        if news:
            self.activity.touch(call_id)
            if not await self.taken(session, SessionConfigured(metadata=news)):
                if session.given_up:
                    raise NotHere(f"call {call_id} went on elsewhere")
                raise CallOver(f"call {call_id} has ended")
        call = session.context
        return {"metadata": dict(call.metadata), "metadata_version": call.metadata_version}

    async def settled(self, call_id: str) -> None:
        """Return once the call has settled and its last step is kept.

        Raises:
            Unreachable: it takes too long.
        """
        session = self._find(call_id)
        try:
            async with asyncio.timeout(_SETTLED_S):
                if session is not None:
                    await session.wait_settled()
                await self.kept(call_id)
        except TimeoutError:
            raise Unreachable(f"call {call_id} does not end in {_SETTLED_S:g} s; try again") from None

    def forget(self, call_id: str) -> None:
        """Answer for a call no more."""
        self._ended.pop(call_id, None)

    async def reset(self, *, wait: bool) -> int:
        """End every call of this node; return how many. With `wait` they have settled."""
        live = with_pauses(self.live())
        ending = [session async for session in live if self.is_live(session.call_id) and self.end(session.call_id)]
        if wait:
            await asyncio.gather(*(self.settled(session.call_id) for session in ending))
        return len(ending)

    async def begun(self, session: Session) -> None:
        """Return once a new call has taken its `call.started`, or has closed."""
        if not (session.context.answered or session.closed):
            await self._expect(session, lambda trigger: isinstance(trigger, CallStarted))

    async def taken(self, session: Session, trigger: Trigger) -> bool:
        """Post a trigger and return once the call has taken it: True; False if it did not.

        Raises:
            Unreachable: it takes too long.
        """
        session.post(trigger, keep=True)
        return not session.closed and await self._expect(session, lambda other: other is trigger)

    async def aclose(self) -> None:
        """Wait for nothing any more."""
        keeping = list(self._keeping)
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)

    # -- Observer --------------------------------------------------------------------------------

    def on_commit(self, session: Session, step: Step) -> None:
        self._transcripts.on_commit(session, step)
        self._ended.pop(session.call_id, None)
        placed = self._placed.get(session.call_id)
        if placed is not None and isinstance(step.trigger, SegmentReceived):
            placed.taken(step.trigger)
        self._answer(session.call_id, step.trigger, taken=True)

    def on_refusal(self, session: Session, refusal: Refusal) -> None:
        self._answer(session.call_id, refusal.trigger, taken=False)

    def on_settled(self, session: Session) -> None:
        call_id = session.call_id
        transcript = self._transcripts.get(call_id)
        self._transcripts.on_settled(session)
        self._placed.pop(call_id, None)
        for _, future in self._waiting.get(call_id, ()):
            if not future.done():
                future.set_result(False)
        if not session.given_up:
            seq = session.snapshot.seq
            self._ended[call_id] = _Ended(self._document(session), transcript or Transcript(), seq)
            if len(self._ended) > _MOST_ENDED:
                del self._ended[next(iter(self._ended))]
            task = asyncio.get_running_loop().create_task(self._until_kept(call_id, seq), name=f"ended {call_id}")
            self._keeping.add(task)
            task.add_done_callback(self._keeping.discard)

    # -- inside ----------------------------------------------------------------------------------

    def _find(self, call_id: str) -> Session | None:
        session = self.manager.get(call_id)
        return None if session is None or session.given_up else session

    def _open(self, call_id: str) -> Session:
        session = self._find(call_id)
        if session is None or session.closed:
            self._over(call_id, or_closed=session)
            raise CallOver(f"call {call_id} has ended")
        return session

    def _over(self, call_id: str, *, or_closed: Session | None = None) -> _Ended:
        ended = self._ended.get(call_id)
        if ended is None and or_closed is not None:
            return _Ended(self._document(or_closed), Transcript(), or_closed.snapshot.seq)
        if ended is None:
            raise NotHere(f"this node does not have call {call_id}")
        return ended

    def _document(self, session: Session) -> dict[str, Any]:
        return document_of(session, self.activity.facts(session))

    def _tell(self, session: Session, trigger: Trigger) -> int:
        dropped = session.dropped
        session.post(trigger)
        if session.dropped != dropped:
            raise Unreachable(f"call {session.call_id} has too much to do; try again")
        self.activity.touch(session.call_id)
        return session.snapshot.seq

    async def _expect(self, session: Session, is_it: Callable[[Trigger], bool]) -> bool:
        """Wait for a trigger that was posted; return whether the call has taken it."""
        taken: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(session.call_id, [])
        waiting.append((is_it, taken))
        try:
            async with asyncio.timeout(_TAKEN_S):
                return await taken
        except TimeoutError:
            raise Unreachable(f"call {session.call_id} is busy; try again") from None
        finally:
            waiting.remove((is_it, taken))
            if not waiting:
                self._waiting.pop(session.call_id, None)

    def _answer(self, call_id: str, trigger: Trigger, *, taken: bool) -> None:
        for is_it, future in self._waiting.get(call_id, ()):
            if is_it(trigger) and not future.done():
                future.set_result(taken)

    async def _until_kept(self, call_id: str, seq: int) -> None:
        with suppress(CallchartError):  # it was erased, or another node has it: we do not answer for it either way
            await self._journal.stored(call_id, seq)
        ended = self._ended.get(call_id)
        if ended is not None and ended.seq == seq:
            del self._ended[call_id]
