"""What a chart's words mean once they are loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import fsm
from fsm.chart import State, matches
from fsm.errors import ChartError, Position, Problem
from fsm.load import load_chart, read_chart
from tests.fsm.charting import REGISTRY, load, write

TINY = """\
id: tiny
initial: a
states:
  a: {on: {call.ended: b}}
  b: {type: final}
"""


def rows(state: State, event: str) -> list[tuple[str | None, list[str], list[str]]]:
    return [(r.target, [str(g) for g in r.guards], [a.type for a in r.actions]) for r in state.on[event]]


def test_the_bundled_charts_load_by_name_with_or_without_suffix() -> None:
    assert load_chart("voice_call").id == "voice_call"
    assert load_chart("voice_call.yaml").hash == load_chart("voice_call").hash
    assert fsm.load_chart is load_chart


def test_fsm_has_nothing_else_to_offer() -> None:
    with pytest.raises(AttributeError, match="no attribute 'store_chart'"):
        fsm.store_chart  # noqa: B018  # the look-up is the test


def test_a_file_is_found_without_its_suffix(tmp_path: Path) -> None:
    write(tmp_path, TINY, "mine.yaml")

    assert load_chart(tmp_path / "mine").id == "tiny"


def test_yaml_1_2_is_read(tmp_path: Path) -> None:
    chart = load(
        tmp_path,
        """
        id: tiny
        version: 12:30
        initial: no
        delays: {yes: 500ms}
        states:
          no: {on: {call.ended: off}, after: {yes: off}}
          off: {type: final, meta: {octal: 0o17, hex: 0x1f, ratio: 1.5e1, on: true, none: ~, text: '1', nan: 012}}
        """,
    )

    assert chart.version == "12:30"
    assert chart.delays == {"yes": 0.5}
    assert chart.state("off").meta == {
        "octal": 15, "hex": 31, "ratio": 15.0, "on": True, "none": None, "text": "1", "nan": 12,
    }  # fmt: skip


def test_json_is_read(tmp_path: Path) -> None:
    text = json.dumps(
        {
            "$schema": "voice_call.schema.json",
            "id": "tiny",
            "initial": "a",
            "states": {"a": {"after": {"1500": {"target": "b"}}, "description": "\U0001f600/"}, "b": {"type": "final"}},
        },
        indent="\t",
    )

    chart = load_chart(write(tmp_path, text, "c.json"))

    assert chart.state("a").description == "\U0001f600/"
    assert chart.delay("1500") == 1.5


def test_places_are_those_of_the_file(tmp_path: Path) -> None:
    chart = load(tmp_path, TINY)
    (row,) = chart.state("a").on["call.ended"]

    assert chart.state("b").at == Position(str(tmp_path / "c.yaml"), 5, 3)
    assert (row.at.line, row.at.column, row.path) == (4, 24, "states.a.on.call.ended")
    assert chart.positions["states.a.on.call.ended"].column == 12
    assert chart.state("b").path == "states.b"


def test_rows_are_written_in_xstates_ways(tmp_path: Path) -> None:
    chart = load(
        tmp_path,
        """
        id: tiny
        initial: a
        states:
          a:
            on:
              call.ended: b
              call.lost:
                - {guard: can_return}
                - {guard: {not: {not: can_wait}}, target: b, actions: note}
                - {guard: [{not: known}, {type: left, params: {of: 2}}], actions: [one, {type: two, params: {x: [1]}}]}
                - b
              user.idle: ~
            ignore: [user.silent]
          b: {type: final}
        """,
    )
    a = chart.state("a")

    assert rows(a, "call.ended") == [("b", [], [])]
    assert rows(a, "call.lost") == [
        (None, ["can_return"], []),
        ("b", ["can_wait"], ["note"]),
        (None, ["not known", "left"], ["one", "two"]),
        ("b", [], []),
    ]
    assert a.on["call.lost"][2].actions[1].params == {"x": [1]}
    assert rows(a, "user.idle") == rows(a, "user.silent") == [(None, [], [])]


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("lobby", "lobby"),
        (".inner", "inner"),
        (".inner.deep", "deep"),
        ("talk.inner.deep", "deep"),
        ("deep", "deep"),
        ("#hall", "lobby"),
        ("#tiny.talk.inner", "inner"),
        ("#inner.deep", "deep"),
        ("#deep", "deep"),
        ("other", "other"),
        ("inner.deep", "deep"),
    ],
)
def test_targets_are_xstates_or_a_name(tmp_path: Path, target: str, name: str) -> None:
    chart = load(
        tmp_path,
        f"""
        id: tiny
        initial: talk
        states:
          talk:
            initial: inner
            on: {{call.ended: "{target}"}}
            states:
              inner: {{initial: deep, states: {{deep: {{}}}}}}
              other: {{}}
          lobby: {{id: hall}}
        """,
    )

    assert chart.state("talk").on["call.ended"][0].target == name
    assert chart.parents["deep"] == "inner"


def test_a_row_of_the_chart_itself_names_any_state(tmp_path: Path) -> None:
    chart = load(tmp_path, TINY + "on: {call.ended: b, call.lost: .a}\nafter: {1000: b}\n")

    assert [row.target for row in chart.root.rows()] == ["b", "a", "b"]
    assert chart.root.after["1000"][0].event == "after.1000"


def test_services_stand_with_their_ends(tmp_path: Path) -> None:
    chart = load(
        tmp_path,
        """
        id: tiny
        initial: a
        states:
          a:
            invoke:
              - {id: one, src: run_agent, params: {deadline: 3.0}, onDone: b, onError: [{target: b}]}
              - {id: two, src: {type: run_agent, params: {deadline: 4.0}}}
            on: {done.invoke.two: b}
          b: {type: final}
        """,
        registry=REGISTRY,
    )
    a = chart.state("a")

    assert [(i.id, i.type, i.params) for i in a.invoke] == [
        ("one", "run_agent", {"deadline": 3.0}),
        ("two", "run_agent", {"deadline": 4.0}),
    ]
    assert rows(a, "done.invoke.one") == rows(a, "error.invoke.one") == [("b", [], [])]


@pytest.mark.parametrize(
    ("written", "length"),
    [("15s", 15.0), ("500ms", 0.5), ("10m", 600.0), ("2h", 7200.0), ("3", 3.0), ("1.5", 1.5), ("0.25 s", 0.25)],
)
def test_delays_are_durations(tmp_path: Path, written: str, length: float) -> None:
    chart = load(tmp_path, TINY + f"delays: {{x: {written}}}\n")

    assert chart.delays == {"x": length}


def test_delays_can_be_overridden_by_name_and_the_hash_stays(tmp_path: Path) -> None:
    path = write(tmp_path, TINY + "delays: {setup: 10s, agent: 1m}\n")

    chart = load_chart(path, delays={"setup": 2})

    assert chart.delays == {"setup": 2.0, "agent": 60.0}
    assert chart.hash == load_chart(path).hash


@pytest.mark.parametrize(
    ("delays", "message"),
    [
        ({"setp": 1.0}, "the chart 'tiny' has no delay 'setp'; did you mean 'setup'?"),
        ({"setup": -1.0}, "the delay 'setup' takes seconds, at least 0, not -1.0"),
        ({"setup": float("nan")}, "the delay 'setup' takes seconds, at least 0, not nan"),
    ],
)
def test_a_wrong_override_is_an_error(tmp_path: Path, delays: dict[str, float], message: str) -> None:
    with pytest.raises(ChartError) as caught:
        load_chart(write(tmp_path, TINY + "delays: {setup: 10s}\n"), delays=delays)

    assert caught.value.message == message


def test_the_hash_is_of_the_meaning(tmp_path: Path) -> None:
    plain = load(tmp_path, TINY)
    other = load(
        tmp_path,
        """
        # the same, written otherwise
        states:
          a:
            on:
              call.ended:
                - target: "#tiny.b"
          b:
            type: "final"
        initial: a
        id: tiny
        """,
    )
    longer = load(tmp_path, TINY + "delays: {x: 1s}\n")

    assert plain.hash == other.hash
    assert len(plain.hash) == 16
    assert plain.hash != longer.hash


def test_all_problems_are_in_the_error(tmp_path: Path) -> None:
    path = write(tmp_path, "id: tiny\ninitial: x\nstates:\n  a: {on: {call.ended: nowhere}}\n")

    with pytest.raises(ChartError, match=r"c.yaml:2:10: 'x' is no state in 'tiny'.* \(and 1 more\)") as caught:
        load_chart(path)

    assert [problem.code for problem in caught.value.problems] == ["unknown-state", "unknown-state"]
    assert caught.value.code == "unknown-state"
    assert str(caught.value.problems[1]).endswith("(at states.a.on.call.ended)")
    assert caught.value.problems[0].to_json() == {
        "code": "unknown-state",
        "severity": "error",
        "file": str(path),
        "line": 2,
        "column": 10,
        "path": "initial",
        "message": "'x' is no state in 'tiny'; known: a",
    }


def test_a_wildcard_matches_what_xstate_says() -> None:
    assert matches("error.action.speak", "error.action.*")
    assert matches("error.action", "error.action.*")
    assert matches("anything", "*")
    assert not matches("error.actions.speak", "error.action.*")
    assert not matches("error.action.speak", "error.action")


def test_a_state_tries_its_own_rows_before_those_of_wildcards(tmp_path: Path) -> None:
    chart = load(
        tmp_path,
        TINY.replace("call.ended: b", "call.ended: {actions: [c]}, '*': {actions: [a]}, call.*: {actions: [b]}"),
    )
    a = chart.state("a")

    assert [row.actions[0].type for row in a.candidates("call.ended")] == ["c", "b", "a"]
    assert [row.actions[0].type for row in a.candidates("user.idle")] == ["a"]


def test_loose_takes_what_is_not_registered(tmp_path: Path) -> None:
    text = TINY.replace("call.ended: b", "ticket.bought: {guard: paid, target: b, actions: [print_ticket]}")

    assert load(tmp_path, text, registry=REGISTRY, loose=True).id == "tiny"
    assert load(tmp_path, text, loose=True).id == "tiny"
    chart, problems = read_chart(write(tmp_path, text), registry=REGISTRY)
    assert chart is None
    assert [problem.code for problem in problems] == ["unknown-event", "unknown-guard", "unknown-action"]


def test_an_unknown_state_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(ChartError, match="no state is called 'c'"):
        load(tmp_path, TINY).state("c")


def test_a_problem_reads_as_a_line() -> None:
    at = Position("c.yaml", 3, 7)

    assert str(Problem("dead-row", "warning", "never taken", at, "on.x")) == (
        "c.yaml:3:7: warning: never taken [dead-row] (at on.x)"
    )
    assert str(Problem("empty", "error", "nothing")) == "error: nothing [empty]"
