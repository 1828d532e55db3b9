"""Actions that let the model speak. Nothing else does: every reply of a call begins here or in `say_farewell`.

Instructions of a reply come on top of the session's own. They are written in English, which models follow best, and end
with the language to speak.
"""

from __future__ import annotations

from fsm.context import UNTOLD
from fsm.session import Session
from fsm.triggers import AgentCompleted, AgentNeedsInfo, AgentSaid, IntentDetected, Trigger

__all__ = [
    "answer", "ask_caller", "ask_missing", "clarify", "greet", "pick_up", "repeat_question", "reprompt", "say", "speak",
    "speak_result",
]  # fmt: skip


def say(session: Session, purpose: str, task: str) -> None:
    """Ask the model for one reply that does `task`, in the call's language."""
    language = f"Speak the language with the code {session.context.language}."
    session.sts.respond(purpose=purpose, instructions=f"Now do only this: {task}\n{language}")


def greet(session: Session, trigger: Trigger) -> None:
    """Greet the caller as the bot says."""
    say(session, "greeting", session.context.bot.greeting)


def pick_up(session: Session, trigger: Trigger) -> None:
    """Go on after an interruption, without a second greeting; greet if the model is merely late.

    What an agent was doing is never done twice by itself: the caller hears that it was given up. A result that the
    caller has not heard to its end is told again.
    """
    if not session.context.resumed_count:
        greet(session, trigger)
        return
    if errand := session.context.interrupted:
        task = (
            "Say in one or two short sentences that the line was interrupted, that the caller's request "
            f"({errand}) was given up because of that and is not being worked on any more, and that the caller may "
            "ask for it again."
        )
    elif result := session.context.progress.get(UNTOLD):
        task = f"Say in one short sentence that the line was interrupted, and tell the caller the result: {result}"
    else:
        task = "Say in one short sentence that the line was interrupted, and go on where you were."
    say(session, "pick_up", task)


def answer(session: Session, trigger: Trigger) -> None:
    """Let the model answer; with what the bot declares as the reply to the intent, if it does."""
    intent = session.context.bot.intent(trigger.intent) if isinstance(trigger, IntentDetected) else {}
    if reply := intent.get("reply"):
        say(session, "answer", f"Answer the caller. What you know about it: {reply}")
    else:
        session.sts.respond(purpose="answer")


def clarify(session: Session, trigger: Trigger) -> None:
    """Ask the caller to say it in other words."""
    say(session, "clarify", "Say that you are not sure what is wanted, and ask the caller to say it in other words.")


def ask_missing(session: Session, trigger: IntentDetected) -> None:
    """Ask for what the intent's agent needs and the caller has not said, in the words of the bot."""
    entities = session.context.bot.intent(trigger.intent).get("entities", {})
    wanted = [entities.get(slot, {}).get("question") or slot.replace("_", " ") for slot in trigger.missing]
    say(session, "question", f"Ask the caller for what is missing: {'; '.join(wanted)}")


def reprompt(session: Session, trigger: Trigger) -> None:
    """Ask a silent caller whether they are still there."""
    say(session, "reprompt", "The caller is silent. Ask in one short sentence whether they are still there.")


def ask_caller(session: Session, trigger: AgentNeedsInfo) -> None:
    """Put an agent's question to the caller."""
    say(session, "question", f"Ask the caller: {trigger.question}")


def repeat_question(session: Session, trigger: Trigger) -> None:
    """Put the agent's open question again; without one, say that the work goes on."""
    question = session.context.question
    again = f"Say that you did not catch the answer, and ask once more: {question}"
    say(session, "question", again if question else "Say in one short sentence that you are still working on it.")


def speak(session: Session, trigger: AgentSaid) -> None:
    """Say what an agent wants said."""
    say(session, "said", f"Say this to the caller: {trigger.text}")


def speak_result(session: Session, trigger: AgentCompleted) -> None:
    """Tell the caller what an agent has found out; function calls of the model have their outputs already."""
    say(session, "result", f"Tell the caller the result: {trigger.result}")
