"""The picture of one call: its path coloured and numbered."""

from __future__ import annotations

from adapters.diagram.svg import svg
from adapters.diagram.trail import trail
from fsm.diagram.sketch import sketch
from tests.adapters.diagram.geometry import collisions, groups, read
from tests.adapters.diagram.test_svg import classes, text_of
from tests.fsm.diagram_charts import SMALL, chart_of

CALL = [
    ("waiting", "call.started", "talking"),
    ("talking", "user.transcript", "helping"),
    ("helping", "call.dtmf", "helping"),
    ("helping", "agent.completed", "talking"),
    ("talking", "call.dtmf", "talking"),
    ("talking", "user.transcript", "talking"),
    ("talking", "user.transcript", "helping"),
    ("helping", "sts.failed", "over"),
]


def test_visits_and_steps_are_counted() -> None:
    path = trail(sketch(chart_of(SMALL)), CALL)

    assert {name: path.counts[name] for name in ("waiting", "talking", "helping", "over")} == {
        "waiting": 1,
        "talking": 3,
        "helping": 2,
        "over": 1,
    }
    assert path.steps["talking", "helping"] == [2, 7]
    assert path.steps["live", "over"] == [8]
    assert path.counts["edge-talking-talking-1"] == 1


def test_event_of_the_root_takes_the_arrow_of_any_state() -> None:
    path = trail(sketch(chart_of(SMALL)), [("waiting", "call.ended", "over")])

    assert path.steps == {("any state", "over"): [1]}


def test_step_that_no_arrow_stands_for_still_counts_its_visit() -> None:
    path = trail(sketch(chart_of(SMALL)), [("waiting", "unheard.of", "over")])

    assert path.counts["over"] == 1
    assert path.steps == {}


def test_time_out_that_fired_is_drawn() -> None:
    path = trail(sketch(chart_of(SMALL)), [("waiting", "after.ring", "over")])

    assert path.counts["timer-waiting-ring"] == 1
    assert path.steps == {("waiting", "over"): [1]}
    (arrow,) = (arrow for arrow in path.sketch.arrows if (arrow.source, arrow.target) == ("waiting", "over"))
    assert [line.text for line in arrow.lines] == ["call.started [at_capacity]", "time-out ring"]


def test_time_out_that_fired_twice_is_drawn_once() -> None:
    chart = chart_of("{id: c, initial: a, states: {a: {after: {1000: b}}, b: {after: {1000: a, 2000: b}}}}")

    path = trail(sketch(chart), [("a", "after.1000", "b"), ("b", "after.1000", "a"), ("a", "after.1000", "b")])

    assert path.steps == {("a", "b"): [1, 3], ("b", "a"): [2]}
    assert len(path.sketch.arrows) == 2


def test_time_out_that_stays_draws_nothing() -> None:
    shape = sketch(chart_of(SMALL))

    path = trail(shape, [("helping", "after.unknown", "helping")])

    assert path.sketch == shape


def test_wildcard_line_is_taken_by_what_it_covers() -> None:
    chart = chart_of("{id: c, initial: a, states: {a: {on: {'error.*': b}}, b: {type: final}}}")

    assert trail(sketch(chart), [("a", "error.action.x", "b")]).steps == {("a", "b"): [1]}


def test_call_that_did_nothing_was_in_its_first_state() -> None:
    assert trail(sketch(chart_of(SMALL)), []).counts == {"waiting": 1}


def test_path_is_coloured_and_the_rest_is_grey() -> None:
    picture = svg(chart_of(SMALL), visited=CALL)

    root = read(picture)
    assert "visited" in classes(root, "state-talking")
    assert "visited" in classes(root, "edge-talking-helping-1")
    assert "unvisited" in classes(root, "edge-any_state-over-1")
    assert "unvisited" in classes(root, "any-state")
    assert "visited" in classes(root, "edge-talking-talking-1")
    assert "steps 2, 7" in text_of(groups(root, "edge")["edge-talking-helping-1"])
    assert "step 8" in text_of(groups(root, "edge")["edge-live-over-1"])
    assert text_of(groups(root, "state")["state-talking"]).endswith("3")
    assert collisions(picture) == []


def test_event_that_was_taken_shows_even_where_the_label_is_cut() -> None:
    events = ", ".join(f"event_{n}: b" for n in range(12))
    chart = chart_of(f"{{id: c, initial: a, states: {{a: {{on: {{{events}}}}}, b: {{}}}}}}")

    root = read(svg(chart, visited=[("a", "event_11", "b")]))

    assert text_of(groups(root, "edge")["edge-a-b-1"]).splitlines()[:2] == ["step 1", "event_11"]
