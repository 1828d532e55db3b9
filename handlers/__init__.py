"""What the bundled charts name, in one visible list. A product adds its own with `REGISTRY.extend(...)`."""

from __future__ import annotations

from fsm.registry import Action, Registry, Service
from fsm.triggers import AgentCompleted, AgentFailed, AgentNeedsInfo, AgentProgress, AgentSaid, IntentDetected
from handlers import aftercare, agents, carrier, guards, media, reducers, services, speech, sts

__all__ = ["REGISTRY"]

REGISTRY = Registry(
    guards=(
        guards.at_capacity,
        guards.can_resume,
        guards.can_return,
        guards.confidence_at_least,
        guards.entities_valid,
        guards.has_open_question,
        guards.is_blank,
        guards.is_duplicate,
        guards.may_take_over,
        guards.names_target,
        guards.not_transcribed,
        guards.requires_agent,
        guards.retries_left,
        guards.says_goodbye,
        guards.talking_over,
        guards.wants_transfer,
        guards.was_answered,
    ),
    reducers=(
        reducers.append_history,
        reducers.count_error,
        reducers.count_resume,
        reducers.count_retry,
        reducers.forget_question,
        reducers.forget_transfer,
        reducers.hand_over,
        reducers.merge_segment,
        reducers.note_answered,
        reducers.note_end,
        reducers.note_intent,
        reducers.note_question,
        reducers.note_transfer,
        reducers.reset_retries,
        reducers.settle_agent,
        reducers.settle_tools,
        reducers.truncate_history,
        reducers.update_context,
    ),
    actions=(
        Action(sts.start_sts, opens=("sts",)),
        Action(sts.stop_sts, closes=("sts",)),
        Action(sts.configure_sts, needs=("sts",)),
        Action(sts.answer_tools, needs=("sts",)),
        Action(sts.refuse_tool, needs=("sts",)),
        Action(media.open_media, needs=("sts", "carrier")),
        Action(media.interrupt_playback, needs=("carrier",)),
        Action(carrier.attach_listeners, opens=("listeners",), needs=("carrier",)),
        Action(carrier.remove_listeners, closes=("listeners",)),
        Action(carrier.apologise, needs=("carrier",)),
        Action(carrier.hold_the_line, needs=("carrier",)),
        Action(carrier.say_busy, needs=("carrier",)),
        Action(carrier.transfer, deadline=5.0, needs=("carrier",)),
        Action(carrier.hang_up, deadline=5.0, closes=("carrier",)),
        Action(speech.greet, needs=("sts",)),
        Action(speech.pick_up, needs=("sts",)),
        Action(speech.answer, needs=("sts",)),
        Action(speech.clarify, needs=("sts",)),
        Action(speech.ask_missing, needs=("sts",)),
        Action(speech.reprompt, needs=("sts",)),
        Action(speech.ask_caller, needs=("sts",)),
        Action(speech.repeat_question, needs=("sts",)),
        Action(speech.speak, needs=("sts",)),
        Action(speech.speak_result, needs=("sts",)),
        agents.tell_agent,
        aftercare.save_transcript,
        aftercare.release_slot,
        aftercare.notify_fronts,
    ),
    services=(
        Service(services.detect_intent, produces=(IntentDetected,)),
        Service(
            services.run_agent,
            produces=(AgentNeedsInfo, AgentProgress, AgentSaid, AgentCompleted, AgentFailed),
        ),
        Service(services.say_farewell, needs=("carrier",)),
    ),
)
