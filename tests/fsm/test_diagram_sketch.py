"""What is to be seen of a chart, before any language of pictures."""

from __future__ import annotations

import pytest

from fsm import load_chart
from fsm.diagram.sketch import Sketch, sketch
from fsm.diagram.words import duration
from tests.fsm.diagram_charts import SMALL, chart_of


def arrow_lines(shape: Sketch) -> dict[tuple[str, str], list[str]]:
    return {(arrow.source, arrow.target): [line.text for line in arrow.lines] for arrow in shape.arrows}


def test_rows_between_the_same_two_states_share_one_arrow() -> None:
    arrows = arrow_lines(sketch(chart_of(SMALL)))

    assert arrows["talking", "helping"] == [
        "tool.called",
        "user.transcript [confidence_at_least 0.6]",
        "user.transcript [not is_blank]",
    ]


def test_row_that_all_children_but_one_override_starts_at_that_child() -> None:
    arrows = arrow_lines(sketch(chart_of(SMALL)))

    assert ("live", "helping") not in arrows
    assert ("helping", "helping") not in arrows


def test_row_that_no_child_overrides_starts_at_the_frame_once() -> None:
    arrows = arrow_lines(sketch(chart_of(SMALL)))

    assert arrows["live", "over"] == ["sts.failed"]
    assert ("talking", "over") not in arrows


def test_row_of_the_root_hangs_on_any_state() -> None:
    assert arrow_lines(sketch(chart_of(SMALL)))["any state", "over"] == ["call.ended"]


def test_row_back_to_its_own_state_is_a_line_in_the_box() -> None:
    box = sketch(chart_of(SMALL)).box("talking")

    assert [line.text for line in box.loops] == ["user.transcript [else]"]


def test_row_without_target_is_told_in_the_tooltip_only() -> None:
    box = sketch(chart_of(SMALL)).box("helping")

    assert "tool.called / refuse_tool" in box.details
    assert "ignored: user.transcript" in box.details


def test_time_outs_and_services_stand_in_the_box() -> None:
    shape = sketch(chart_of(SMALL))

    assert [note.text for note in shape.box("waiting").notes] == ["20s → over"]
    assert [(note.kind, note.text) for note in shape.box("helping").notes] == [
        ("invoke", "run_agent"),
        ("timer", "1.5s [is_slow]"),
    ]


def test_rows_that_differ_only_in_their_actions_are_one_line() -> None:
    shape = sketch(
        chart_of("""
id: c
initial: a
states:
  a:
    on:
      e: [{guard: g, target: z}, {guard: h, target: b, actions: [x]}, {guard: i, target: b}, {target: b, actions: [y]}]
      f: [{guard: g, target: b}, {guard: h, target: b}]
  b: {on: {e: z}}
  z: {type: final}
""")
    )
    arrow = next(arrow for arrow in shape.arrows if (arrow.source, arrow.target) == ("a", "b"))

    assert [line.text for line in arrow.lines] == ["e [else]", "f [g]", "f [h]"]
    assert arrow.lines[0].rows == ("e [h] → b / x", "e [i] → b", "e → b / y")


def test_wildcard_of_a_child_overrides_what_it_covers() -> None:
    shape = sketch(
        chart_of("""
id: c
initial: a
on: {error.action.x: b, other: b}
states:
  a: {on: {error.action.*: {actions: [note]}}}
  b: {on: {'*': {actions: [note]}, end: z}}
  z: {type: final}
""")
    )

    assert arrow_lines(shape) == {("a", "b"): ["other"], ("b", "z"): ["end"]}


def test_boxes_stand_in_the_order_of_a_call() -> None:
    shape = sketch(load_chart("voice_call", loose=True))

    assert [box.name for box in shape.boxes] == [
        "created",
        "greeting",
        "listening",
        "intent",
        "agent",
        "ending",
        "closed",
        "any state",
    ]


def test_state_that_nothing_leads_to_stands_last() -> None:
    shape = sketch(chart_of("{id: c, initial: b, states: {a: {on: {e: z}}, b: {on: {e: z}}, z: {type: final}}}"))

    assert [box.name for box in shape.boxes] == ["b", "z", "a"]


def test_target_that_is_a_compound_state_is_its_initial_leaf() -> None:
    shape = sketch(
        chart_of("""
id: c
initial: a
states:
  a: {on: {e: outer}}
  outer:
    description: Around.
    initial: inner
    after: {1000: {target: a}}
    states:
      inner: {initial: leaf, states: {leaf: {on: {e: a}}}}
""")
    )

    assert ("a", "leaf") in arrow_lines(shape)
    assert [(frame.name, frame.parent) for frame in shape.frames] == [("outer", ""), ("inner", "outer")]
    assert [note.text for note in shape.frames[0].notes] == ["1s → a"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.5, "500ms"),
        (0, "0ms"),
        (1.5, "1.5s"),
        (1.25, "1.25s"),
        (15, "15s"),
        (90, "1.5m"),
        (61, "61s"),
        (600, "10m"),
        (7200, "2h"),
    ],
)
def test_durations_are_spelled_as_in_charts(seconds: float, words: str) -> None:
    assert duration(seconds) == words
