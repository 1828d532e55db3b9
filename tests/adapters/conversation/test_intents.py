"""Intents are recognised by their examples, offline, and what is none of them is honestly not named."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.conversation.intents import FLOOR, OfflineIntents
from fsm.context import BotSettings, CallContext
from fsm.history import Message
from fsm.triggers import IntentDetected

BOT = BotSettings(
    intents=(
        {
            "name": "order_status",
            "agent": "order_status",
            "examples": ["where is my order", "order status", "track my parcel", "when will my package arrive"],
            "entities": {"order_number": {"pattern": r"\b(\d{3,})\b"}},
        },
        {
            "name": "opening_hours",
            "reply": "Nine to five.",
            "examples": ["when are you open", "opening hours", "what time do you close", "wann haben Sie geöffnet"],
        },
        {"name": "goodbye", "goodbye": True, "examples": ["goodbye", "good bye", "bye", "that is all", "tschüss"]},
        {
            "name": "book_table",
            "agent": "book_table",
            "examples": ["book a table", "reserve a table for tonight", "..."],
            "entities": {
                "guests": {"question": "For how many?", "pattern": r"\d+"},
                "name": {"question": "Under which name?"},
                "wish": None,
            },
        },
    )
)


async def detect(text: str, **facts: Any) -> IntentDetected:
    return await OfflineIntents().detect(CallContext(**{"bot": BOT, **facts}), text)


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("where is my order", "order_status"),
        ("Could you please tell me where my order is?", "order_status"),
        ("track order one two three", "order_status"),
        ("my parcels are late, when will they arrive", "order_status"),
        ("What are your opening times?", "opening_hours"),
        ("Are you open today?", "opening_hours"),
        ("Wann habt ihr geöffnet?", "opening_hours"),
        ("okay thank you very much, bye bye", "goodbye"),
        ("that's all, thanks!", "goodbye"),
        ("Tschüß", "goodbye"),
        ("I'd like to reserve a table", "book_table"),
        (
            "I was wondering whether you could tell me what time you close because my mother is coming",
            "opening_hours",
        ),
    ],
)
async def test_wish_is_recognised_in_the_callers_own_words(text: str, intent: str) -> None:
    found = await detect(text)

    assert found.intent == intent
    assert 0.6 <= found.confidence <= 1


@pytest.mark.parametrize(
    "text", ["I like bananas", "what is the weather in Paris", "hello", "uh", "नमस्ते", "...", "", "where is my hotel"]
)
async def test_what_is_none_of_the_intents_is_not_named(text: str) -> None:
    found = await detect(text)

    assert (found.intent, found.requires_agent) == ("", False)
    assert found.confidence < FLOOR


async def test_caller_who_could_mean_either_is_not_believed() -> None:
    bot = BotSettings(
        intents=(
            {"name": "cancel_order", "examples": ["cancel my order"]},
            {"name": "change_order", "examples": ["change my order"]},
        )
    )

    torn, sure = await detect("my order", bot=bot), await detect("cancel my order", bot=bot)

    assert torn.confidence < 0.6
    assert (sure.intent, sure.confidence) == ("cancel_order", 1)


async def test_bot_without_intents_leaves_everything_to_the_model() -> None:
    history = (Message(role="caller", text="hi", item_id="u1"), Message(role="assistant", text="Hello"))

    found = await detect("anything", bot=BotSettings(), history=history)

    assert found == IntentDetected(confidence=1.0, item_id="u1")


async def test_intents_without_examples_are_never_meant() -> None:
    found = await detect("order", bot=BotSettings(intents=({"name": "order"},)))

    assert found == IntentDetected()


async def test_intent_brings_its_agent_and_what_was_said_for_it() -> None:
    found = await detect("where is my order one two three", history=(Message(role="caller", text="x", item_id="u7"),))

    assert (found.requires_agent, found.agent_type, found.item_id) == (True, "order_status", "u7")
    assert (found.entities, found.missing) == ({"order_number": "123"}, ())


async def test_what_the_caller_has_not_said_is_missing_if_there_is_a_question_for_it() -> None:
    found = await detect("book a table")

    assert found.missing == ("guests", "name")


async def test_answer_to_our_question_goes_on_with_the_wish() -> None:
    asked = {"intent": "book_table", "missing": ("guests", "name"), "entities": {"wish": "window"}}

    found = await detect("four people", **asked)

    assert (found.intent, found.confidence) == ("book_table", 0.9)
    assert found.entities == {"wish": "window", "guests": "4"}
    assert found.missing == ("name",)


async def test_answer_without_a_pattern_is_taken_as_it_is() -> None:
    found = await detect(" Ada Lovelace. ", intent="book_table", missing=("name",), entities={"guests": "4"})

    assert found.entities == {"guests": "4", "name": "Ada Lovelace."}
    assert found.missing == ()


async def test_caller_may_change_their_mind_instead_of_answering() -> None:
    found = await detect("when are you open", intent="book_table", missing=("name",), entities={"guests": "4"})

    assert (found.intent, found.entities) == ("opening_hours", {})


async def test_caller_who_says_the_wish_again_keeps_what_was_said() -> None:
    found = await detect("book a table", intent="book_table", missing=("guests",), entities={"name": "Ada"})

    assert (found.entities, found.missing) == ({"name": "Ada"}, ("guests",))


async def test_wish_of_an_earlier_turn_does_not_lend_its_entities() -> None:
    found = await detect("where is my order", intent="order_status", entities={"order_number": "123"})

    assert found.entities == {}


async def test_examples_are_prepared_once_a_bot_and_for_a_bounded_number_of_bots() -> None:
    detector = OfflineIntents()
    bots = [BotSettings(intents=({"name": "bye", "examples": ["bye"]},)) for _ in range(65)]

    found = [await detector.detect(CallContext(bot=bot), "bye") for bot in [*bots, bots[-1]]]

    assert {intent.intent for intent in found} == {"bye"}
    assert len(detector._prepared) == 1
