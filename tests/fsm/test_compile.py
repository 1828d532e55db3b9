"""How a chart is flattened: which rows stand where, and what cannot be flattened. XState judges the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fsm.chart import Chart, GuardRef, Invoke, Ref, Row, State
from fsm.compile import Machine, compile_chart
from fsm.errors import ChartError
from fsm.load import load_chart
from fsm.registry import Registry

CHARTS = Path(__file__).parent / "charts"


def chart(*, on: Row | None = None, **root: Any) -> Chart:
    """Return a chart of one state, `a`, whose root has the row `on`, and what else is given."""
    rows = {on.event: (on,)} if on else {}
    states = {"a": State(name="a", on=root.pop("inside", {}))}
    return Chart(id="c", root=State(name="c", initial="a", on=rows, states=states, **root), parents={"a": "c"})


def taken(machine: Machine, leaf: str, event: str, node: str = "") -> list[tuple[str, ...]]:
    return [row.names for row in machine.rows(leaf, event, node) or ()]


def test_rows_of_wildcards_come_after_those_of_the_name_and_the_closest_first() -> None:
    machine = compile_chart(load_chart(CHARTS / "wildcards.yaml", loose=True))

    assert taken(machine, "quiet", "line.busy") == [
        ("quiet_exact",), ("quiet_busy", "enter_loud"), ("top_line",),
        ("root_busy",), ("exit_top", "root_line", "enter_top", "enter_quiet"), ("root_line_2",), ("root_star",),
    ]  # fmt: skip


def test_events_that_only_wildcards_know_are_found_too() -> None:
    machine = compile_chart(load_chart(CHARTS / "wildcards.yaml", loose=True))

    assert taken(machine, "deaf", "line.x") == [(), ("top_line",), *taken(machine, "deaf", "line.free")[2:]]
    assert machine.rows("deaf", "nothing.like.it") == machine.rows("deaf", "nor.this")


def test_event_that_nothing_expects_has_no_rows() -> None:
    assert compile_chart(chart()).rows("a", "call.started") is None


def test_delays_of_one_length_are_one_timer() -> None:
    machine = compile_chart(load_chart(CHARTS / "timers.yaml", loose=True))
    one = machine.leaves["one"]

    assert [timer.event for timer in one.timers] == ["after.short", "after.long"]
    assert taken(machine, "one", "after.short", "one") == [("one_short",), ("one_equal",)]


def test_timer_of_one_node_is_not_that_of_another() -> None:
    machine = compile_chart(load_chart(CHARTS / "timers.yaml", loose=True))

    assert taken(machine, "one", "after.short", "first") == [("first_short",)]
    assert machine.rows("one", "after.half", "one") is None


def test_timer_without_rows_does_nothing() -> None:
    machine = compile_chart(chart(after={"1000": ()}))

    assert machine.rows("a", "after.1000", "c") == ()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (Row(event="x", target="a", reenter=True), "a row of the root cannot re-enter it"),
        (Row(event="x", target="c", reenter=True), "a row of the root cannot re-enter it"),
    ],
)
def test_root_is_not_entered_again(row: Row, message: str) -> None:
    with pytest.raises(ChartError, match=message):
        compile_chart(chart(on=row))


def test_no_row_leads_to_the_root() -> None:
    with pytest.raises(ChartError, match="a row cannot lead to the root"):
        compile_chart(chart(inside={"x": (Row(event="x", target="c"),)}))


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"on": Row(event="x", guards=(GuardRef(type="nobody"),))}, "no guard is called 'nobody'"),
        ({"on": Row(event="x", actions=(Ref(type="nobody"),))}, "no action is called 'nobody'"),
        ({"entry": (Ref(type="nobody"),)}, "no action is called 'nobody'"),
        ({"invoke": (Invoke(id="i", type="nobody"),)}, "no service is called 'nobody'"),
    ],
    ids=["guard", "action", "entry", "service"],
)
def test_names_that_are_not_registered_do_not_compile(part: dict[str, Any], message: str) -> None:
    with pytest.raises(ChartError, match=message):
        compile_chart(chart(**part), Registry())


def test_without_a_registry_names_stand_for_nothing() -> None:
    machine = compile_chart(chart(on=Row(event="x", guards=(GuardRef(type="nobody"),)), entry=(Ref(type="nobody"),)))
    (row,) = machine.rows("a", "x") or ()

    assert [guard.function() for guard in row.guards] == [False]
    assert [action.function() for action in machine.start.entering] == [None]
