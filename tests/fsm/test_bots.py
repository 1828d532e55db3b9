"""Bots: what a file makes of them, who serves which number, and how mistakes are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fsm.bots import Bots, check_bots, dialled, load_bots
from fsm.context import BotSettings
from fsm.errors import ChartError
from handlers import REGISTRY as REAL
from tests.fsm.charting import cases, told, write

AGENTS = ["order_status"]


def load(folder: Path, text: str, **options: Any) -> Bots:
    return load_bots(write(folder, text, "bots.yaml"), **options)


def test_the_bundled_bots_serve_every_number() -> None:
    bots = load_bots(None, REAL, agents=AGENTS)

    assert sorted(bots.by_name) == ["default", "demo", "listener"]
    assert bots.find(called="+49301234567").name == "default"
    assert bots.find(called="+49301234567", bot="demo").settings.name == "demo"
    assert bots.find(bot="nobody").name == "default"
    assert check_bots(registry=REAL, agents=AGENTS) == []


def test_the_demos_bot_knows_what_callers_want() -> None:
    demo = load_bots().find(bot="demo").settings

    assert [intent["name"] for intent in demo.intents] == ["greeting", "opening_hours", "order_status", "goodbye"]
    assert demo.intent("goodbye")["goodbye"] is True
    assert demo.intent("order_status")["agent"] == "order_status"
    assert demo.intent("order_status")["deadline"] == 60.0
    assert all(intent["examples"] for intent in demo.intents)


def test_a_bot_fills_in_what_its_chart_leaves_open(tmp_path: Path) -> None:
    bot = load(
        tmp_path,
        """
        shop:
          description: A shop.
          chart: eager
          numbers: ["+49 (30) 123-4567", "1000"]
          instructions: Be brief.
          greeting: Say hello.
          voice: cedar
          language: de-AT
          model: gpt-realtime-mini
          transcription_model: whisper-1
          turn_detection: {type: semantic_vad, eagerness: high}
          tools: [{name: look_up, description: Looks up., parameters: {type: object, properties: {}}}, {name: stop}]
          intents:
            - name: hours
              examples: when
              reply: Nine to five.
              deadline: 500ms
              entities: {day: , hour: {question: When?}}
            - {name: bye, goodbye: true}
          idle_after: 8s
          longest_call: 10m
          largest_cost: 2
          delays: {farewell: 20s}
        """,
    ).find(bot="shop")

    assert bot.settings == BotSettings(
        name="shop",
        instructions="Be brief.",
        greeting="Say hello.",
        voice="cedar",
        language="de-AT",
        model="gpt-realtime-mini",
        transcription_model="whisper-1",
        turn_detection={"type": "semantic_vad", "eagerness": "high"},
        tools=(
            {"name": "look_up", "description": "Looks up.", "parameters": {"type": "object", "properties": {}}},
            {"name": "stop", "parameters": {"type": "object", "properties": {}}},
        ),
        intents=(
            {
                "name": "hours",
                "examples": ["when"],
                "reply": "Nine to five.",
                "deadline": 0.5,
                "entities": {"day": {}, "hour": {"question": "When?"}},
            },
            {"name": "bye", "goodbye": True, "examples": []},
        ),
        idle_after=8.0,
        longest_call=600.0,
        largest_cost=2.0,
    )
    assert bot.chart.id == "eager"
    assert bot.chart.delays["farewell"] == 20.0
    assert bot.numbers == ("+49 (30) 123-4567", "1000")


def test_numbers_lead_to_bots(tmp_path: Path) -> None:
    bots = load(
        tmp_path,
        """
        shop: {numbers: ["+49 30 1", "1000"]}
        +49 30 2: {greeting: Hello.}
        +49 30 3: shop
        """,
    )

    assert bots.find(called="+49301").name == "shop"
    assert bots.find(called="0049 30 1").name == "shop"
    assert bots.find(called="sip:1000@pbx.example").name == "shop"
    assert bots.find(called="+49-30-2").settings.greeting == "Hello."
    assert bots.find(called="49303").name == "shop"
    assert bots.find(called="+49304").name == "default"
    assert bots.find().settings.instructions.startswith("You are a friendly telephone assistant")
    assert "demo" not in bots.by_name


def test_a_files_own_default_serves_every_other_number(tmp_path: Path) -> None:
    bots = load(tmp_path, "default: {language: fr}\nshop:\n")

    assert bots.find(called="+331").settings.language == "fr"
    assert bots.find(bot="shop").settings == BotSettings(name="shop")


@pytest.mark.parametrize(
    ("written", "digits"),
    [("+49 30 12", "493012"), ("tel:+1-555", "1555"), ("0049", "49"), ("sips:42@x", "42"), ("100", "100"), ("", "")],
)
def test_a_number_is_compared_by_its_digits(written: str, digits: str) -> None:
    assert dialled(written) == digits


def test_chosen_delays_stand_above_the_bots_and_the_charts(tmp_path: Path) -> None:
    text = "a: {delays: {farewell: 20s, setup: 5s}}\nb: {chart: eager}\n"

    bots = load(tmp_path, text, delays={"FAREWELL": 3.0, "detecting": 1.0})

    assert bots.find(bot="a").chart.delays["farewell"] == 3.0
    assert bots.find(bot="a").chart.delays["setup"] == 5.0
    assert bots.find(bot="b").chart.delays["setup"] == 10.0
    assert "detecting" not in bots.find(bot="b").chart.delays


def test_a_chosen_delay_that_no_chart_has_is_told(tmp_path: Path) -> None:
    with pytest.raises(ChartError) as caught:
        load(tmp_path, "a:\n", delays={"farwell": 3.0})

    assert str(caught.value).startswith("CALLCHART_DELAY_FARWELL: no bot's chart has a delay 'farwell'; did you mean")


@pytest.mark.parametrize("case", cases("wrong_bots"), ids=lambda case: case["bot"])
def test_a_wrong_bot_is_told(tmp_path: Path, case: dict[str, Any]) -> None:
    path = write(tmp_path, case["bot"], "bots.yaml")
    code, column, below = case["told"]
    name = case["bot"].partition(":")[0]

    problem = check_bots(path, agents=AGENTS)[0]

    assert told(problem) == (code, 1, column, f"{name}.{below}" if below else name)
    assert problem.message.startswith(case["message"])
    assert problem.at.file == str(path)


def test_who_lets_the_model_speak_is_not_the_bots_business(tmp_path: Path) -> None:
    text = "shop: {turn_detection: {type: server_vad, create_response: true, threshold: 0.5}}"
    path = write(tmp_path, text, "bots.yaml")

    (problem,) = check_bots(path)

    assert (problem.code, problem.severity, problem.path) == (
        "decided-by-chart",
        "warning",
        "shop.turn_detection.create_response",
    )
    assert load_bots(path).find(bot="shop").settings.turn_detection == {"type": "server_vad", "threshold": 0.5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "a bots file is a mapping, not a list"),
        ("a: {", "this is not YAML: "),
        ("shop:\n+4930: shp\n", "no bot is called 'shp'; did you mean 'shop'?"),
        ("shop: {numbers: ['1']}\n2: shop\n001:\n", "001 is served by 'shop' already (line 1)"),
        ("shop: {numbers: ['1']}\n1: shop\n", "1 is served by 'shop' already (line 1)"),
        ("shop: {chart: mine.yaml}", "there is no chart 'mine.yaml'"),
    ],
)
def test_a_wrong_file_is_told(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text, "bots.yaml")

    with pytest.raises(ChartError) as caught:
        load_bots(path)

    assert caught.value.message.startswith(message)
    assert caught.value.at.file == str(path)


def test_a_wrong_chart_is_told_once_and_in_its_own_file(tmp_path: Path) -> None:
    chart = write(tmp_path, "id: x\ninitial: a\nstates: {b: {}}\n", "mine.yaml")
    path = write(tmp_path, "a: {chart: mine.yaml}\nb: {chart: mine}\n", "bots.yaml")

    (problem,) = check_bots(path)

    assert (problem.at.file, problem.at.line, problem.code) == (str(chart), 2, "unknown-state")


def test_charts_of_bots_are_checked_against_the_registry(tmp_path: Path) -> None:
    write(tmp_path, "extends: voice_call\nstates: {closed: {entry: [wave]}}\n", "mine.yaml")
    path = write(tmp_path, "a: {chart: mine.yaml}\n", "bots.yaml")

    (problem,) = check_bots(path, REAL)

    assert problem.code == "unknown-action"
    assert check_bots(path, REAL, loose=True) == []
