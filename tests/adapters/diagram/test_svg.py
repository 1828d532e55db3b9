"""The picture of a chart: what is in it, and that nothing in it collides."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.diagram.svg import svg
from fsm import load_chart
from fsm.chart import Chart, GuardRef, Row, State
from fsm.diagram import RENDERER, compare
from tests.adapters.diagram.geometry import boxes, collisions, groups, lines, outside, read
from tests.fsm.diagram_charts import SMALL, chart_of

LONG = "a_name_that_nobody_would_give_to_a_state_but_somebody_will_do_so_one_day"
ONE_STATE = "{id: lone, initial: only, states: {only: {type: final}}}"
LONG_NAMES = f"""
id: long
initial: {LONG}
delays: {{{LONG}: 1h}}
states:
  {LONG}:
    on: {{{LONG}.happened: {{guard: [{LONG}, {LONG}], target: {LONG}_2}}}}
    after: {{{LONG}: {{target: {LONG}_2}}}}
  {LONG}_2: {{on: {{back: {LONG}}}}}
"""
MANY = "\n".join(
    [
        "id: many",
        "initial: s0",
        "states:",
        *(f"  s{n}: {{on: {{next: s{(n + 1) % 60}, jump: s{(n * 7 + 3) % 60}}}}}" for n in range(60)),
    ]
)
DEEP = """
id: deep
initial: one
on: {anywhere: last}
states:
  one:
    initial: two
    on: {out: last, home: leaf}
    states:
      two:
        initial: three
        on: {leave: side, up: last}
        states:
          three:
            initial: leaf
            description: The innermost of them.
            on: {e: last, f: side}
            states: {leaf: {on: {g: other}}, other: {on: {h: leaf, away: side}}}
      side: {on: {in: other}}
  last: {type: final}
"""
DENSE = "\n".join(
    [
        "id: dense",
        "initial: s0",
        "states:",
        *(f"  s{n}: {{on: {{{', '.join(f'to_{m}.{n}: s{m}' for m in range(7) if m != n)}}}}}" for n in range(7)),
    ]
)
TIMERS = """
id: timers
initial: a
states: {a: {after: {1000: {target: a, reenter: true}, 2000: b}}, b: {after: {1000: a}}}
"""
ODD = {
    "one state": ONE_STATE,
    "only time-outs": TIMERS,
    "long names": LONG_NAMES,
    "many states": MANY,
    "deep nesting": DEEP,
    "dense": DENSE,
}


@pytest.mark.parametrize("name", ["voice_call", "eager", "listen"])
def test_nothing_collides_in_bundled_charts(name: str) -> None:
    picture = svg(load_chart(name, loose=True))

    assert collisions(picture) == []
    assert outside(picture) == []


@pytest.mark.parametrize("text", ODD.values(), ids=ODD.keys())
def test_nothing_collides_in_odd_charts(text: str) -> None:
    picture = svg(chart_of(text))

    assert collisions(picture) == []
    assert outside(picture) == []


@st.composite
def charts(draw: st.DrawFn) -> Chart:
    """A chart of any shape: up to twelve leaves, nested up to three deep, rows from anywhere to anywhere."""
    count = draw(st.integers(1, 12))
    names = [f"s{n}" + "x" * draw(st.sampled_from([0, 0, 25])) for n in range(count)]
    rows = {name: draw(st.lists(st.sampled_from(names), max_size=3)) for name in (*names, "root", "f0", "f1", "f2")}

    def states(names: list[str], depth: int) -> Mapping[str, State]:
        cut = draw(st.integers(0, len(names))) if depth < 3 else 0
        found = {name: State(name=name, on=_rows(rows[name])) for name in names[cut:]}
        if cut:
            inner = states(names[:cut], depth + 1)
            frame = State(name=f"f{depth}", initial=next(iter(inner)), on=_rows(rows[f"f{depth}"]), states=inner)
            found[frame.name] = frame
        return found

    inner = states(names, 0)
    root = State(name="root", initial=next(iter(inner)), on=_rows(rows["root"]), states=inner)
    parents = {child: state.name for state in root.walk() for child in state.states}
    return Chart(id="root", root=root, parents=parents)


def _rows(targets: list[str]) -> dict[str, tuple[Row, ...]]:
    guard = (GuardRef(type="holds"),)
    return {f"event.{n}": (Row(event=f"event.{n}", target=to, guards=guard),) for n, to in enumerate(targets)}


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(charts())
def test_nothing_collides_in_any_chart(chart: Chart) -> None:
    picture = svg(chart)

    assert collisions(picture) == []
    assert outside(picture) == []


def test_same_chart_gives_the_same_bytes() -> None:
    assert svg(chart_of(SMALL)) == svg(chart_of(SMALL))


def test_bytes_do_not_depend_on_the_process() -> None:
    program = (
        "from adapters.diagram.svg import svg; from fsm import load_chart; print(svg(load_chart('eager', loose=True)))"
    )
    folder = Path(__file__).parents[3]

    def drawn(seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        run = subprocess.run(
            [sys.executable, "-c", program], env=environment, cwd=folder, capture_output=True, check=True
        )
        return run.stdout.decode()

    assert drawn("1") == drawn("2")


def test_ids_are_stable_and_unique() -> None:
    root = read(svg(load_chart("voice_call", loose=True)))
    ids = [element.get("id") for element in root.iter() if element.get("id")]

    assert len(ids) == len(set(ids))
    assert {"state-listening", "frame-live", "edge-listening-intent-1", "timer-greeting-greeting"} <= set(ids)
    assert {"edge-intent-intent-1", "invoke-intent-detect", "any-state", "initial"} <= set(ids)


def test_state_that_is_called_any_state_keeps_ids_unique() -> None:
    root = read(
        svg(chart_of("{id: c, initial: any_state, on: {f: z}, states: {any_state: {on: {e: z}}, z: {on: {}}}}"))
    )
    ids = [element.get("id") for element in root.iter() if element.get("id")]

    assert len(ids) == len(set(ids))
    assert {"edge-any_state-z-1", "edge-any_state-z-2", "state-any_state", "any-state"} <= set(ids)


def test_edge_tells_its_ends_and_events() -> None:
    edge = groups(read(svg(chart_of(SMALL))), "edge")["edge-waiting-over-1"]

    assert (edge.get("data-source"), edge.get("data-target")) == ("waiting", "over")
    assert edge.get("data-events") == "call.started"


def test_picture_carries_its_stamp_and_is_told_to_who_cannot_see_it() -> None:
    chart = chart_of(SMALL)

    root = read(svg(chart))

    assert (root.get("data-chart"), root.get("data-hash"), root.get("data-renderer")) == ("small", chart.hash, RENDERER)
    assert root.get("role") == "img"
    assert root.find("{http://www.w3.org/2000/svg}title") is not None
    description = root.find("{http://www.w3.org/2000/svg}desc")
    assert description is not None
    assert "waiting to talking on call.started [else]" in (description.text or "")


def test_a_call_is_read_from_top_to_bottom() -> None:
    places = {box.name: box for box in boxes(read(svg(load_chart("voice_call", loose=True))), "state")}
    order = ["created", "greeting", "listening", "intent", "agent", "ending", "closed"]
    edges = [
        (places[f"state-{one}"].bottom, places[f"state-{two}"].top) for one, two in zip(order, order[1:], strict=False)
    ]

    assert all(bottom < top for bottom, top in edges)


def test_call_that_begins_inside_frames_begins_above_them() -> None:
    root = read(svg(chart_of(DEEP)))
    start, _ = lines(root)["initial"][0]

    assert start[1] < min(frame.top for frame in boxes(root, "frame"))


def test_arrow_of_a_frame_starts_at_its_border() -> None:
    root = read(svg(chart_of(SMALL)))
    (frame,) = boxes(root, "frame")
    start, _ = lines(root)["edge-live-over-1"][0]

    assert start[1] in (frame.top, frame.bottom)
    assert frame.left < start[0] < frame.right


def test_lines_meet_the_boxes_they_join() -> None:
    root = read(svg(chart_of(SMALL)))
    places = {box.name: box for box in boxes(root, "state")}
    start, end = lines(root)["edge-waiting-talking-1"][0][0], lines(root)["edge-waiting-talking-1"][-1][1]

    assert start[1] == places["state-waiting"].bottom
    assert end[1] == places["state-talking"].top


def test_label_with_many_events_is_cut_and_its_tooltip_is_not() -> None:
    events = ", ".join(f"event_{n}: b" for n in range(12))
    root = read(svg(chart_of(f"{{id: c, initial: a, states: {{a: {{on: {{{events}}}}}, b: {{}}}}}}")))
    edge = groups(root, "edge")["edge-a-b-1"]

    assert "+ 7 more" in text_of(edge)
    assert len((edge[0].text or "").splitlines()) == 12


def test_text_of_a_chart_cannot_break_the_picture() -> None:
    state = State(name="a", description='<script>"&', on={"e<&": (Row(event='e<&"', target="b"),)})
    root = State(name="c", initial="a", states={"a": state, "b": State(name="b", final=True)})

    picture = read(svg(Chart(id='c"<', root=root, parents={"a": "c", "b": "c"})))

    assert 'e<&"' in text_of(groups(picture, "edge")["edge-a-b-1"])
    assert picture.find(".//script") is None


def test_marks_of_a_difference_have_colours_and_signs() -> None:
    old = chart_of(SMALL)
    new = chart_of(SMALL.replace("ring: 20s", "ring: 30s").replace("helping", "serving").replace("is_full", "x"))

    picture = svg(new, difference=compare(old, new))

    root = read(picture)
    assert "added" in classes(root, "state-serving")
    assert "removed" in classes(root, "state-helping")
    assert "changed" in classes(root, "state-waiting")
    assert "added" in classes(root, "edge-talking-serving-1")
    assert "removed" in classes(root, "edge-talking-helping-1")
    assert "+\u00a0serving" in text_of(groups(root, "state")["state-serving"])
    assert '<tspan class="was">20s</tspan>' in picture
    assert collisions(picture) == []


def test_changed_lines_that_are_cut_still_show_as_changed() -> None:
    rows = "\n".join(f"      e{n}: {{guard: g, target: z}}" for n in range(9))
    old = chart_of(f"id: c\ninitial: a\nstates:\n  a:\n    on:\n{rows}\n  z: {{type: final}}\n")
    new = chart_of(
        f"id: c\ninitial: a\nstates:\n  a:\n    on:\n{rows.replace('guard: g', 'guard: h')}\n  z: {{type: final}}\n"
    )

    root = read(svg(new, difference=compare(old, new)))

    assert "+ 4 more" in text_of(groups(root, "edge")["edge-a-z-1"])
    assert "changed" in classes(root, "edge-a-z-1")


def classes(root: ElementTree.Element, name: str) -> list[str]:
    found = next(element for element in root.iter() if element.get("id") == name)
    return (found.get("class") or "").split()


def text_of(element: ElementTree.Element) -> str:
    texts = element.iter("{http://www.w3.org/2000/svg}text")
    return "\n".join("".join(text.itertext()) for text in texts)
