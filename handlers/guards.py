"""Guards: questions about a call and what has just happened to it. They look, and change nothing.

Their reasons end up in the journal and in traces: they hold numbers and names of the bot's own, never a caller's
words.
"""

from __future__ import annotations

import unicodedata

from fsm.context import BY_API, CallContext
from fsm.registry import Verdict
from fsm.triggers import (
    CallLost,
    CallResumed,
    CallStarted,
    IntentDetected,
    ToolCalled,
    TransferRequested,
    Trigger,
    UserSpeaking,
    UserTranscript,
)

__all__ = [
    "at_capacity", "can_resume", "can_return", "comes_by_api", "confidence_at_least", "entities_valid",
    "has_open_question", "is_blank", "is_duplicate", "may_take_over", "names_target", "not_transcribed",
    "requires_agent", "retries_left", "says_goodbye", "talking_over", "tools_known", "wants_transfer", "was_answered",
]  # fmt: skip


def at_capacity(call: CallContext, trigger: CallStarted) -> Verdict:
    """Whether no slot was free for the call, or the process drains."""
    return Verdict(trigger.at_capacity, "no free slot" if trigger.at_capacity else "a slot is reserved")


def comes_by_api(call: CallContext, trigger: Trigger) -> Verdict:
    """Whether the call was made by API, so that there is no carrier and no caller on a line."""
    by_api = call.carrier == BY_API
    return Verdict(by_api, "no carrier brings it" if by_api else f"brought by {call.carrier or 'a carrier'}")


def can_resume(call: CallContext, trigger: CallResumed) -> Verdict:
    """Whether a call that waits for its carrier may go on with this socket."""
    if call.end_reason:
        return Verdict(False, f"the call has ended: {call.end_reason}")
    return Verdict(trigger.proof, "proof shown" if trigger.proof else "no proof that it is the same caller")


def can_return(call: CallContext, trigger: CallLost) -> Verdict:
    """Whether the carrier is able to bring the caller back."""
    return Verdict(trigger.can_return, "the carrier can return" if trigger.can_return else "the carrier cannot return")


def was_answered(call: CallContext, trigger: Trigger) -> Verdict:
    """Whether the caller has been connected once."""
    return Verdict(call.answered, "answered" if call.answered else "never answered")


def may_take_over(call: CallContext, trigger: CallResumed) -> Verdict:
    """Whether a second socket may replace the one that the call has."""
    return Verdict(trigger.proof, "proof shown" if trigger.proof else "no proof that it is the same caller")


def talking_over(call: CallContext, trigger: UserSpeaking) -> Verdict:
    """Whether the caller speaks while a reply is playing."""
    if trigger.item_id is None:
        return Verdict(False, "no reply was playing")
    return Verdict(True, f"{trigger.heard_ms} ms of the reply were heard")


def is_duplicate(call: CallContext, trigger: UserTranscript) -> Verdict:
    """Whether this utterance has been taken already."""
    known = trigger.item_id in call.seen_items
    return Verdict(known, f"item {trigger.item_id} was taken already" if known else "")


def not_transcribed(call: CallContext, trigger: UserTranscript) -> Verdict:
    """Whether the caller spoke, but transcription gave no text."""
    return Verdict(bool(trigger.reason), trigger.reason)


def is_blank(call: CallContext, trigger: UserTranscript) -> Verdict:
    """Whether there is not one letter or digit in what was said: a cough, a breath, punctuation."""
    blank = not any(_is_of_a_word(character) for character in trigger.text)
    return Verdict(blank, f"no word in {len(trigger.text)} characters" if blank else "")


def _is_of_a_word(character: str) -> bool:
    """Whether it is a letter, digit or mark: vowel signs of Devanagari are marks. Selectors of emoji are too: not."""
    return unicodedata.category(character)[0] in "LNM" and not "\ufe00" <= character <= "\ufe0f"


def retries_left(call: CallContext, trigger: Trigger, *, counter: str, of: int) -> Verdict:
    """Whether `counter` has been counted fewer than `of` times since it was reset."""
    used = call.counters.get(counter, 0)
    return Verdict(used < of, f"{counter}: {used} of {of} used")


def confidence_at_least(call: CallContext, trigger: IntentDetected, *, threshold: float) -> Verdict:
    """Whether the intent is certain enough, on a scale from 0 to 1."""
    sure = trigger.confidence >= threshold
    return Verdict(sure, f"{trigger.confidence:.2f} {'>=' if sure else '<'} {threshold:.2f}")


def requires_agent(call: CallContext, trigger: IntentDetected) -> Verdict:
    """Whether the intent is served by a business agent."""
    return Verdict(trigger.requires_agent, f"agent: {trigger.agent_type}" if trigger.requires_agent else "no agent")


def entities_valid(call: CallContext, trigger: IntentDetected) -> Verdict:
    """Whether the caller has said everything that the intent needs."""
    return Verdict(not trigger.missing, f"missing: {', '.join(trigger.missing)}" if trigger.missing else "complete")


def says_goodbye(call: CallContext, trigger: IntentDetected, *, threshold: float = 0.6) -> Verdict:
    """Whether the caller wants to end the call, and that is certain enough (0 to 1)."""
    if not call.bot.intent(trigger.intent).get("goodbye", False):
        return Verdict(False, f"{trigger.intent or 'no intent'} is not a good-bye")
    return confidence_at_least(call, trigger, threshold=threshold)


def tools_known(call: CallContext, trigger: ToolCalled) -> Verdict:
    """Whether every function call that the model asks for was taken already."""
    fresh = [tool for tool in trigger.calls if not call.knows_tool_call(tool.call_id)]
    return Verdict(not fresh, f"{len(fresh)} of {len(trigger.calls)} function calls are new")


def has_open_question(call: CallContext, trigger: Trigger) -> Verdict:
    """Whether an agent waits for the caller's answer."""
    return Verdict(bool(call.question), "a question is open" if call.question else "no question is open")


def names_target(call: CallContext, trigger: TransferRequested) -> Verdict:
    """Whether it is known who is to take the call over."""
    return Verdict(bool(trigger.target), "a target is named" if trigger.target else "no target is named")


def wants_transfer(call: CallContext, trigger: Trigger) -> Verdict:
    """Whether the call goes to a human once the good-bye was heard."""
    return Verdict(bool(call.transfer_to), "a transfer is asked for" if call.transfer_to else "no transfer")
