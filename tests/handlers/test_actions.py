"""Actions only speak to ports: what each of them asks for, and in which order."""

from __future__ import annotations

from typing import Any

import pytest

from fsm.context import UNTOLD, BotSettings
from fsm.errors import PortError
from fsm.triggers import (
    AgentCompleted,
    AgentNeedsInfo,
    AgentSaid,
    CallDtmf,
    IntentDetected,
    ToolCalled,
    Trigger,
    UserIdle,
    UserTranscript,
)
from handlers import REGISTRY, carrier, speech, sts
from tests.fakes import a_call

ANY = UserIdle()
SLOTS = {"order": {"question": "What is its number?"}, "shipping_day": {}}
BOT = BotSettings(
    greeting="Say hello.",
    intents=(
        {"name": "hours", "reply": "Open from nine to five."},
        {"name": "order_status", "agent": "orders", "entities": SLOTS},
    ),
)  # fmt: skip


def the_task(task: str, language: str = "en") -> str:
    return f"Now do only this: {task}\nSpeak the language with the code {language}."


SIMPLE: list[tuple[str, Trigger, list[tuple[Any, ...]]]] = [
    ("start_sts", ANY, [("sts.start", "CA1")]),
    ("write_down", ANY, [("sts.start", "CA1")]),
    ("stop_sts", ANY, [("sts.close_soon",)]),
    ("configure_sts", ANY, [("sts.configure", "CA1")]),
    ("open_media", ANY, [("media.open",)]),
    ("interrupt_playback", ANY, [("media.interrupt",)]),
    ("attach_listeners", ANY, [("carrier.attach",)]),
    ("remove_listeners", ANY, [("carrier.detach",)]),
    ("apologise", ANY, [("carrier.play", "apology", "de")]),
    ("hold_the_line", ANY, [("carrier.play", "hold", "de")]),
    ("say_busy", ANY, [("carrier.attach",), ("carrier.play", "busy", "de")]),
    ("tell_agent", UserTranscript(text="seven"), [("agents.tell", "CA1", "seven")]),
    ("tell_agent", CallDtmf(digits="7"), [("agents.tell", "CA1", "7")]),
    ("save_transcript", ANY, [("transcripts.save", "CA1")]),
    ("release_slot", ANY, [("slot.release",)]),
    (
        "notify_fronts",
        ANY,
        [
            (
                "fronts.notify",
                "CA1",
                "call.status_changed",
                {"status": "ended", "sessionId": "CA1", "streamSid": "MZ1", "endReason": "idle"},
            )
        ],
    ),
    ("greet", ANY, [("sts.respond", "greeting", the_task("Say hello.", "de"))]),
    ("answer", ANY, [("sts.respond", "answer", "")]),
    ("answer", IntentDetected(intent="order_status"), [("sts.respond", "answer", "")]),
    (
        "answer",
        IntentDetected(intent="hours"),
        [
            (
                "sts.respond",
                "answer",
                the_task("Answer the caller. What you know about it: Open from nine to five.", "de"),
            )
        ],
    ),
    (
        "ask_missing",
        IntentDetected(intent="order_status", missing=("order", "shipping_day", "zip_code")),
        [
            (
                "sts.respond",
                "question",
                the_task("Ask the caller for what is missing: What is its number?; shipping day; zip code", "de"),
            )
        ],
    ),
    (
        "ask_caller",
        AgentNeedsInfo(question="Which one?"),
        [("sts.respond", "question", the_task("Ask the caller: Which one?", "de"))],
    ),
    (
        "speak",
        AgentSaid(text="One moment."),
        [("sts.respond", "said", the_task("Say this to the caller: One moment.", "de"))],
    ),
    (
        "speak_result",
        AgentCompleted(result="It left."),
        [("sts.respond", "result", the_task("Tell the caller the result: It left.", "de"))],
    ),
]


@pytest.mark.parametrize(
    ("name", "trigger", "expected"), SIMPLE, ids=[f"{case[0]}-{n}" for n, case in enumerate(SIMPLE)]
)
def test_action_asks_its_port(name: str, trigger: Trigger, expected: list[tuple[Any, ...]]) -> None:
    call = a_call(bot=BOT, language="de", stream_id="MZ1", end_reason="idle")
    action = REGISTRY.get("action", name)
    assert action is not None

    action.function(call, trigger)

    assert call.did == expected


@pytest.mark.parametrize(
    ("name", "purpose", "words"),
    [("clarify", "clarify", "not sure what is wanted"), ("reprompt", "reprompt", "caller is silent")],
)
def test_model_is_told_what_to_say(name: str, purpose: str, words: str) -> None:
    call = a_call()
    action = REGISTRY.get("action", name)
    assert action is not None

    action.function(call, ANY)

    [(port, why, instructions)] = call.did
    assert (port, why) == ("sts.respond", purpose)
    assert words in instructions


def test_caller_who_comes_back_is_not_greeted_twice() -> None:
    call = a_call(resumed_count=1)

    speech.pick_up(call, ANY)

    [(_, purpose, instructions)] = call.did
    assert purpose == "pick_up"
    assert "interrupted" in instructions


def test_caller_who_comes_back_hears_that_an_errand_was_given_up() -> None:
    call = a_call(resumed_count=1, interrupted="order_status")

    speech.pick_up(call, ANY)

    [(_, purpose, instructions)] = call.did
    assert purpose == "pick_up"
    assert "request (order_status) was given up" in instructions
    assert "may ask for it again" in instructions


def test_caller_who_comes_back_is_told_a_result_that_was_not_heard() -> None:
    call = a_call(resumed_count=1, progress={UNTOLD: "It comes on Friday."})

    speech.pick_up(call, ANY)

    [(_, purpose, instructions)] = call.did
    assert purpose == "pick_up"
    assert "tell the caller the result: It comes on Friday." in instructions


def test_model_that_is_late_still_greets() -> None:
    call = a_call(bot=BOT)

    speech.pick_up(call, ANY)

    assert call.did == [("sts.respond", "greeting", the_task("Say hello."))]


def test_open_question_is_put_again() -> None:
    call = a_call(question="Which order?")

    speech.repeat_question(call, ANY)

    assert call.did[0][2].endswith(
        "did not catch the answer, and ask once more: Which order?\nSpeak the language with the code en."
    )


def test_without_a_question_the_caller_hears_that_the_work_goes_on() -> None:
    call = a_call()

    speech.repeat_question(call, ANY)

    assert "still working on it" in call.did[0][2]


def test_outputs_of_function_calls_are_sent_and_nobody_speaks() -> None:
    call = a_call(tool_outputs={"c1": "{}", "c2": '{"error": "refused"}'})

    sts.answer_tools(call, ANY)

    assert call.did == [("sts.tool_result", "c1", "{}"), ("sts.tool_result", "c2", '{"error": "refused"}')]


def test_refused_function_call_lets_the_model_speak_once_all_are_answered() -> None:
    call = a_call(tool_outputs={"c1": "{}", "c2": "{}"})

    sts.refuse_tool(call, ToolCalled())

    assert [entry[0] for entry in call.did] == ["sts.tool_result", "sts.tool_result", "sts.respond"]


async def test_call_is_hung_up() -> None:
    call = a_call(end_reason="goodbye")

    await carrier.hang_up(call, ANY)

    assert call.did == [("carrier.hang_up",)]


async def test_caller_who_was_transferred_is_not_cut_off() -> None:
    call = a_call(end_reason="transferred")

    await carrier.hang_up(call, ANY)

    assert call.did == []


async def test_caller_is_transferred() -> None:
    call = a_call(transfer_to="+15550100")

    await carrier.transfer(call, ANY)

    assert call.did == [("carrier.transfer", "+15550100")]


async def test_failure_of_a_transfer_is_the_carriers() -> None:
    call = a_call(transfer_to="+15550100")
    call.ports.carrier.can_transfer = False

    with pytest.raises(PortError, match="no target"):
        await carrier.transfer(call, ANY)


def test_a_call_by_api_opens_no_model() -> None:
    call = a_call(carrier="api")

    sts.write_down(call, ANY)

    assert call.did == []
