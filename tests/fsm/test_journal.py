"""What a call did is recorded, and the record replayed."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from typing import Any

import pytest

from fsm.context import BotSettings, CallContext
from fsm.errors import CallchartError
from fsm.journal import begun_as, effects_record, replay, step_record, trigger_data, trigger_from
from fsm.observe import Effect
from fsm.step import Step, begin, step
from fsm.triggers import (
    TRIGGERS,
    ActionFailed,
    After,
    AgentSaid,
    CallEnded,
    HeardReply,
    InvokeDone,
    InvokeFailed,
    ToolCall,
    ToolCalled,
    Trigger,
    Usage,
    UserSpeaking,
)
from tests.fsm.running import REGISTRY, a_machine
from tests.fsm.test_step import CHART, MACHINE


@pytest.mark.parametrize("kind", TRIGGERS, ids=lambda kind: kind.name)
def test_every_trigger_survives_json(kind: type[Trigger]) -> None:
    data = json.loads(json.dumps(trigger_data(kind())))

    assert trigger_from(kind.name, data, REGISTRY) == kind()


@pytest.mark.parametrize(
    "trigger",
    [
        After(name="after.setup", node="created"),
        InvokeDone(name="done.invoke.job"),
        InvokeFailed(name="error.invoke.job", error="OSError"),
        ActionFailed(name="error.action.boom", timed_out=True),
        ToolCalled(response_id="r", calls=(ToolCall(call_id="c", tool="look_up"),), usage=Usage(input_tokens=3)),
        CallEnded(replies=(HeardReply(item_id="i", heard_ms=20),)),
    ],
    ids=lambda trigger: trigger.name,
)
def test_triggers_with_parts_survive_json(trigger: Trigger) -> None:
    data = json.loads(json.dumps(trigger_data(trigger)))

    assert trigger_from(trigger.name, data, REGISTRY) == trigger


def test_what_a_handler_of_yours_says_in_another_type_is_kept_and_quoted_in_no_warning(
    recwarn: pytest.WarningsRecorder,
) -> None:
    said: Any = {"text": "xylophone marmalade"}

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        kept = trigger_data(AgentSaid(text=said))

    assert kept["text"] == said
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.parametrize(
    ("event", "data", "message"),
    [
        ("call.begun", {}, "no event is called 'call.begun'"),
        ("call.dtmf", {"digit": "1"}, "call.dtmf has no field 'digit'; did you mean 'digits'?"),
        ("user.speaking", {"heard_ms": "long"}, "user.speaking: heard_ms:"),
        ("error.action.unheard_of", {}, "no event is called"),
    ],
)
def test_what_is_no_trigger_is_told(event: str, data: dict[str, object], message: str) -> None:
    with pytest.raises(CallchartError, match=message.replace("?", r"\?").replace(".", r"\.")):
        trigger_from(event, data, REGISTRY)


def recorded() -> list[dict[str, object]]:
    first = begin(MACHINE, CallContext(call_id="CA1"))
    second = step(MACHINE, first.after, UserSpeaking())
    assert isinstance(second, Step)
    return [
        step_record(MACHINE, first, at=1.0),
        effects_record(first, []),
        step_record(MACHINE, second, at=2.0),
        effects_record(second, [Effect("a", "exit", "failed", "OSError", 0.0, 0.0125)]),
    ]


def test_a_record_says_what_was_decided_and_why() -> None:
    record = recorded()[2]

    assert record == {
        "seq": 2,
        "at": 2.0,
        "call_id": "CA1",
        "chart": {"id": "rows", "version": 1, "hash": MACHINE.hash},
        "event": "user.speaking",
        "data": {"item_id": None, "heard_ms": 0, "utterance_id": ""},
        "guards": [
            {"row": "x/user.speaking/0", "guard": "no", "holds": False, "reason": "never"},
            {"row": "x/user.speaking/1", "guard": "yes", "holds": True},
            {"row": "x/user.speaking/1", "guard": "not no", "holds": True, "reason": "never"},
        ],
        "from": "x",
        "to": "y",
        "actions": ["add", "add"],
    }


def test_how_actions_ended_is_a_record_of_its_own() -> None:
    assert recorded()[3] == {
        "seq": 2,
        "call_id": "CA1",
        "effects": [{"action": "a", "block": "exit", "outcome": "failed", "ms": 12.5, "error": "OSError"}],
    }


def test_faults_are_recorded() -> None:
    from fsm.triggers import StsReady

    first = begin(MACHINE, CallContext())
    done = step(MACHINE, first.after, StsReady())

    assert isinstance(done, Step)
    assert step_record(MACHINE, done, at=0.0)["faults"] == ["reducer spoil: ZeroDivisionError"]


def test_a_record_replays_the_same() -> None:
    replayed = list(replay(MACHINE, REGISTRY, CallContext(call_id="CA1"), recorded()))

    assert [r.same for r in replayed] == [True, True]


def test_a_replay_tells_where_another_chart_goes_another_way() -> None:
    other = a_machine(CHART.replace("guard: [yes, {not: no}], target: y", "guard: [yes, {not: no}], target: end"))
    without = a_machine(CHART.replace("          user.speaking:", "          user.transcript:"))

    assert [r.same for r in replay(other, REGISTRY, CallContext(), recorded())] == [True, False]
    assert [r.same for r in replay(without, REGISTRY, CallContext(), recorded()[2:])] == [False]


def bots(name: str, called: str) -> BotSettings:
    return BotSettings(name=name, greeting=called)


def test_first_record_tells_how_the_call_began() -> None:
    call = CallContext(
        call_id="CA1", carrier="twilio", caller="+1555", called="+1666", bot=BotSettings(name="shop"), language="de",
        created_at=1_700_000_000.123456, metadata={"user_id": 7}, instructions="Be brief.", voice="cedar",
    )  # fmt: skip
    first = begin(MACHINE, call)

    record = json.loads(json.dumps(step_record(MACHINE, first, 0.0)))

    assert begun_as(record, bots) == replace(call, bot=bots("shop", "+1666"))


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"call_id": "CA1", "event": "call.started"}, "CA1: its journal does not begin with how the call began"),
        ({}, "its journal does not begin with how the call began"),
        ({"call_id": "CA1", "call": {"bot": "b"}}, "CA1: the first record of its journal lacks 'carrier'"),
    ],
)
def test_record_that_does_not_tell_how_a_call_began_is_told(record: dict[str, Any], says: str) -> None:
    with pytest.raises(CallchartError, match=says):
        begun_as(record, bots)
