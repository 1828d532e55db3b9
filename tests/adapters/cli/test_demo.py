"""`callchart demo`: a whole call over real sockets, in as little time as there can be."""

from __future__ import annotations

import array
import json
import re
import wave
from pathlib import Path
from xml.etree import ElementTree

import pytest

from adapters.cli import demo_call
from adapters.simulators.scenario import Scenario, load_scenario
from tests.adapters.cli.conftest import Command


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_whole_call_is_shown_and_kept(callchart: Command, folder: Path) -> None:
    ran = callchart("demo", "--speed", "0", "--data-dir", str(folder / "data"))
    assert (ran.code, ran.err) == (0, "")
    steps = re.findall(r"^ +([\d.]+)  (\S+) +(\w+ → \w+)", ran.out, re.MULTILINE)
    assert [way for _, _, way in steps] == [
        "created → greeting", "greeting → listening",
        "listening → intent", "intent → listening",
        "listening → intent", "intent → agent", "agent → listening",
        "listening → intent", "intent → ending", "ending → closed",
    ]  # fmt: skip
    assert [float(at) for at, _, _ in steps] == sorted(float(at) for at, _, _ in steps)
    said = re.findall(r"^ +(caller|assistant):", ran.out, re.MULTILINE)
    assert said == ["assistant", *["caller", "assistant"] * 4]
    assert ran.out.count("— interrupted") == 1
    assert "\x1b" not in ran.out  # no terminal, no colours
    left = next(line for line in ran.out.splitlines() if line.startswith("left open"))
    assert re.findall(r"(\d+) [a-z]", left.partition(" after ")[0]) == ["0"] * 7
    (call,) = (folder / "data" / "calls").iterdir()
    written = dict(re.findall(r"^(recording|transcript|journal|diagram) +(\S+)$", ran.out, re.MULTILINE))
    assert {Path(path) for path in written.values()} == set(call.iterdir()) - {call / "results"}
    assert_recording(call / "recording.wav")
    assert_journal(call / "journal.jsonl")
    transcript = json.loads((call / "transcript.json").read_text("utf-8"))
    assert [m["role"] for m in transcript["messages"] if m["role"] in ("caller", "assistant")] == said
    assert_diagram(call / "diagram.svg")


def assert_recording(path: Path) -> None:
    with wave.open(str(path)) as recording:
        assert (recording.getnchannels(), recording.getframerate()) == (2, 8000)
        assert 15 < recording.getnframes() / 8000 < 40
        samples = array.array("h", recording.readframes(recording.getnframes()))
    for side in (samples[0::2], samples[1::2]):
        loud = sum(abs(sample) > 1000 for sample in side)
        assert loud > 8000, "a side that is silent"
        assert loud < len(side) / 2, "a side that is never silent"


def assert_journal(path: Path) -> None:
    records = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    steps = [record for record in records if "event" in record]
    assert [record["seq"] for record in steps] == list(range(1, len(steps) + 1))
    assert steps[-1]["to"] == "closed"


def assert_diagram(path: Path) -> None:
    root = ElementTree.fromstring(path.read_bytes())
    assert root.get("data-chart") == "voice_call"
    classes = {part.get("id"): part.get("class", "") for part in root.iter() if part.get("id")}
    visited = {name for name, looks in classes.items() if "visited" in looks.split()}
    assert {"state-created", "state-agent", "state-closed"} <= visited
    assert "unvisited" in classes["any-state"].split()


def test_the_users_settings_do_not_change_it(callchart: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "TWILIO_AUTH_TOKEN": "secret",
        "OPENAI_REALTIME_URL": "ws://127.0.0.1:9/v1/realtime",
        "CALLCHART_BOTS": "nowhere.yaml",
        "CALLCHART_HANDLERS": "nowhere:REGISTRY",
        "CALLCHART_PUBLIC_URL": "https://bot.example.net",
        "MAX_CALLS": "none",
        "CALLCHART_DATA_DIR": "elsewhere",
    }.items():
        monkeypatch.setenv(name, value)
    ran = callchart("demo", "--speed", "0")
    assert (ran.code, ran.err) == (0, "")
    assert "recording  elsewhere/calls/CA" in ran.out


def test_a_call_that_goes_otherwise_is_told_and_exits_1(
    callchart: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hangs_up(name: str) -> Scenario:
        scenario = load_scenario(name)
        first = scenario.turns[0]
        return scenario.model_copy(update={"turns": (first, first.model_validate({"hang_up": True}))})

    monkeypatch.setattr(demo_call, "load_scenario", hangs_up)
    ran = callchart("demo", "--speed", "0")
    assert ran.code == 1
    assert "the call was to end with a good-bye, and is hung_up (caller_hung_up)" in ran.err


def test_a_number_that_the_bot_does_not_serve_is_told(
    callchart: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong_number(name: str) -> Scenario:
        return load_scenario(name).model_copy(update={"called": "+15550199"})

    monkeypatch.setattr(demo_call, "load_scenario", wrong_number)
    ran = callchart("demo", "--speed", "0")
    assert ran.code == 1
    assert "the bot 'default' answered, not 'demo'" in ran.err


@pytest.mark.parametrize("speed", ["fast", "-1", "inf", "nan"])
def test_a_speed_is_a_number(callchart: Command, speed: str) -> None:
    ran = callchart("demo", f"--speed={speed}")
    assert ran.code == 2
    assert f"{speed!r} is not a speed" in ran.err


def test_one_pace_is_chosen(callchart: Command) -> None:
    assert callchart("demo", "--speed", "2", "--real-time").code == 2
