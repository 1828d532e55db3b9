"""The calls of this node: one line and one session per call id, and who may take over which.

The chart decides what a call does; this decides only which call a socket belongs to, and whether it has the right to.
Calls that are kept, or that another node has, are not its business: see `ownership/desk.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from adapters.carriers.contract import Leg, LegEvents
from adapters.media.clips import Clips
from adapters.media.line import Line, Recorder
from adapters.sts.contract import StsClient, StsEvents
from fsm.clock import Clock, TimerHandle
from fsm.compile import Machine
from fsm.context import BY_API, EMPTY, BotSettings, CallContext
from fsm.manager import SessionManager, Slot
from fsm.observe import Journal, Observer
from fsm.options import Options
from fsm.ports import AgentPort, CallPorts, FrontPort, IntentPort, TranscriptPort
from fsm.session import Session
from fsm.step import Step
from fsm.stored import StoredCall
from fsm.triggers import CallEnded, CallLost, CallOverLimit, CallResumed, CallStarted, SessionConfigured, Trigger, Usage

__all__ = ["Choose", "ClaimJob", "Outside", "Switchboard"]

log = logging.getLogger(__name__)


class Choose(Protocol):
    """Gives the machine and the settings of the bot of this name, or else of the one that serves the number."""

    def __call__(self, called: str, bot: str = "") -> tuple[Machine, BotSettings]: ...


class ClaimJob(Protocol):
    """Gives the configuration that a browser front has left for a call, once; see `live/fronts.py`."""

    def __call__(
        self, call_id: str, *, called: str = "", parameters: Mapping[str, str] | None = None
    ) -> SessionConfigured | None: ...


def _no_job(call_id: str, *, called: str = "", parameters: Mapping[str, str] | None = None) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What calls use besides their line; shared by all of them."""

    make_client: Callable[[StsEvents], StsClient]
    clips: Clips
    intents: IntentPort
    agents: AgentPort
    transcripts: TranscriptPort
    fronts: FrontPort
    claim_job: ClaimJob = _no_job
    make_recorder: Callable[[str], Recorder | None] = lambda call_id: None
    cost: Callable[[Usage], float] = lambda usage: 0.0
    """What the model's tokens cost, in US dollars."""


@dataclass(slots=True)
class _Entry:
    """One call's line, and what brought it."""

    line: Line
    connected: bool = False
    spent: float = 0.0
    """Seconds that the call had lasted when it came here."""
    limit: TimerHandle | None = None
    too_dear: bool = False


@dataclass(slots=True, kw_only=True)
class _Ports(CallPorts):
    line: Line

    def audio(self) -> Mapping[str, Any]:
        return {"received_seconds": self.line.received_ms / 1000, "dropped_frames": self.line.dropped_frames}

    async def aclose(self) -> None:
        await self.line.aclose()


class Switchboard(Observer):
    """Admits calls and brings them their sockets, over a `SessionManager`.

    Args:
        choose: the machine and the bot of a called number.
        on_over: told the id of every call that has settled.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        choose: Choose,
        outside: Outside,
        observers: tuple[Observer, ...] = (),
        journal: Journal | None = None,
        max_calls: int = 1000,
        on_over: Callable[[str], None] = lambda call_id: None,
    ) -> None:
        options = Options(observers=(self, *observers), journal=journal)
        self.manager = SessionManager(clock=clock, options=options, max_calls=max_calls)
        self.on_over = on_over
        self._clock = clock
        self._choose = choose
        self._outside = outside
        self._entries: dict[str, _Entry] = {}

    # -- what a carrier brings -------------------------------------------------------------------

    def announce(self, call_id: str, *, carrier: str, caller: str, called: str) -> Session | None:
        """Reserve a slot for a call that is coming, and return it; None: there is none, or the process drains."""
        session = self.manager.get(call_id)
        if session is not None:
            return session
        if not self.manager.has_room():
            log.info("call_refused", extra={"call_id": call_id, "carrier": carrier})
            return None
        return self._open(call_id, carrier, caller, called, admitted=True)

    def create(self, call_id: str, *, bot: str, metadata: Mapping[str, Any]) -> Session | None:
        """Begin a call without a carrier, whose words come by API; None: no slot is free, or the process drains.

        Args:
            bot: its name; see `Choose`. Its chart is one that listens.
        """
        if not self.manager.has_room():
            return None
        session = self._open(call_id, BY_API, "", "", admitted=True, bot=bot, metadata=metadata)
        session.post(CallStarted(carrier=BY_API))
        return session

    def connect(
        self, leg: Leg, started: CallStarted, *, call_id: str, proof: bool, room: bool = True
    ) -> LegEvents | None:
        """Bring a call its media socket; see `CallDesk.connect`.

        Args:
            room: whether a call that is new may be admitted as far as all nodes are concerned.
        """
        session = self.manager.get(call_id)
        if session is None:
            return self._first(leg, started, call_id, room=room and self.manager.has_room())
        entry = self._entries[call_id]
        if session.closed or (entry.connected and not proof):
            log.warning("socket_refused", extra={"call_id": call_id, "carrier": leg.carrier})
            return None
        events = entry.line.offer(leg, can_return=leg.can_return)
        if entry.connected:
            session.post(_again(leg, started, proof=True))
        else:
            self._configure(session, started.parameters, called="" if session.context.called else started.called)
            session.post(started)
        entry.connected = True
        return events

    def reopen(self, kept: StoredCall, lost: CallLost, *, spent: float = 0.0) -> Session:
        """Go on with a call that was kept, first of all with the loss of its carrier. It takes no slot.

        Args:
            spent: seconds that it has lasted, without those in which no server ran.

        Raises:
            CallchartError: its chart has no such state any more.
        """
        return self._reopen(kept, lost, spent, admitted=False)

    def resume(
        self, kept: StoredCall, leg: Leg, started: CallStarted, *, proof: bool, spent: float = 0.0
    ) -> tuple[Session, LegEvents]:
        """Go on with a call that was kept and whose carrier is back with `leg`; never refused for want of a slot.

        Raises:
            CallchartError: its chart has no such state any more.
        """
        session = self._reopen(kept, CallLost(can_return=True), spent, admitted=True)  # it has returned already
        entry = self._entries[session.call_id]
        entry.connected = True
        events = entry.line.offer(leg, can_return=leg.can_return)
        if kept.context.answered:
            session.post(_again(leg, started, proof=proof))
        else:
            self._configure(session, started.parameters, called="" if session.context.called else started.called)
            session.post(started)
        return session, events

    def post(self, call_id: str, trigger: Trigger) -> bool:
        """Tell a call what happened; False if it is not here, or closed."""
        session = self.manager.get(call_id)
        if session is None or session.closed:
            return False
        if isinstance(trigger, CallEnded | CallLost) and not trigger.replies:
            trigger = replace(trigger, replies=self._entries[call_id].line.reply_snapshot())
        session.post(trigger)
        return True

    # -- Observer --------------------------------------------------------------------------------

    def on_commit(self, session: Session, step: Step) -> None:
        entry = self._entries.get(session.call_id)
        if entry is None:
            return
        entry.line.remember(session.context)
        longest = session.context.bot.longest_call
        if longest and entry.limit is None and session.context.answered and not session.closed:
            entry.limit = self._clock.call_at(
                self._clock.now() + max(0.0, longest - entry.spent),
                lambda: session.post(CallOverLimit(limit="time")),
            )
        largest = session.context.bot.largest_cost
        if largest and not entry.too_dear and step.after.context.usage is not step.before.context.usage:
            entry.too_dear = self._outside.cost(session.context.usage) >= largest
            if entry.too_dear:
                session.post(CallOverLimit(limit="cost"))

    def on_settled(self, session: Session) -> None:
        entry = self._entries.pop(session.call_id, None)
        if entry is not None and entry.limit is not None:
            entry.limit.cancel()
        self.on_over(session.call_id)

    # -- making calls ----------------------------------------------------------------------------

    def _first(self, leg: Leg, started: CallStarted, call_id: str, *, room: bool) -> LegEvents:
        """A socket whose call no webhook announced: it is admitted, or told that no slot is free."""
        session = self._open(call_id, started.carrier, started.caller, started.called, admitted=room)
        entry = self._entries[call_id]
        entry.connected = True
        events = entry.line.offer(leg, can_return=leg.can_return)
        self._configure(session, started.parameters)
        session.post(started if room else replace(started, at_capacity=True))
        return events

    def _reopen(self, kept: StoredCall, lost: CallLost, spent: float, *, admitted: bool) -> Session:
        context = kept.context
        machine, bot = self._choose(context.called, context.bot.name)
        session = self.manager.open(
            machine,
            context,
            lambda session, slot: self._ports(session, slot, bot),
            admitted=admitted,
            kept=(kept, lost),
        )
        entry = self._entries[context.call_id]
        entry.spent, entry.connected = spent, context.answered
        return session

    def _open(
        self,
        call_id: str,
        carrier: str,
        caller: str,
        called: str,
        *,
        admitted: bool,
        bot: str = "",
        metadata: Mapping[str, Any] = EMPTY,
    ) -> Session:
        machine, settings = self._choose(called, bot)
        context = CallContext(
            call_id=call_id,
            carrier=carrier,
            caller=caller,
            called=called,
            bot=settings,
            language=settings.language,
            metadata=metadata,
            created_at=self._clock.wall(),
        )
        session = self.manager.open(
            machine,
            context,
            lambda session, slot: self._ports(session, slot, settings),
            admitted=admitted,
        )
        self._configure(session, EMPTY, called=called)  # what waits for its number later is for the next call to it
        return session

    def _configure(self, session: Session, parameters: Mapping[str, str], *, called: str = "") -> None:
        """Tell a call what a front wants of it, before it starts: then the model's session begins with it."""
        call = session.context
        job = self._outside.claim_job(call.call_id, called=called, parameters=parameters)
        if job is not None:
            session.post(job)

    def _ports(self, session: Session, slot: Slot, bot: BotSettings) -> CallPorts:
        call_id = session.call_id
        line = Line(
            call_id=call_id,
            post=session.post,
            clock=self._clock,
            make_client=self._outside.make_client,
            clips=self._outside.clips,
            idle_after=bot.idle_after,
            recorder=self._outside.make_recorder(call_id),
        )
        self._entries[call_id] = _Entry(line)
        return _Ports(
            line=line,
            carrier=line.carrier,
            sts=line.sts,
            media=line.media,
            intents=self._outside.intents,
            agents=self._outside.agents,
            transcripts=self._outside.transcripts,
            fronts=self._outside.fronts,
            slot=slot,
        )


def _again(leg: Leg, started: CallStarted, *, proof: bool) -> CallResumed:
    return CallResumed(carrier=leg.carrier, stream_id=leg.stream_id, media_format=started.media_format, proof=proof)
