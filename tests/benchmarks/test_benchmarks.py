"""The benchmarks run, and measure what they say; how fast anything is, no test asks."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.carriers.twilio.codec import Media
from fsm.simulate import simulate
from fsm.triggers import CallEnded
from handlers import REGISTRY
from tests.benchmarks import memory, node, speed, stores, storm
from tests.benchmarks.calls import a_call_in_agent, bundled_machine, simulated_cases
from tests.benchmarks.relay import bridge, delta, frames
from tests.benchmarks.report import Figure, interleaved, main, table
from tests.benchmarks.storm_plan import fault, plan_call

FIGURES = [
    Figure(name="calls", reached=300),
    Figure(name="ratio", reached=4.5, unit="x", goal=4.0),
    Figure(name="bytes", reached=2000, unit="bytes", goal=1024, better="lower"),
    Figure(name="left", reached=0, goal=0, better="exactly", note="none"),
]


def test_table_shows_each_figure_beside_its_goal() -> None:
    assert [line.split() for line in table(FIGURES).splitlines()] == [
        ["reached", "goal"],
        ["calls", "300"],
        ["ratio", "4.50", "x", ">=", "4", "x", "ok"],
        ["bytes", "2,000", "bytes", "<=", "1,024", "bytes", "MISSED"],
        ["left", "0", "=", "0", "ok", "none"],
    ]


def test_missed_goal_is_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(lambda smoke: FIGURES, "Figures.", ["--json"]) == 1
    assert main(lambda smoke: FIGURES[:2], "Figures.", ["--smoke"]) == 0

    assert [f["ok"] for f in json.loads(capsys.readouterr().out.splitlines()[0])] == [True, True, False, True]


def test_a_short_run_judges_what_holds_on_every_machine_alone() -> None:
    slow = Figure(name="commits", reached=1, goal=20_000)
    left = Figure(name="tasks", reached=1, goal=0, better="exactly")

    assert main(lambda smoke: [slow], "Figures.", ["--smoke", "--json"]) == 0
    assert main(lambda smoke: [slow], "Figures.", ["--json"]) == 1
    assert main(lambda smoke: [left], "Figures.", ["--smoke", "--json"]) == 1


def test_sides_take_turns_and_medians_are_compared() -> None:
    order: list[str] = []

    def side(name: str, *took: float) -> Callable[[], float]:
        left = iter(took)

        def measure() -> float:
            order.append(name)
            return next(left)

        return measure

    medians = interleaved(3, side("left", 9.0, 1.0, 2.0), side("right", 5.0, 5.0, 7.0))

    assert medians == [2.0, 5.0]
    assert order == ["left", "right"] * 3


def test_plan_is_the_same_for_every_machine_and_ends_the_call() -> None:
    plan = plan_call(1, 2)

    assert plan == plan_call(1, 2)
    assert plan != plan_call(1, 3)
    assert {trigger.name for when, trigger in plan.events if when == plan.ends} & {
        "call.ended", "call.lost", "session.shutdown"
    }  # fmt: skip


def test_one_handler_in_twenty_raises_and_three_in_a_hundred_outlast_their_deadline() -> None:
    faults = Counter(fault(f"CA{n}", "hang_up", 1).kind for n in range(20_000))

    assert faults["raises"] / 20_000 == pytest.approx(0.05, abs=0.01)
    assert faults["outlasts"] / 20_000 == pytest.approx(0.03, abs=0.01)


@pytest.mark.parametrize("all_async", [False, True])
def test_small_storm_leaves_nothing(all_async: bool) -> None:
    left = storm.run(storm.on_sessions, [plan_call(3, n) for n in range(40)], all_async)

    assert left["calls"] == 40
    assert left["steps"] > 200
    assert [f.name for f in storm.goals(left) if not f.ok] == []


def test_storm_notices_what_is_left() -> None:
    left = Counter({"calls": 1, "not closed": 1, "tasks": 2})

    assert [f.name for f in storm.goals(left) if not f.ok] == ["not closed", "tasks"]


@pytest.mark.parametrize("peer", [storm.on_async_machine, storm.on_guarded_machine])
def test_same_storm_runs_on_an_async_machine(peer: object) -> None:
    left = storm.run(peer, [plan_call(3, n) for n in range(10)], False)  # type: ignore[arg-type]  # a coroutine function

    assert left["calls"] == 10
    assert left["never closed"] <= left["not closed"] <= 10


async def test_agent_is_at_work_when_the_caller_hangs_up() -> None:
    session = await a_call_in_agent(bundled_machine(), "CA1", agent_takes=20.0)

    assert session.state == "agent"
    session.post(CallEnded())
    await session.wait_settled()
    assert session.state == "closed"


@pytest.mark.timeout(90)  # of 3 s of computing, on a machine that others use too
def test_steps_that_are_timed_are_taken() -> None:
    figures = speed.steps(rounds=1, times=2)

    assert [figure.name for figure in figures][0] == "post -> done, three plain actions"
    assert all(figure.reached > 0 for figure in figures)


def test_simulated_cases_are_cases_of_the_bundled_chart() -> None:
    lines, steps = simulated_cases(20)

    traces = [json.loads(line)["trace"] for line in simulate(bundled_machine(), lines, registry=REGISTRY)]

    assert sum(len(trace) - 1 for trace in traces) == steps == 200
    assert {entry["state"] for trace in traces for entry in trace} >= {"listening", "intent", "agent", "closed"}


async def test_idle_calls_are_listening() -> None:
    calls = memory.Calls(5)
    await calls.create()

    await calls.listen()

    assert [session.state for session in calls.manager] == ["listening"] * 5
    await calls.end()


async def test_frames_and_deltas_arrive_at_the_other_end() -> None:
    async with bridge() as (codec, events, model, caller, line):
        for text in frames(3):
            media = codec.receive(text)
            assert isinstance(media, Media)
            events.on_audio(media.payload, media.timestamp_ms)
        line.sts.respond(purpose="answer")
        await model.answering.wait()
        arrived = caller.expect(4)
        model.say(delta(1))
        await arrived.wait()

        assert model.heard == 3


async def test_operations_on_a_store_do_what_they_are_called(tmp_path: Path) -> None:
    async with stores.opened("memory", tmp_path) as one:
        assert one is not None
        kit = stores.Kit(one.store)
        call = kit.another()

        await kit.create(call)
        await kit.update(call, 2)
        read = await kit.get(call.context.call_id)
        resumed = await kit.resume(call.context.call_id)

        assert read == resumed
        assert read.context == call.context
        assert len(read.context.history) == 20
        assert {len(message.text) for message in read.context.history} == {60}
        assert [entry.version for entry in await one.store.log(call.context.call_id)] == [1, 2]


@pytest.mark.timeout(180)
def test_every_store_is_measured_beside_the_figures_of_others() -> None:
    figures = {figure.name: figure for figure in stores.measure(smoke=True)}

    for operation in stores.OTHERS:
        assert "others" in figures[f"memory: {operation}, p50"].note
        assert figures[f"memory: {operation}, p50"].goal == 50.0
        assert figures[f"redis: {operation}, p50"].goal == figures["redis: round trip (PING), p50"].reached + 100.0
    assert figures["redis: key of a bare snapshot, journal apart"].ok
    assert figures["memory: a session of 20 messages, journal apart"].ok
    assert figures["memory: 200 sessions, journal apart"].reached > 0
    assert figures["redis: commits a second, written behind 256 calls"].reached > 0


def test_a_node_is_measured_with_all_that_looks_at_a_step_and_keeps_nothing_of_calls_that_ended() -> None:
    figures = {figure.name: figure for figure in node.measure(smoke=True)}

    shares = dict(share.split() for share in figures["all that looks at a step"].note.split(", "))
    assert {"Activity", "WriteBehind", "Here", "Hub"} <= set(shares)
    assert all(figure.reached > 0 for figure in list(figures.values())[:4])
    assert figures["an idle call of 50, everything wired"].reached < 50_000
    assert figures["of a call that has ended, the newest events apart"].reached < 1_000


async def test_a_conversation_whose_steps_are_looked_at_is_one() -> None:
    _, steps, _ = node.conversation("CA1", turns=2)

    assert {step.trigger.name for step in steps} >= {"init", "user.transcript", "intent.detected", "reply.finished"}
    assert [message.role for message in steps[-1].after.context.history] == ["assistant", "caller"] * 2
