from __future__ import annotations

import json
import wave
from importlib.resources import files
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection

from adapters.simulators.audio import duration_ms, write_stereo_wav
from adapters.simulators.misbehaviour import Misbehaviour
from adapters.simulators.realtime import Reply, Request, Rule
from adapters.simulators.realtime.listening import Detector
from adapters.simulators.realtime.script import FunctionCall, Progress
from adapters.simulators.scenario import Scenario, ScenarioError, load_scenario, run_scenario
from adapters.simulators.voices import clip_name, recorded, spoken
from tests.adapters.simulators.rawserver import Bridge, bridged, clear, elapse, first_sid, media

LOUD = b"\x00"


def scenario(*turns: dict[str, object], **parts: object) -> Scenario:
    return Scenario.model_validate({"turns": list(turns), **parts})


async def test_a_call_is_played_turn_by_turn(tmp_path: Path) -> None:
    async def talk(socket: ServerConnection, bridge: Bridge) -> None:
        """Greets, answers at 3 s, is interrupted, and hangs up at 8 s."""
        sid = await first_sid(socket)
        await socket.send(media(sid, LOUD * 8000))
        await elapse(3)
        await socket.send(media(sid, LOUD * 40000))
        await elapse(1.5)
        await socket.send(clear(sid))
        await elapse(3.5)
        await socket.close()

    turns: tuple[dict[str, object], ...] = (
        {"silence": 500},
        {"say": "Hello?"},
        {"heard": 1000},
        {"say": "Where is my order?"},
        {"press": "1"},
        {"pause": 100},
        {"go_dark": 40},
        {"end": True},
    )
    async with bridged(talk) as bridge:
        result = await run_scenario(scenario(*turns), bridge.url, call_sid="CA7", recording=tmp_path / "call.wav")

    happened = [(event.at_ms, event.name, event.detail) for event in result.events[1:]]
    assert happened[:2] == [(1500, "said", "Hello?"), (4000, "said", "Where is my order?")]
    assert [name for _, name, _ in happened[2:]] == ["pressed", "stream closed", "ended"]
    assert (result.outcome, result.call_sid, result.problems) == ("ended", "CA7", ())
    assert result.completed
    assert (result.heard_ms, result.duration_ms) == (2500, 8000)
    assert [(piece.at_ms, duration_ms(piece.sound)) for piece in result.heard] == [(0, 1000), (3000, 1500)]
    assert result.recording == tmp_path / "call.wav"
    with wave.open(str(result.recording)) as file:
        assert file.getnframes() / 8 == pytest.approx(8000, abs=60)


async def test_a_caller_may_hang_up_or_break_off() -> None:
    async with bridged() as bridge:
        hung_up = await run_scenario(scenario({"pause": 100}, {"hang_up": True}), bridge.url)
        aborted = await run_scenario(scenario({"pause": 100}, {"abort": True}), bridge.url)

    assert (hung_up.outcome, aborted.outcome) == ("hung_up", "aborted")
    assert bridge.codes == [1000, 1006]


async def test_what_does_not_happen_is_told_and_ends_the_call() -> None:
    async with bridged() as bridge:
        silent = await run_scenario(scenario({"pause": 10}, {"silence": 700, "within": 5000}), bridge.url)
        endless = await run_scenario(scenario({"end": True, "within": 5000}), bridge.url)
        cut = await run_scenario(
            scenario({"heard": 1}, {"say": "Hello?"}), bridge.url, misbehaviour=Misbehaviour(abort_after_ms=30)
        )

    assert silent.problems == ("turn 2 (silence): it did not happen within 5000 ms",)
    assert silent.duration_ms == 5010
    assert endless.problems == ("turn 1 (end): it did not happen within 5000 ms",)
    assert cut.problems == ("turn 1 (heard): the call was over (aborted) before it happened",)
    assert not cut.completed


async def test_a_file_may_be_played(tmp_path: Path) -> None:
    write_stereo_wav(tmp_path / "question.wav", b"\x10" * 1600, b"\x10" * 1600)
    (tmp_path / "call.yaml").write_text("turns:\n- {play: question.wav, text: Where is my order?}\n")

    played = load_scenario(tmp_path / "call.yaml")
    async with bridged() as bridge:
        result = await run_scenario(played, bridge.url, speed=2)

    assert result.completed
    assert len(bridge.of("media")) == 10
    assert Progress(played.script()).next_utterance().text == "Where is my order?"


def test_the_model_understands_what_the_caller_says() -> None:
    script = scenario({"say": "One"}, {"pause": 1}, {"say": "Two"}).script(speed=2)
    progress = Progress(script)

    assert [progress.next_utterance().text for _ in range(3)] == ["One", "Two", ""]
    assert (script.transcription_s, script.think_s) == (0.15, 0.1)


def test_the_models_part() -> None:
    model = {
        "utterances": ["Eins"],
        "rules": [{"purpose": "greeting", "say": "Hi."}],
        "replies": ["A.", {"say": "B.", "calls": [{"name": "f", "arguments": {"x": 1}}]}],
        "default_reply": "C.",
    }

    script = scenario({"say": "One"}, model=model).script()

    assert list(script.rules) == [Rule(purpose="greeting", answer=Reply(text="Hi."))]
    assert list(script.replies) == ["A.", Reply(text="B.", calls=(FunctionCall(name="f", arguments={"x": 1}),))]
    assert script.default_reply == "C."
    assert Progress(script).next_utterance().text == "Eins"


def test_the_bundled_demo_greets_and_answers_with_recorded_clips() -> None:
    demo = load_scenario("demo")
    progress = Progress(demo.script())

    said = [turn.say for turn in demo.turns if turn.say]
    greeting = progress.reply_to(Request(purpose="greeting", instructions="Greet.", heard=(), outputs={}))
    hours = progress.reply_to(Request(purpose="answer", instructions="", heard=(said[0],), outputs={}))

    assert [text for text in said if clip_name(text, "caller") not in shipped()] == []
    assert clip_name(greeting.text, "model") in shipped()
    assert clip_name(hours.text, "model") in shipped()
    assert duration_ms(spoken(hours.text, "model")) > 8000  # long enough to be interrupted


@pytest.mark.parametrize("text", recorded()["caller"].values())
def test_each_clip_of_the_caller_is_one_utterance_to_the_most_impatient_detector(text: str) -> None:
    settings = {"type": "server_vad", "silence_duration_ms": 200}

    edges = Detector().hear(spoken(text, "caller") + b"\xff" * 8000, "audio/pcmu", settings)

    assert [edge.kind for edge in edges] == ["started", "stopped"]


def shipped() -> set[str]:
    return {file.name for file in files("adapters.simulators.voices").iterdir() if file.name.endswith(".ulaw")}


def test_every_recorded_text_has_its_clip_and_all_are_small() -> None:
    listed = {clip_name(text, voice) for voice, texts in recorded().items() for text in texts}

    assert listed == shipped()
    folder = files("adapters.simulators.voices")
    assert sum(len((folder / name).read_bytes()) for name in listed) < 1_000_000
    assert json.loads((folder / "clips.json").read_text())["caller"][0] == "Hello?"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("turns:\n- {say: Hi, press: '1'}\n", "turns.0: Value error, a turn is exactly one of say, play"),
        ("turns:\n- {within: 3}\n", "turns.0: Value error, a turn is exactly one of"),
        ("turns:\n- {says: Hi}\n", "turns.0.says: Extra inputs are not permitted"),
        ("turns: [", "while parsing"),
        ("name: x\n", "turns: Field required"),
    ],
)
def test_a_wrong_scenario_is_refused_with_the_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "call.yaml"
    path.write_text(text)

    with pytest.raises(ScenarioError, match="call.yaml") as refused:
        load_scenario(path)
    assert message in str(refused.value)


@pytest.mark.parametrize("name", ["nothing", "/nowhere/call.yaml"])
def test_a_scenario_that_does_not_exist(name: str) -> None:
    with pytest.raises(ScenarioError, match="No such file"):
        load_scenario(name)
