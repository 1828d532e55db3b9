"""Guards answer with a verdict whose reason tells an operator why, and never what a caller said."""

from __future__ import annotations

from typing import Any

import pytest

from fsm.context import BotSettings, CallContext
from fsm.history import Message
from fsm.registry import Verdict
from fsm.triggers import (
    CallLost,
    CallResumed,
    CallStarted,
    IntentDetected,
    InvokeDone,
    ToolCall,
    ToolCalled,
    TransferRequested,
    Trigger,
    UserIdle,
    UserSpeaking,
    UserTranscript,
)
from handlers import REGISTRY, guards

CALL = CallContext()
ONCE, TWICE = CallContext(counters={"silence": 1}), CallContext(counters={"silence": 2})
SEEN = CallContext(seen_items=("i1",))
SILENCE = {"counter": "silence", "of": 2}
DONE = InvokeDone(name="done.invoke.farewell")
BOT = BotSettings(intents=({"name": "bye", "goodbye": True}, {"name": "order_status", "agent": "order_status"}))
SHOP = CallContext(bot=BOT)
SURE, UNSURE = IntentDetected(intent="bye", confidence=0.9), IntentDetected(intent="bye", confidence=0.5)
ORDER = IntentDetected(intent="order_status", confidence=1)
ENDED, TRANSFER = CallContext(end_reason="idle"), CallContext(transfer_to="+1555")
TOOL = ToolCall(call_id="c1", tool="orders")
PENDING = CallContext(tool_calls=(TOOL,))
SERVED = CallContext(history=(Message(role="tool_call", text="{}", item_id="c1"),))
CASES: list[tuple[str, CallContext, Trigger, dict[str, Any], Verdict]] = [
    ("at_capacity", CALL, CallStarted(at_capacity=True), {}, Verdict(True, "no free slot")),
    ("at_capacity", CALL, CallStarted(), {}, Verdict(False, "a slot is reserved")),
    ("comes_by_api", CallContext(carrier="api"), CallStarted(), {}, Verdict(True, "no carrier brings it")),
    ("comes_by_api", CallContext(carrier="twilio"), CallLost(), {}, Verdict(False, "brought by twilio")),
    ("comes_by_api", CallContext(), CallStarted(), {}, Verdict(False, "brought by a carrier")),
    ("can_resume", CALL, CallResumed(proof=True), {}, Verdict(True, "proof shown")),
    ("can_resume", CALL, CallResumed(), {}, Verdict(False, "no proof that it is the same caller")),
    ("can_resume", ENDED, CallResumed(proof=True), {}, Verdict(False, "the call has ended: idle")),
    ("can_return", CALL, CallLost(can_return=True), {}, Verdict(True, "the carrier can return")),
    ("can_return", CALL, CallLost(), {}, Verdict(False, "the carrier cannot return")),
    ("was_answered", CallContext(answered=True), UserIdle(), {}, Verdict(True, "answered")),
    ("was_answered", CALL, UserIdle(), {}, Verdict(False, "never answered")),
    ("may_take_over", CALL, CallResumed(proof=True), {}, Verdict(True, "proof shown")),
    ("may_take_over", CALL, CallResumed(), {}, Verdict(False, "no proof that it is the same caller")),
    ("talking_over", CALL, UserSpeaking(item_id="i1", heard_ms=40), {}, Verdict(True, "40 ms of the reply were heard")),
    ("talking_over", CALL, UserSpeaking(item_id=""), {}, Verdict(True, "0 ms of the reply were heard")),
    ("talking_over", CALL, UserSpeaking(), {}, Verdict(False, "no reply was playing")),
    ("is_duplicate", SEEN, UserTranscript(item_id="i1"), {}, Verdict(True, "item i1 was taken already")),
    ("is_duplicate", SEEN, UserTranscript(item_id="i2"), {}, Verdict(False)),
    ("not_transcribed", CALL, UserTranscript(reason="timed_out"), {}, Verdict(True, "timed_out")),
    ("not_transcribed", CALL, UserTranscript(text="hello"), {}, Verdict(False)),
    ("retries_left", ONCE, UserIdle(), SILENCE, Verdict(True, "silence: 1 of 2 used")),
    ("retries_left", TWICE, UserIdle(), SILENCE, Verdict(False, "silence: 2 of 2 used")),
    ("retries_left", CALL, UserIdle(), SILENCE, Verdict(True, "silence: 0 of 2 used")),
    ("confidence_at_least", CALL, IntentDetected(confidence=0.6), {"threshold": 0.6}, Verdict(True, "0.60 >= 0.60")),
    ("confidence_at_least", CALL, IntentDetected(confidence=0.2), {"threshold": 0.6}, Verdict(False, "0.20 < 0.60")),
    ("requires_agent", CALL, IntentDetected(requires_agent=True, agent_type="a"), {}, Verdict(True, "agent: a")),
    ("requires_agent", CALL, IntentDetected(), {}, Verdict(False, "no agent")),
    ("entities_valid", CALL, IntentDetected(), {}, Verdict(True, "complete")),
    ("entities_valid", CALL, IntentDetected(missing=("city", "day")), {}, Verdict(False, "missing: city, day")),
    ("says_goodbye", SHOP, SURE, {}, Verdict(True, "0.90 >= 0.60")),
    ("says_goodbye", SHOP, UNSURE, {}, Verdict(False, "0.50 < 0.60")),
    ("says_goodbye", SHOP, UNSURE, {"threshold": 0.4}, Verdict(True, "0.50 >= 0.40")),
    ("says_goodbye", SHOP, ORDER, {}, Verdict(False, "order_status is not a good-bye")),
    ("says_goodbye", CALL, IntentDetected(), {}, Verdict(False, "no intent is not a good-bye")),
    ("tools_known", CALL, ToolCalled(calls=(TOOL,)), {}, Verdict(False, "1 of 1 function calls are new")),
    ("tools_known", PENDING, ToolCalled(calls=(TOOL,)), {}, Verdict(True, "0 of 1 function calls are new")),
    ("tools_known", SERVED, ToolCalled(calls=(TOOL,)), {}, Verdict(True, "0 of 1 function calls are new")),
    ("has_open_question", CallContext(question="Which?"), UserIdle(), {}, Verdict(True, "a question is open")),
    ("has_open_question", CALL, UserIdle(), {}, Verdict(False, "no question is open")),
    ("names_target", CALL, TransferRequested(target="+1555"), {}, Verdict(True, "a target is named")),
    ("names_target", CALL, TransferRequested(), {}, Verdict(False, "no target is named")),
    ("wants_transfer", TRANSFER, DONE, {}, Verdict(True, "a transfer is asked for")),
    ("wants_transfer", CALL, DONE, {}, Verdict(False, "no transfer")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "call", "trigger", "params", "expected"), CASES, ids=[f"{case[0]}-{n}" for n, case in enumerate(CASES)]
)
def test_guard_answers_with_its_reason(
    name: str, call: CallContext, trigger: Trigger, params: dict[str, Any], expected: Verdict
) -> None:
    guard = REGISTRY.get("guard", name)
    assert guard is not None

    assert guard.function(call, trigger, **params) == expected


def test_every_guard_is_in_the_table() -> None:
    assert {handler.name for handler in REGISTRY.all("guard")} == {case[0] for case in CASES} | {"is_blank"}


@pytest.mark.parametrize(
    ("text", "blank"),
    [
        ("", True),
        (" …  ", True),
        ("?!", True),
        ("❤️", True),
        ("a", False),
        ("7", False),
        ("हाँ", False),
        ("ि", False),
        ("是", False),
        ("ñ!", False),
    ],
    ids=["nothing", "dots", "punctuation", "heart", "letter", "digit", "hindi", "vowel-sign", "chinese", "accent"],
)
def test_blank_is_what_has_no_word_in_any_script(text: str, blank: bool) -> None:
    assert guards.is_blank(CALL, UserTranscript(text=text)).holds is blank


def test_reasons_never_hold_the_callers_words() -> None:
    said = UserTranscript(text="--- !!!", item_id="i1")

    reasons = [guards.is_blank(CALL, said).reason, guards.is_duplicate(CALL, said).reason]

    assert reasons == ["no word in 7 characters", ""]
