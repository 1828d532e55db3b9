"""`callchart simulate`: cases in, traces out, and what is said of a line that is no case."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fsm.compile import Machine, compile_chart
from fsm.context import CallContext
from fsm.load import load_chart
from fsm.registry import Registry
from fsm.simulate import SimulateError, simulate
from fsm.triggers import Trigger

CHARTS = Path(__file__).parent / "charts"


def busy(call: CallContext, trigger: Trigger) -> bool:
    return False


def answered(call: CallContext, trigger: Trigger) -> bool:
    return False


def at_least(call: CallContext, trigger: Trigger, *, lines: int) -> bool:
    return False


def note_answer(call: CallContext, trigger: Trigger, *, by: str) -> CallContext:
    return call


def action(name: str) -> Any:
    def act(session: object, trigger: Trigger) -> None:
        raise AssertionError("a simulation calls nothing")

    act.__name__ = name
    return act


async def listen_in(session: object, trigger: Trigger) -> None:
    raise AssertionError("a simulation calls nothing")


REGISTRY = Registry(
    guards=(busy, answered, at_least),
    reducers=(note_answer,),
    actions=tuple(
        action(name)
        for name in ("open_line", "close_line", "note_end", "too_long", "ring_again", "greet", "fall_silent",
                     "apologise", "give_up", "hang_up")
    ),
    services=(listen_in,),
)  # fmt: skip


@pytest.fixture(scope="module")
def machine() -> Machine:
    return compile_chart(load_chart(CHARTS / "simulated.yaml", registry=REGISTRY), REGISTRY)


def run(machine: Machine, *steps: dict[str, Any]) -> list[tuple[str, list[str]]]:
    (line,) = simulate(machine, [json.dumps(steps)], registry=REGISTRY)
    return [(entry["state"], entry["actions"]) for entry in json.loads(line)["trace"]]


ANSWERED = {"event": "call.started", "guards": {"at_least": True}}


# -- traces --------------------------------------------------------------------------------------------


def test_trace_begins_with_the_initial_state_and_has_one_entry_per_step(machine: Machine) -> None:
    assert run(machine) == [("ringing", ["open_line"])]
    assert run(machine, {"event": "user.idle"}, {"advance": 1}) == [("ringing", ["open_line"])] + [("ringing", [])] * 2


def test_actions_are_bare_names_with_exit_entry_and_reducers_and_without_invokes(machine: Machine) -> None:
    trace = run(machine, ANSWERED, {"event": "user.speaking", "data": {"heard_ms": 5}})

    assert trace[1:] == [("talking", ["note_answer", "greet"]), ("talking", ["fall_silent", "greet"])]


def test_the_end_runs_the_exit_actions_of_what_was_still_active(machine: Machine) -> None:
    trace = run(machine, ANSWERED, {"event": "call.ended"})

    assert trace[2] == ("over", ["fall_silent", "note_end", "hang_up", "close_line"])


def test_refused_step_repeats_the_state_without_actions(machine: Machine) -> None:
    assert run(machine, {"event": "user.speaking"}, {"event": "call.started", "guards": {}})[1:] == [
        ("ringing", []),
        ("ringing", []),
    ]


def test_after_the_end_every_step_repeats_the_state_and_no_timer_fires(machine: Machine) -> None:
    trace = run(
        machine, {"event": "call.ended"}, {"event": "call.started"}, {"advance": 20_000}, {"event": "call.ended"}
    )

    assert trace[2:] == [("over", [])] * 3


def test_guard_that_is_not_named_is_false_and_its_negation_holds(machine: Machine) -> None:
    assert run(machine, {"event": "call.started", "guards": {"busy": False}})[1][0] == "ringing"
    assert run(machine, {"event": "call.started", "guards": {"busy": True}})[1][0] == "ringing"


def test_named_guard_holds_for_all_its_parameters(machine: Machine) -> None:
    assert run(machine, {"event": "call.started", "guards": {"at_least": True}})[1][1] == ["note_answer", "greet"]
    assert run(machine, {"event": "call.started", "guards": {"at_least": True, "busy": True}})[1][0] == "talking"


def test_guards_of_one_step_do_not_reach_the_next(machine: Machine) -> None:
    steps = {"event": "user.idle", "guards": {"at_least": True}}, {"event": "call.started"}

    assert run(machine, *steps)[2] == ("ringing", [])


def test_failures_of_registered_actions_and_ends_of_services_are_events(machine: Machine) -> None:
    assert run(machine, ANSWERED, {"event": "error.action.greet"})[2] == ("talking", ["apologise"])
    assert run(machine, ANSWERED, {"event": "done.invoke.listen"})[2][0] == "over"
    assert run(machine, {"event": "error.invoke.listen"})[1][0] == "over"
    assert run(machine, ANSWERED, {"event": "error.action.hang_up"})[2] == ("talking", [])


def test_cases_do_not_know_of_each_other(machine: Machine) -> None:
    first, second = simulate(machine, ['[{"advance": 1999}]\n', '[{"advance": 1}]\n'], registry=REGISTRY)

    assert first == second


def test_an_answer_comes_before_the_next_line_is_read(machine: Machine) -> None:
    lines = iter(["[]"])

    assert next(simulate(machine, lines, registry=REGISTRY)) == (
        '{"trace": [{"state": "ringing", "actions": ["open_line"]}]}'
    )


def test_chart_that_is_over_at_once_stays_over(tmp_path: Path) -> None:
    file = tmp_path / "short.yaml"
    file.write_text("id: short\ninitial: over\nentry: [a]\nexit: [b]\nstates: {over: {type: final, entry: [c]}}\n")

    trace = next(simulate(compile_chart(load_chart(file, loose=True)), ['[{"advance": 5}]'], loose=True))

    assert json.loads(trace)["trace"] == [
        {"state": "over", "actions": ["a", "c", "b"]},
        {"state": "over", "actions": []},
    ]


# -- time ----------------------------------------------------------------------------------------------


def test_timer_fires_when_it_is_due_and_not_a_millisecond_before(machine: Machine) -> None:
    assert run(machine, {"advance": 1999}, {"advance": 1})[1:] == [("ringing", []), ("ringing", ["ring_again"])]
    assert run(machine, {"advance": 1999.75}, {"advance": 0.25})[2] == ("ringing", ["ring_again"])


def test_timer_whose_guard_says_no_is_spent(machine: Machine) -> None:
    assert run(machine, {"advance": 2000, "guards": {"answered": True}}, {"advance": 7999})[1:] == [("ringing", [])] * 2


def test_one_advance_fires_every_timer_that_comes_due_chained_ones_too(machine: Machine) -> None:
    trace = run(machine, ANSWERED, {"advance": 10_000})

    assert trace[2] == ("over", ["fall_silent", "give_up", "ring_again", "too_long", "hang_up", "close_line"])


def test_entering_again_starts_timers_anew(machine: Machine) -> None:
    trace = run(machine, ANSWERED, {"advance": 2999}, {"event": "user.speaking"}, {"advance": 2999}, {"advance": 1})

    assert trace[4:] == [("talking", []), ("ringing", ["fall_silent", "give_up"])]


def test_timers_due_together_fire_parent_first(tmp_path: Path) -> None:
    file = tmp_path / "ties.yaml"
    file.write_text(
        "id: ties\ninitial: a\ndelays: {x: 1s}\nafter: {x: {actions: [root]}}\n"
        "states: {a: {initial: b, after: {x: {actions: [outer]}}, states: {b: {after: {1000: {actions: [inner]}}}}}}\n"
    )

    trace = next(simulate(compile_chart(load_chart(file, loose=True)), ['[{"advance": 1000}]'], loose=True))

    assert json.loads(trace)["trace"][1]["actions"] == ["root", "outer", "inner"]


def test_timers_that_never_come_to_rest_are_an_error(tmp_path: Path) -> None:
    file = tmp_path / "restless.yaml"
    file.write_text("id: restless\ninitial: a\nstates: {a: {after: {0: {target: a, reenter: true}}}}\n")

    with pytest.raises(SimulateError, match=r"line 1: step 1: the chart's timers do not come to rest"):
        list(simulate(compile_chart(load_chart(file, loose=True)), ['[{"advance": 0}]'], loose=True))


# -- lines that are no cases ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nonsense", "not JSON: "),
        ("[" * 200_000, "not JSON: "),
        ('{"event": "user.idle"}', "a case is a list of steps"),
        ("7", "a case is a list of steps"),
        ('["user.idle"]', "step 1: a step is "),
        ("[{}]", "step 1: a step is "),
        ('[{"advance": 1}, null]', "step 2: a step is "),
        ('[{"guards": {}}]', "step 1: a step is "),
        ('[{"event": "user.idel"}]', "step 1: no event is called 'user.idel'; did you mean 'user.idle'?"),
        ('[{"event": ""}]', "step 1: `event` must be an event's name"),
        ('[{"event": 7}]', "step 1: `event` must be an event's name"),
        ('[{"event": null}]', "step 1: `event` must be an event's name"),
        ('[{"event": ["user.idle"]}]', "step 1: `event` must be an event's name"),
        ('[{"event": "error.action.sing"}]', "step 1: no event is called 'error.action.sing'"),
        ('[{"event": "error.action.note_answer"}]', "step 1: no event is called 'error.action.note_answer'"),
        ('[{"event": "done.invoke.other"}]', "step 1: no event is called 'done.invoke.other'"),
        ('[{"event": "after.setup"}]', "step 1: a timer such as 'after.setup' cannot be posted"),
        ('[{"event": "user.idle", "advance": 5}]', "step 1: a step has no 'advance'"),
        ('[{"event": "user.idle", "guard": {}}]', "step 1: a step has no 'guard'; did you mean 'guards'?"),
        ('[{"advance": 5, "data": {}}]', "step 1: a step has no 'data'"),
        ('[{"evnet": "user.idle"}]', "step 1: a step has no 'evnet'; did you mean 'event'?"),
        ('[{"event": "user.idle", "data": []}]', "step 1: `data` must be an object"),
        ('[{"event": "user.idle", "data": null}]', "step 1: `data` must be an object"),
        ('[{"event": "user.idle", "guards": ["busy"]}]', "step 1: `guards` must be an object"),
        ('[{"event": "user.idle", "guards": []}]', "step 1: `guards` must be an object"),
        ('[{"event": "user.idle", "guards": null}]', "step 1: `guards` must be an object"),
        ('[{"event": "user.idle", "guards": {"busy": 1}}]', "step 1: guard 'busy' must be true or false"),
        ('[{"advance": 1, "guards": {"bussy": true}}]', "step 1: no guard is called 'bussy'; did you mean 'busy'?"),
        ('[{"advance": -1}]', "step 1: `advance` must be milliseconds"),
        ('[{"advance": "8s"}]', "step 1: `advance` must be milliseconds"),
        ('[{"advance": true}]', "step 1: `advance` must be milliseconds"),
        ('[{"advance": NaN}]', "step 1: `advance` must be milliseconds"),
        ('[{"advance": 1e300}]', "step 1: `advance` must be milliseconds"),
        ('[{"advance": null}]', "step 1: `advance` must be milliseconds"),
    ],
)
def test_bad_line_is_named_with_its_step_and_the_nearest_right_name(machine: Machine, line: str, message: str) -> None:
    answers = simulate(machine, ["[]\n", f"{line}\n", "[]\n"], registry=REGISTRY)
    next(answers)

    with pytest.raises(SimulateError) as caught:
        next(answers)

    assert caught.value.line == 2
    assert caught.value.message.startswith(message)
    assert str(caught.value).startswith("line 2: ")


def test_steps_after_the_end_are_checked_too(machine: Machine) -> None:
    with pytest.raises(SimulateError, match="step 2: no event is called 'nonsense'"):
        run(machine, {"event": "call.ended"}, {"event": "nonsense"})


@pytest.mark.parametrize(("lines", "count"), [([], 0), (["\n"], 0), (["[]\n", "\n", "  \n"], 1)])
def test_blank_lines_at_the_end_are_no_cases(machine: Machine, lines: Sequence[str], count: int) -> None:
    assert len(list(simulate(machine, lines, registry=REGISTRY))) == count


def test_blank_line_between_cases_is_bad(machine: Machine) -> None:
    with pytest.raises(SimulateError, match="line 2: the line is blank"):
        list(simulate(machine, ["[]\n", "\n", "[]\n"], registry=REGISTRY))


# -- loose ---------------------------------------------------------------------------------------------


def test_loose_accepts_names_that_nobody_knows() -> None:
    machine = compile_chart(load_chart(CHARTS / "wildcards.yaml", loose=True))
    line = '[{"event": "line.strange", "guards": {"second": true, "unheard_of": true}}, {"event": "strange"}]'

    trace = json.loads(next(simulate(machine, [line], loose=True)))["trace"]

    assert trace[1:] == [
        {"state": "quiet", "actions": ["root_line_2"]},
        {"state": "quiet", "actions": ["root_star"]},
    ]


def test_loose_still_posts_no_timers() -> None:
    machine = compile_chart(load_chart(CHARTS / "simulated.yaml", loose=True))

    with pytest.raises(SimulateError, match="'after.setup' cannot be posted"):
        list(simulate(machine, ['[{"event": "after.setup"}]'], loose=True))


def test_without_a_registry_the_events_of_phone_calls_and_the_guards_of_the_chart_are_known() -> None:
    machine = compile_chart(load_chart(CHARTS / "simulated.yaml", loose=True))
    good = '[{"event": "call.dtmf", "guards": {"busy": true}}, {"event": "error.action.greet"}]'

    assert len(list(simulate(machine, [good]))) == 1
    with pytest.raises(SimulateError, match="no guard is called 'buzy'"):
        list(simulate(machine, ['[{"event": "call.dtmf", "guards": {"buzy": true}}]']))
