"""A chart that extends another: RFC 7396, with every value in the place where it really stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsm.errors import ChartError
from fsm.load import load_chart, read_chart
from fsm.sources import bundled_names
from tests.fsm.charting import told, write

BASE = """\
id: base
initial: a
delays: {nap: 1s, rest: 2s}
states:
  a: {on: {call.ended: [b, b], user.idle: b}, after: {nap: b}}
  b: {type: final}
"""


def test_eager_answers_without_a_transcript_and_has_no_intent() -> None:
    eager = load_chart("eager")

    assert [row.actions[0].type for row in eager.state("listening").on["user.silent"]] == ["answer"]
    assert "intent" not in eager.parents
    assert "detecting" not in eager.delays
    assert eager.preempt == load_chart("voice_call").preempt
    assert bundled_names() == ["eager", "listen", "voice_call"]


def test_values_merge_lists_replace_and_null_removes(tmp_path: Path) -> None:
    write(tmp_path, BASE, "base.yaml")

    chart = load_chart(
        write(
            tmp_path,
            """
            id: mine
            extends: base
            delays: {nap: 3s, new: 4s, rest: null}
            states:
              a:
                on: {call.ended: b, user.idle: null, call.lost: {target: c}}
                entry: wave
              c: {on: {call.ended: null}, type: final, meta: {x: {y: null, z: 1}}}
            """.replace("on: {call.ended: null}, ", ""),
        )
    )

    assert chart.id == "mine"
    assert chart.delays == {"nap": 3.0, "new": 4.0}
    assert list(chart.state("a").on) == ["call.ended", "call.lost"]
    assert len(chart.state("a").on["call.ended"]) == 1
    assert chart.state("a").after["nap"][0].target == "b"
    assert chart.state("c").meta == {"x": {"z": 1}}


def test_problems_stand_where_the_value_stands(tmp_path: Path) -> None:
    base = write(tmp_path, BASE.replace("user.idle: b", "user.idle: d"), "base.yaml")
    mine = write(tmp_path, "extends: base.yaml\nstates:\n  a: {after: {nap: x}}\n", "mine.yaml")

    chart, problems = read_chart(mine)

    assert chart is None
    assert [(p.at.file, *told(p)[1:]) for p in problems] == [
        (str(base), 5, 43, "states.a.on.user.idle"),
        (str(mine), 3, 20, "states.a.after.nap"),
    ]


def test_chains_are_followed_beside_each_file(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    write(tmp_path, BASE, "deep/base.yaml")
    write(tmp_path, "id: middle\nextends: base.yaml", "deep/middle.yaml")

    chart = load_chart(write(tmp_path, "extends: deep/middle.yaml\ndelays: {rest: 5s}"))

    assert chart.id == "middle"
    assert chart.delays == {"nap": 1.0, "rest": 5.0}


def test_a_file_may_extend_the_bundled_chart_of_its_own_name(tmp_path: Path) -> None:
    chart = load_chart(write(tmp_path, "extends: voice_call.yaml\ndelays: {setup: 1s}", "voice_call.yaml"))

    assert chart.delays["setup"] == 1.0
    assert chart.hash != load_chart("voice_call").hash
    assert chart.state("live").at.file == "fsm/charts/voice_call.yaml"


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("extends: d.yaml", "extends: c.yaml", "the chart extends itself: c.yaml → d.yaml → c.yaml"),
        ("extends: c.yaml", "", "the chart extends itself"),
        ("extends: [d]", "", "`extends` names a chart, not a list"),
        ("extends: ''", "", "`extends` names a chart, not the text ''"),
        ("extends: nope", "", "there is no chart 'nope'; known: c.yaml, d.yaml, eager, listen, voice_call"),
        ("extends: voice_cll", "", "there is no chart 'voice_cll'; did you mean 'voice_call'?"),
        ("extends: ..", "", "'..' is a folder, not a chart"),
    ],
)
def test_a_wrong_extends_is_told(tmp_path: Path, first: str, second: str, message: str) -> None:
    path = write(tmp_path, first)
    write(tmp_path, second or BASE, "d.yaml")

    with pytest.raises(ChartError) as caught:
        load_chart(path)

    assert caught.value.message == message
    assert caught.value.path == "extends"
    assert caught.value.at.column == 10


def test_an_extended_file_that_is_no_mapping_is_told_where_it_stands(tmp_path: Path) -> None:
    base = write(tmp_path, "\n- a", "base.yaml")

    with pytest.raises(ChartError, match="a chart is a mapping, not a list") as caught:
        load_chart(write(tmp_path, "id: x\nextends: base.yaml"))

    assert (caught.value.at.file, caught.value.at.line) == (str(base), 2)


def test_a_row_stands_above_what_the_extended_chart_ignores(tmp_path: Path) -> None:
    base = BASE.replace("  a: {", "  a: {ignore: [user.silent, call.dtmf], ")
    write(tmp_path, base, "base.yaml")

    chart = load_chart(write(tmp_path, "extends: base.yaml\nstates: {a: {on: {call.dtmf: b}}}", "mine.yaml"))

    assert [row.target for row in chart.state("a").candidates("call.dtmf")] == ["b"]
    assert [row.target for row in chart.state("a").candidates("user.silent")] == [None]


def test_what_the_extended_chart_has_rows_for_is_not_ignored_in_passing(tmp_path: Path) -> None:
    write(tmp_path, BASE, "base.yaml")

    chart, problems = read_chart(write(tmp_path, "extends: base.yaml\nstates: {a: {ignore: [user.idle]}}", "mine.yaml"))

    assert chart is None
    assert [problem.code for problem in problems] == ["duplicate-event"]
