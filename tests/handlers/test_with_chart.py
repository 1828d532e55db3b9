"""The handlers in the bundled chart, on a real session with ports in memory: what the caller would notice."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters.conversation.agents import AgentDesk
from adapters.conversation.intents import OfflineIntents
from adapters.conversation.order_status import order_status
from fsm.clock import LoopClock
from fsm.compile import Machine, compile_chart
from fsm.context import UNTOLD, BotSettings, CallContext
from fsm.history import Message
from fsm.load import load_chart
from fsm.session import Session
from fsm.triggers import (
    CallDtmf,
    CallEnded,
    CallLost,
    CallResumed,
    CallStarted,
    CallTransferred,
    HeardReply,
    PlaybackFinished,
    ReplyFinished,
    StsFailed,
    StsReady,
    ToolCall,
    ToolCalled,
    TransferRequested,
    Trigger,
    UserIdle,
    UserTranscript,
)
from handlers import REGISTRY
from tests.fakes import Log, elapse, fake_ports

HOURS = {"name": "hours", "reply": "Nine to five.", "examples": ["when are you open"]}
ORDER = {"name": "order_status", "agent": "order_status", "examples": ["where is my order"]}
BYE = {"name": "goodbye", "goodbye": True, "examples": ["bye", "good bye"]}
BOT = BotSettings(intents=(HOURS, ORDER, BYE))


class Line:
    """A call on the bundled chart."""

    def __init__(self, machine: Machine) -> None:
        self.did: Log = []
        self.ports: Any = fake_ports(self.did)
        self.ports.intents = OfflineIntents()
        self.ports.agents = AgentDesk({"order_status": order_status})
        self.session = Session(machine, CallContext(call_id="CA1", bot=BOT), self.ports, clock=LoopClock())
        self.session.start()

    @property
    def call(self) -> CallContext:
        return self.session.context

    async def happens(self, *triggers: Trigger) -> list[str]:
        """Post these one after the other; return what was asked of the ports because of them, in short."""
        before = len(self.did)
        for trigger in triggers:
            self.session.post(trigger)
            await elapse(0.01)
        return [":".join(str(part) for part in entry[:2]) for entry in self.did[before:]]

    async def answered(self) -> Line:
        await self.happens(CallStarted(stream_id="MZ1"), StsReady(session_id="s1"))
        await self.happens(ReplyFinished(item_id="a0", text="Welcome!"), PlaybackFinished())
        return self

    async def end(self) -> None:
        self.session.post(CallEnded())
        await self.session.wait_settled()
        assert (self.session.refused, self.session.faults) == (0, ())


def said(text: str, item_id: str) -> UserTranscript:
    return UserTranscript(text=text, item_id=item_id)


@pytest.fixture(scope="module")
def machine() -> Machine:
    return compile_chart(load_chart("voice_call", registry=REGISTRY), REGISTRY)


async def test_caller_is_greeted_once_the_model_is_ready(machine: Machine) -> None:
    line = Line(machine)

    started = await line.happens(CallStarted())
    ready = await line.happens(StsReady())

    assert started == ["carrier.attach", "sts.start:CA1"]
    assert ready == ["media.open", "sts.respond:greeting"]
    await line.end()


async def test_question_is_answered_with_the_bots_reply(machine: Machine) -> None:
    line = await Line(machine).answered()

    did = await line.happens(said("when are you open", "u1"))

    assert did == ["sts.respond:answer"]
    assert "Nine to five." in line.did[-1][2]
    assert [m.text for m in line.call.history] == ["Welcome!", "when are you open"]
    await line.end()


async def test_caller_is_asked_for_the_number_presses_it_and_hears_the_result(machine: Machine) -> None:
    line = await Line(machine).answered()

    asked = await line.happens(said("where is my order", "u1"))
    assert (asked, line.session.state, line.call.question) == (
        ["sts.respond:question"], "agent", "What is the number of your order?",
    )  # fmt: skip
    told = await line.happens(*(CallDtmf(digits=key) for key in "456#"))

    assert told == ["sts.respond:result"]
    assert (line.session.state, line.call.question, line.call.agent_type) == ("listening", "", "")
    assert (line.call.progress["order_number"], UNTOLD in line.call.progress) == ("456", True)
    await line.end()


async def test_silent_caller_hears_the_question_again_and_then_good_bye(machine: Machine) -> None:
    line = await Line(machine).answered()
    await line.happens(said("where is my order", "u1"))

    first = await line.happens(UserIdle(), UserIdle())
    last = await line.happens(UserIdle())

    assert first == ["sts.respond:question"] * 2
    assert last[:3] == ["carrier.drained", "sts.respond:goodbye", "carrier.drained"]
    await line.session.wait_settled()
    assert line.call.end_reason == "idle"


async def test_good_bye_is_said_and_the_line_is_hung_up(machine: Machine) -> None:
    line = await Line(machine).answered()

    did = await line.happens(said("good bye", "u1"))

    await line.session.wait_settled()
    assert did[0] == "carrier.drained"
    assert [entry[0] for entry in line.did[-5:]] == [
        "carrier.detach", "transcripts.save", "carrier.hang_up", "slot.release", "fronts.notify",
    ]  # fmt: skip
    assert line.call.end_reason == "goodbye"
    assert [entry["end_reason"] for entry in line.call.outbox] == ["goodbye"]


# -- function calls -------------------------------------------------------------------------------


def tool(call_id: str, name: str = "order_status", arguments: str = "{}") -> ToolCalled:
    return ToolCalled(calls=(ToolCall(call_id=call_id, tool=name, arguments=arguments),))


def outputs(line: Line) -> dict[str, Any]:
    sent = [(entry[1], json.loads(entry[2])) for entry in line.did if entry[0] == "sts.tool_result"]
    assert len(dict(sent)) == len(sent), "a function call was answered twice"
    return dict(sent)


async def test_function_call_is_answered_and_the_model_tells_the_result(machine: Machine) -> None:
    line = await Line(machine).answered()

    did = await line.happens(tool("c1", arguments='{"order_number": "123"}'))

    assert did == ["sts.tool_result:c1", "sts.respond:result"]
    assert outputs(line)["c1"]["result"].startswith("Order 1 2 3 left")
    assert [m.role for m in line.call.history] == ["assistant", "tool_call", "tool_result"]
    await line.end()


async def test_function_call_of_an_unknown_tool_fails_and_says_so(machine: Machine) -> None:
    line = await Line(machine).answered()

    did = await line.happens(tool("c1", "launch_rockets"))

    assert did == ["sts.tool_result:c1", "carrier.play:apology"]
    assert outputs(line) == {"c1": {"error": "unknown_agent"}}
    await line.end()


async def test_second_function_call_is_refused_while_the_first_goes_on(machine: Machine) -> None:
    line = await Line(machine).answered()
    await line.happens(tool("c1"))

    refused = await line.happens(tool("c2"))
    await line.happens(said("one two three", "u1"))

    assert refused == ["sts.tool_result:c2", "sts.respond:answer"]
    assert outputs(line)["c2"]["error"] == "refused"
    assert "result" in outputs(line)["c1"]
    await line.end()


async def test_function_call_that_is_told_twice_is_served_once(machine: Machine) -> None:
    line = await Line(machine).answered()
    await line.happens(tool("c1"))

    meanwhile = await line.happens(tool("c1"))
    await line.happens(said("one two three", "u1"))
    afterwards = await line.happens(tool("c1"))

    assert meanwhile == afterwards == []
    assert "result" in outputs(line)["c1"]
    assert line.session.state == "listening"
    await line.end()


@pytest.mark.parametrize(
    "what",
    [
        CallLost(can_return=True),
        TransferRequested(target="+15550100"),
        StsFailed(reason="gone"),
        CallEnded(),
    ],
    ids=lambda trigger: trigger.name,
)
async def test_function_call_gets_an_output_however_the_agent_is_left(machine: Machine, what: Trigger) -> None:
    line = await Line(machine).answered()
    await line.happens(tool("c1"))

    await line.happens(what)

    assert outputs(line) == {"c1": {"error": "interrupted"}}
    assert line.call.tool_calls == ()
    await line.end()


async def test_function_call_whose_agent_takes_too_long_is_told_so(machine: Machine) -> None:
    line = await Line(machine).answered()
    await line.happens(tool("c1"))

    await elapse(601)

    assert outputs(line)["c1"]["error"] == "timed_out"
    assert line.session.state == "listening"
    await line.end()


# -- losses and ends ------------------------------------------------------------------------------


async def test_caller_who_comes_back_is_picked_up_and_not_greeted_again(machine: Machine) -> None:
    line = await Line(machine).answered()
    await line.happens(CallLost(can_return=True, replies=(HeardReply(item_id="a1", text="Your ord"),)))

    back = await line.happens(CallResumed(proof=True, stream_id="MZ2"), StsReady(session_id="s2"))

    assert back == ["carrier.attach", "sts.start:CA1", "media.open", "sts.respond:pick_up"]
    assert line.call.history[-1] == Message(role="assistant", text="Your ord", item_id="a1", interrupted=True)
    assert (line.call.resumed_count, line.call.stream_id) == (1, "MZ2")
    await line.end()


async def test_second_socket_during_the_greeting_leaves_nobody_unanswered(machine: Machine) -> None:
    line = Line(machine)
    await line.happens(CallStarted(stream_id="MZ1"), StsReady(session_id="s1"))

    taken_over = await line.happens(CallResumed(proof=True, stream_id="MZ2"))
    answered = await line.happens(said("when are you open", "u1"))

    assert taken_over == ["media.interrupt", "carrier.attach", "media.open"]
    assert answered[-1].startswith("sts.respond")
    await line.end()


async def test_caller_who_does_not_come_back_was_lost(machine: Machine) -> None:
    line = await Line(machine).answered()
    await line.happens(CallLost(can_return=True))

    await elapse(30)
    await line.session.wait_settled()

    assert line.call.end_reason == "carrier_lost"


async def test_call_that_is_never_answered_leaves_no_work(machine: Machine) -> None:
    line = Line(machine)

    await elapse(10)
    await line.session.wait_settled()

    assert (line.call.end_reason, line.call.outbox) == ("setup_timeout", ())


async def test_caller_without_a_slot_hears_why(machine: Machine) -> None:
    line = Line(machine)

    did = await line.happens(CallStarted(at_capacity=True))

    assert did[:2] == ["carrier.attach", "carrier.play:busy"]
    assert "carrier.hang_up" in did
    assert (line.call.end_reason, line.call.outbox) == ("at_capacity", ())


async def test_caller_is_transferred_and_not_hung_up(machine: Machine) -> None:
    line = await Line(machine).answered()

    did = await line.happens(TransferRequested(target="+15550100"), CallTransferred())
    await line.session.wait_settled()

    assert "carrier.transfer:+15550100" in did
    assert "carrier.hang_up" not in did
    assert line.call.end_reason == "transferred"


async def test_call_goes_on_with_us_if_a_transfer_fails(machine: Machine) -> None:
    line = await Line(machine).answered()
    line.ports.carrier.can_transfer = False

    did = await line.happens(TransferRequested(target="+15550100"))

    assert did[-1] == "carrier.play:apology"
    assert (line.session.state, line.call.transfer_to, line.call.end_reason) == ("listening", "", "")
    await line.end()
    assert line.call.end_reason == "caller_hung_up"


async def test_transfer_to_nobody_is_apologised_for(machine: Machine) -> None:
    line = await Line(machine).answered()

    did = await line.happens(TransferRequested())

    assert (did, line.session.state) == (["carrier.play:apology"], "listening")
    await line.end()


async def test_model_that_cannot_be_reached_ends_in_an_apology_and_a_bundled_good_bye(machine: Machine) -> None:
    line = Line(machine)
    line.ports.sts.usable = False
    await line.happens(CallStarted())

    did = await line.happens(StsFailed(reason="refused"))
    await line.session.wait_settled()

    assert did[:3] == ["carrier.play:apology", "carrier.drained", "carrier.play:goodbye"]
    assert line.call.end_reason == "sts_failed"


async def test_long_call_stays_small(machine: Machine) -> None:
    line = await Line(machine).answered()

    for turn in range(100):
        await line.happens(said("when are you open", f"u{turn}"), ReplyFinished(item_id=f"a{turn + 1}", text="Nine."))

    assert len(line.call.history) == 20
    assert len(line.call.seen_items) == 64
    assert line.call.turn == 100
    await line.end()


def test_an_agent_starts_only_once_its_step_is_kept() -> None:
    agents = [h for h in REGISTRY.all("service") if h.durable]

    assert [h.name for h in agents] == ["run_agent"]
