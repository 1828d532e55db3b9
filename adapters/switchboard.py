"""Where carriers bring calls: one line and one session per call id, and who may take over which.

The chart decides what a call does; this decides only which call a socket belongs to, and whether it has the right to.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from adapters.carriers.contract import Leg, LegEvents
from adapters.media.clips import Clips
from adapters.media.line import Line, Recorder
from adapters.sts.contract import StsClient, StsEvents
from fsm.clock import Clock, TimerHandle
from fsm.compile import Machine
from fsm.context import BotSettings, CallContext
from fsm.manager import SessionManager, Slot
from fsm.observe import Journal, Observer
from fsm.options import Options
from fsm.ports import AgentPort, CallPorts, FrontPort, IntentPort, TranscriptPort
from fsm.session import Session
from fsm.step import Step
from fsm.triggers import CallEnded, CallLost, CallOverLimit, CallResumed, CallStarted, Trigger, Usage

__all__ = ["Outside", "Switchboard"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What calls use besides their line; shared by all of them."""

    make_client: Callable[[StsEvents], StsClient]
    clips: Clips
    intents: IntentPort
    agents: AgentPort
    transcripts: TranscriptPort
    fronts: FrontPort
    make_recorder: Callable[[str], Recorder | None] = lambda call_id: None
    cost: Callable[[Usage], float] = lambda usage: 0.0
    """What the model's tokens cost, in US dollars."""


@dataclass(slots=True)
class _Entry:
    """One call's line, and what brought it."""

    line: Line
    connected: bool = False
    limit: TimerHandle | None = None
    too_dear: bool = False


@dataclass(slots=True, kw_only=True)
class _Ports(CallPorts):
    line: Line

    async def aclose(self) -> None:
        await self.line.aclose()


class Switchboard(Observer):
    """A `CallDesk` (adapters/carriers/contract.py) over a `SessionManager`.

    Args:
        choose: the machine and the bot of a called number.
        on_over: told the id of every call that has settled.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        choose: Callable[[str], tuple[Machine, BotSettings]],
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

    # -- CallDesk --------------------------------------------------------------------------------

    def announce(self, call_id: str, *, carrier: str, caller: str, called: str) -> bool:
        if self.manager.get(call_id) is not None:
            return True
        if not self.manager.has_room():
            log.info("call_refused", extra={"call_id": call_id, "carrier": carrier})
            return False
        self._open(call_id, carrier, caller, called, admitted=True)
        return True

    def connect(self, leg: Leg, started: CallStarted, *, call_id: str, proof: bool) -> LegEvents | None:
        session = self.manager.get(call_id)
        if session is None:
            return self._first(leg, started, call_id)
        entry = self._entries[call_id]
        if session.closed or (entry.connected and not proof):
            log.warning("socket_refused", extra={"call_id": call_id, "carrier": leg.carrier})
            return None
        events = entry.line.offer(leg, can_return=leg.can_return)
        if entry.connected:
            media_format = started.media_format
            session.post(
                CallResumed(carrier=leg.carrier, stream_id=leg.stream_id, media_format=media_format, proof=True)
            )
        else:
            entry.connected = True
            session.post(started)
        return events

    def post(self, call_id: str, trigger: Trigger) -> bool:
        session = self.manager.get(call_id)
        if session is None or session.closed:
            return False
        if isinstance(trigger, CallEnded | CallLost) and not trigger.replies:
            trigger = replace(trigger, replies=self._entries[call_id].line.reply_snapshot())
        session.post(trigger)
        return True

    def is_live(self, call_id: str) -> bool:
        session = self.manager.get(call_id)
        return session is not None and not session.closed

    # -- Observer --------------------------------------------------------------------------------

    def on_commit(self, session: Session, step: Step) -> None:
        entry = self._entries.get(session.call_id)
        if entry is None:
            return
        entry.line.remember(session.context)
        longest = session.context.bot.longest_call
        if longest and entry.limit is None and session.context.answered and not session.closed:
            entry.limit = self._clock.call_at(
                self._clock.now() + longest, lambda: session.post(CallOverLimit(limit="time"))
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

    def _first(self, leg: Leg, started: CallStarted, call_id: str) -> LegEvents:
        """A socket whose call no webhook announced: it is admitted, or told that no slot is free."""
        room = self.manager.has_room()
        session = self._open(call_id, started.carrier, started.caller, started.called, admitted=room)
        entry = self._entries[call_id]
        entry.connected = True
        events = entry.line.offer(leg, can_return=leg.can_return)
        session.post(started if room else replace(started, at_capacity=True))
        return events

    def _open(self, call_id: str, carrier: str, caller: str, called: str, *, admitted: bool) -> Session:
        machine, bot = self._choose(called)
        context = CallContext(
            call_id=call_id,
            carrier=carrier,
            caller=caller,
            called=called,
            bot=bot,
            language=bot.language,
            created_at=self._clock.wall(),
        )
        return self.manager.open(
            machine,
            context,
            lambda session, slot: self._ports(session, slot, bot),
            admitted=admitted,
        )

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
