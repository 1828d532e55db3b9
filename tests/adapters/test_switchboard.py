"""Which call a socket belongs to, who may take over, and what is left when a call is over."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from adapters.carriers.contract import LegEvents
from adapters.media.clips import Clips
from adapters.sts.contract import StsEvents
from adapters.switchboard import ClaimJob, Outside, Switchboard
from fsm.clock import LoopClock
from fsm.compile import Machine, compile_chart
from fsm.context import BotSettings
from fsm.load import load_chart
from fsm.observe import Observer
from fsm.session import Session
from fsm.step import Step
from fsm.stored import StoredCall, store
from fsm.triggers import (
    CallEnded,
    CallLost,
    CallOverLimit,
    CallResumed,
    CallStarted,
    HeardReply,
    ReplyFailed,
    ReplyStarted,
    Trigger,
    Usage,
    UserTranscript,
)
from handlers import REGISTRY
from tests.adapters.media.fakes import FakeClient, FakeLeg
from tests.fakes import FakeAgents, FakeFronts, FakeIntents, FakeTranscripts, elapse

_MACHINE = compile_chart(load_chart("voice_call", registry=REGISTRY), REGISTRY)


@dataclass
class Exchange(Observer):
    """A switchboard between fakes, and what it did."""

    bot: BotSettings = field(default_factory=lambda: BotSettings(idle_after=0.0))
    max_calls: int = 10
    price: float = 0.0
    claim_job: ClaimJob = lambda call_id, *, called="", parameters=None: None
    clients: list[FakeClient] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    over: list[str] = field(default_factory=list)
    sessions: dict[str, Session] = field(default_factory=dict)

    def __post_init__(self) -> None:
        did: list[tuple[Any, ...]] = []
        self.asked: list[str] = []
        self.board = Switchboard(
            clock=LoopClock(),
            choose=self._choose,
            outside=Outside(
                make_client=self._client,
                clips=Clips(),
                intents=FakeIntents(did),
                agents=FakeAgents(did),
                transcripts=FakeTranscripts(did),
                fronts=FakeFronts(did),
                cost=lambda usage: usage.input_tokens * self.price,
                claim_job=self.claim_job,
            ),
            observers=(self,),
            max_calls=self.max_calls,
            on_over=self.over.append,
        )

    def _choose(self, called: str, bot: str = "") -> tuple[Machine, BotSettings]:
        self.asked.append(called)
        return _MACHINE, self.bot

    def _client(self, events: StsEvents) -> FakeClient:
        self.clients.append(FakeClient(events))
        return self.clients[-1]

    def on_commit(self, session: Session, step: Step) -> None:
        self.steps.append(step)
        self.sessions[session.call_id] = session

    def connect(self, leg: FakeLeg, *, call_id: str = "CA1", proof: bool = False) -> LegEvents | None:
        started = CallStarted(carrier="fake", called="+15550101", stream_id=leg.stream_id)
        leg.events = self.board.connect(leg, started, call_id=call_id, proof=proof)
        return leg.events

    async def talk(self, *, call_id: str = "CA1") -> FakeLeg:
        """A call in which the model is ready."""
        leg = FakeLeg(f"MZ of {call_id}")
        assert self.connect(leg, call_id=call_id) is not None
        await elapse(0.1)
        self.clients[-1].usable = True
        self.clients[-1].events.on_ready("sess_1")
        await elapse(0.1)
        return leg

    def of(self, kind: type[Trigger]) -> list[Any]:
        """The triggers of that kind which were taken."""
        return [step.trigger for step in self.steps if isinstance(step.trigger, kind)]

    async def end(self) -> None:
        """End every call and see that nothing is left."""
        for call_id in self.board.manager.call_ids():
            self.board.post(call_id, CallEnded())
        assert await self.board.manager.idle(timeout=60.0)
        assert self.board.manager.slots_taken == 0
        assert not self.board._entries
        assert not any(set(session.leftovers().values()) - {0} for session in self.sessions.values())
        assert {call_id: s.refused for call_id, s in self.sessions.items() if s.refused} == {}


def announce(exchange: Exchange, call_id: str = "CA1") -> bool:
    return exchange.board.announce(call_id, carrier="fake", caller="+15550100", called="+15550101") is not None


# -- admission ----------------------------------------------------------------------------------------


async def test_announced_call_reserves_one_slot_however_often_it_is_announced() -> None:
    exchange = Exchange()

    assert announce(exchange)
    assert announce(exchange)
    assert exchange.board.manager.slots_taken == 1
    assert exchange.asked == ["+15550101"]
    await exchange.end()


async def test_call_for_which_no_slot_is_free_leaves_nothing() -> None:
    exchange = Exchange(max_calls=1)

    assert announce(exchange, "CA1")
    assert not announce(exchange, "CA2")
    assert exchange.board.manager.call_ids() == ["CA1"]
    await exchange.end()
    assert exchange.over == ["CA1"]


async def test_socket_without_a_slot_hears_that_we_are_busy_and_leaves_nothing() -> None:
    exchange = Exchange(max_calls=1)
    announce(exchange, "CA1")
    leg = FakeLeg()

    assert exchange.connect(leg, call_id="CA2") is not None
    await elapse(10.0)
    assert leg.log.count("hang_up") == 1
    assert leg.sent
    assert exchange.sessions["CA2"].context.end_reason == "at_capacity"
    assert exchange.board.manager.call_ids() == ["CA1"]
    assert exchange.board.manager.slots_taken == 1
    assert exchange.over == ["CA2"]
    assert exchange.clients == []
    await exchange.end()


async def test_draining_switchboard_takes_no_new_call() -> None:
    exchange = Exchange()
    exchange.board.manager.draining = True

    assert not announce(exchange)
    assert exchange.board.manager.call_ids() == []


async def test_socket_of_a_new_call_is_told_busy_while_a_live_one_may_resume_although_all_drains() -> None:
    exchange = Exchange()
    first, lost = await exchange.talk(call_id="CA1"), await exchange.talk(call_id="CA2")
    assert lost.events is not None
    lost.drop("connection reset")
    await elapse(0.1)
    assert exchange.sessions["CA2"].state == "created"
    exchange.board.manager.draining = True

    assert exchange.connect(FakeLeg("MZ3"), call_id="CA3") is not None
    assert announce(exchange, "CA1")
    assert exchange.connect(FakeLeg("MZ1 again"), call_id="CA1", proof=True) is not None
    assert exchange.connect(FakeLeg("MZ2 again"), call_id="CA2", proof=True) is not None
    await elapse(0.1)

    assert [(r.stream_id, r.proof) for r in exchange.of(CallResumed)] == [("MZ1 again", True), ("MZ2 again", True)]
    assert "close replaced" in first.log
    assert [exchange.sessions[call_id].state for call_id in ("CA1", "CA2")] == ["listening", "listening"]
    assert exchange.sessions["CA3"].context.end_reason == "at_capacity"
    await exchange.end()


async def test_announced_call_that_ends_before_its_socket_gives_its_slot_back() -> None:
    exchange = Exchange()
    announce(exchange)

    assert exchange.board.post("CA1", CallEnded())
    await elapse(0.1)
    assert exchange.board.manager.slots_taken == 0
    assert exchange.over == ["CA1"]


# -- sockets ------------------------------------------------------------------------------------------


async def test_first_socket_starts_the_call_announced_or_not() -> None:
    exchange = Exchange()
    announce(exchange, "CA1")
    await exchange.talk(call_id="CA1")
    await exchange.talk(call_id="CA2")

    assert len(exchange.of(CallStarted)) == 2
    assert exchange.of(CallResumed) == []
    assert exchange.board.manager.call_ids() == ["CA1", "CA2"]
    await exchange.end()


async def test_later_socket_without_proof_is_refused_and_the_first_goes_on() -> None:
    exchange = Exchange()
    first = await exchange.talk()

    assert exchange.connect(FakeLeg("MZ2"), proof=False) is None
    assert "close replaced" not in first.log
    assert exchange.of(CallResumed) == []
    await exchange.end()


async def test_later_socket_with_proof_takes_over() -> None:
    exchange = Exchange()
    first = await exchange.talk()

    assert exchange.connect(FakeLeg("MZ2"), proof=True) is not None
    await elapse(0.1)
    assert "close replaced" in first.log
    assert [(resumed.stream_id, resumed.proof) for resumed in exchange.of(CallResumed)] == [("MZ2", True)]
    await exchange.end()


async def test_socket_of_a_call_that_has_closed_is_refused() -> None:
    exchange = Exchange()
    leg = await exchange.talk()
    leg.stuck = True
    assert leg.events is not None
    leg.events.on_trigger(CallEnded())
    await exchange.sessions["CA1"].wait_closed()

    assert not exchange.sessions["CA1"].settled
    assert exchange.connect(FakeLeg("MZ2"), proof=True) is None
    assert not exchange.board.post("CA1", CallEnded())
    await exchange.end()


async def test_unknown_call_cannot_be_told_anything() -> None:
    exchange = Exchange()

    assert not exchange.board.post("CA9", CallEnded())


# -- calls that were kept ------------------------------------------------------------------------------


async def kept_call(exchange: Exchange) -> StoredCall:
    """What is left of an answered call whose node has died."""
    await exchange.talk()
    session = exchange.sessions["CA1"]
    kept = store(session)
    session.give_up()
    await session.wait_settled()
    exchange.steps.clear()
    return kept


async def test_kept_call_whose_carrier_is_back_goes_on_with_its_loss_first_and_is_not_greeted_again() -> None:
    exchange = Exchange()
    kept = await kept_call(exchange)

    leg = FakeLeg("MZ2")
    session, leg.events = exchange.board.resume(kept, leg, CallStarted(stream_id="MZ2"), proof=True)
    await elapse(0.1)

    assert [type(step.trigger) for step in exchange.steps] == [CallLost, CallResumed]
    assert (session.state, session.context.resumed_count, session.context.stream_id) == ("listening", 1, "MZ2")
    assert exchange.board.manager.slots_taken == 1
    await exchange.end()


async def test_kept_call_that_was_never_answered_begins_with_its_first_socket() -> None:
    exchange = Exchange()
    announce(exchange)
    await elapse(0.1)
    session = exchange.sessions["CA1"]
    kept = store(session)
    session.give_up()
    await session.wait_settled()

    leg = FakeLeg("MZ1")
    session, leg.events = exchange.board.resume(kept, leg, CallStarted(stream_id="MZ1"), proof=True)
    await elapse(0.1)

    assert (session.state, session.context.resumed_count) == ("greeting", 0)
    await exchange.end()


async def test_kept_call_without_its_carrier_takes_no_slot_and_ends_as_orphaned() -> None:
    exchange = Exchange()
    kept = await kept_call(exchange)

    session = exchange.board.reopen(kept, CallLost(can_return=False, reason="orphaned"))
    assert exchange.board.manager.slots_taken == 0
    await session.wait_settled()

    assert (session.context.end_reason, len(session.context.outbox)) == ("orphaned", 1)
    assert len(exchange.clients) == 1
    await exchange.end()


async def test_longest_call_counts_what_was_spent_on_another_node() -> None:
    exchange = Exchange(bot=BotSettings(idle_after=0.0, longest_call=60.0))
    kept = await kept_call(exchange)

    leg = FakeLeg("MZ2")
    began = asyncio.get_running_loop().time()
    session, leg.events = exchange.board.resume(kept, leg, CallStarted(stream_id="MZ2"), proof=True, spent=50.0)
    await session.wait_closed()

    assert 10.0 <= asyncio.get_running_loop().time() - began <= 26.0
    await session.wait_settled()
    assert session.context.end_reason == "time_limit"
    await exchange.end()


# -- what is known of a call --------------------------------------------------------------------------


async def test_end_told_by_a_status_callback_keeps_what_was_heard_of_the_reply() -> None:
    exchange = Exchange()
    await exchange.talk()
    exchange.clients[-1].speak(4000, item="item_7", text="We are open from nine to six.")
    await elapse(1.0)

    assert exchange.of(ReplyStarted)
    assert exchange.board.post("CA1", CallEnded(reason="caller_hung_up"))
    await exchange.sessions["CA1"].wait_settled()
    (ended,) = exchange.of(CallEnded)
    (reply,) = ended.replies
    assert (ended.reason, reply.item_id, 900 <= reply.heard_ms <= 1100) == ("caller_hung_up", "item_7", True)
    assert [message.item_id for message in exchange.sessions["CA1"].context.history] == ["item_7"]


async def test_loss_told_from_outside_keeps_what_was_heard_and_what_it_brings_itself_stays() -> None:
    exchange = Exchange()
    await exchange.talk()
    exchange.clients[-1].speak(4000, item="item_7", text="We are open from nine to six.")
    await elapse(1.0)
    own = (HeardReply(item_id="item_8", heard_ms=5, text="We"),)

    exchange.board.post("CA1", CallLost(can_return=True))
    exchange.board.post("CA1", CallLost(can_return=True, replies=own))
    await elapse(0.1)
    first, second = exchange.of(CallLost)
    assert [reply.item_id for reply in first.replies] == ["item_7"]
    assert second.replies == own
    await exchange.end()


async def test_model_is_kept_up_to_date_with_every_step() -> None:
    exchange = Exchange()
    await exchange.talk()
    exchange.board.post("CA1", UserTranscript(item_id="u1", text="hello there"))
    await elapse(0.1)

    newest = exchange.clients[-1].remembered[-1]
    assert newest is exchange.sessions["CA1"].context or newest.history == exchange.sessions["CA1"].context.history
    assert [message.text for message in newest.history] == ["hello there"]
    await exchange.end()


# -- limits and the end -------------------------------------------------------------------------------


async def test_longest_call_counts_from_the_answer_and_ends_with_a_good_bye() -> None:
    exchange = Exchange(bot=BotSettings(idle_after=0.0, longest_call=60.0))
    announce(exchange)
    await elapse(5.0)
    began = asyncio.get_running_loop().time()
    leg = await exchange.talk()
    await exchange.sessions["CA1"].wait_closed()

    assert 60.0 <= asyncio.get_running_loop().time() - began <= 76.0
    await exchange.sessions["CA1"].wait_settled()
    assert exchange.sessions["CA1"].context.end_reason == "time_limit"
    assert "ending" in [step.after.state for step in exchange.steps]
    assert leg.log.count("hang_up") == 1
    await exchange.end()


async def test_call_that_has_cost_its_bots_largest_cost_ends_with_a_good_bye() -> None:
    exchange = Exchange(bot=BotSettings(idle_after=0.0, largest_cost=2.0), price=0.01)
    await exchange.talk()
    exchange.sessions["CA1"].post(ReplyFailed(usage=Usage(input_tokens=199)))
    await elapse(1.0)
    assert exchange.of(CallOverLimit) == []

    exchange.sessions["CA1"].post(ReplyFailed(usage=Usage(input_tokens=1)))
    exchange.sessions["CA1"].post(ReplyFailed(usage=Usage(input_tokens=1)))
    await exchange.sessions["CA1"].wait_settled()

    assert exchange.of(CallOverLimit) == [CallOverLimit(limit="cost")]
    assert exchange.sessions["CA1"].context.end_reason == "cost_limit"
    assert "ending" in [step.after.state for step in exchange.steps]
    await exchange.end()


async def test_call_that_ends_before_its_limit_leaves_no_timer() -> None:
    exchange = Exchange(bot=BotSettings(idle_after=0.0, longest_call=60.0))
    await exchange.talk()
    limit = exchange.board._entries["CA1"].limit
    assert limit is not None
    await exchange.end()
    taken = len(exchange.steps)
    await elapse(120.0)

    assert len(exchange.steps) == taken
    assert exchange.sessions["CA1"].late == 0


async def test_every_call_is_told_over_once() -> None:
    exchange = Exchange()
    await exchange.talk(call_id="CA1")
    await exchange.talk(call_id="CA2")
    await exchange.end()

    assert sorted(exchange.over) == ["CA1", "CA2"]


async def test_observer_that_sees_a_call_of_another_manager_does_nothing() -> None:
    exchange, other = Exchange(), Exchange()
    await exchange.talk()
    (step,) = exchange.steps[:1]

    other.board.on_commit(exchange.sessions["CA1"], step)
    other.board.on_settled(exchange.sessions["CA1"])
    assert other.over == ["CA1"]
    await exchange.end()
