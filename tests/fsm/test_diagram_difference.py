"""What differs between two charts."""

from __future__ import annotations

import pytest

from fsm.diagram import Change, compare, difference_markdown
from tests.fsm.diagram_charts import SMALL, chart_of


def changed(*replacements: tuple[str, str]) -> str:
    """Return the small chart's text with each old piece, which must be in it, replaced."""
    text = SMALL
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    return text


def changes(*replacements: tuple[str, str]) -> tuple[Change, ...]:
    return compare(chart_of(SMALL), chart_of(changed(*replacements))).changes


def test_equal_charts_do_not_differ_and_say_so() -> None:
    difference = compare(chart_of(SMALL), chart_of(SMALL))

    assert not difference
    assert "No difference" in difference_markdown(difference)
    assert {part.mark for part in difference.sketch.boxes} == {""}
    assert {arrow.mark for arrow in difference.sketch.arrows} == {""}


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        ("ring: 20s", "ring: 30s", Change("~", "delay", "ring", old="20s", new="30s")),
        (", quick: 500ms", "", Change("-", "delay", "quick", old="500ms")),
        ("quick: 500ms", "quick: 500ms, slow: 1m", Change("+", "delay", "slow", new="1m")),
        ("[call.ended]", "[]", Change("-", "chart", "preempt", old="call.ended")),
        ("initial: waiting", "initial: over", Change("~", "chart", "initial", old="waiting", new="over")),
        ("exit: [stop_sts]", "exit: []", Change("-", "block", "live", "exit", old="stop_sts")),
        (
            "src: run_agent",
            "src: ask_desk",
            Change("~", "block", "helping", "invoke", old="agent: run_agent", new="agent: ask_desk"),
        ),
        (
            "{not: is_blank}",
            "is_blank",
            Change(
                "~",
                "row",
                "talking",
                "user.transcript",
                ("guard",),
                "user.transcript [not is_blank] → helping / clarify",
                "user.transcript [is_blank] → helping / clarify",
            ),
        ),
        (
            "target: talking, actions: [{type",
            "target: over, actions: [{type",
            Change(
                "~",
                "row",
                "helping",
                "agent.completed",
                ("target",),
                "agent.completed → talking / truncate_history(keep: 20)",
                "agent.completed → over / truncate_history(keep: 20)",
            ),
        ),
        (
            "keep: 20",
            "keep: 9",
            Change(
                "~",
                "row",
                "helping",
                "agent.completed",
                ("actions",),
                "agent.completed → talking / truncate_history(keep: 20)",
                "agent.completed → talking / truncate_history(keep: 9)",
            ),
        ),
        (
            "      call.dtmf: {actions: [tell_agent]}\n",
            "",
            Change("-", "row", "live", "call.dtmf", old="call.dtmf / tell_agent"),
        ),
        (
            "call.ended: {target: over}",
            "call.ended: {target: over}\n  x: {actions: [y]}",
            Change("+", "row", "any state", "x", new="x / y"),
        ),
        (
            "initial: talking",
            "initial: helping",
            Change(
                "~",
                "state",
                "live",
                old="state, begins in talking",
                new="state, begins in helping",
            ),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_one_edit_is_one_change(old: str, new: str, change: Change) -> None:
    assert change in changes((old, new))


def test_rows_that_change_places_differ() -> None:
    first = "- {guard: is_duplicate}\n"
    second = "- {guard: {not: is_blank}, target: helping, actions: [clarify]}\n"

    found = changes((first, "- swap\n"), (second, first), ("- swap\n", second))

    assert {change.where for change in found} == {"talking"}
    assert {change.kind for change in found} == {"row"}


def test_inserted_row_is_one_added_row() -> None:
    found = changes(("- {guard: is_duplicate}\n", "- {guard: is_duplicate}\n            - {guard: is_echo}\n"))

    assert found == (Change("+", "row", "talking", "user.transcript", new="user.transcript [is_echo]"),)


def test_rows_of_the_same_event_are_paired_by_guard_before_order() -> None:
    old = chart_of("{id: c, initial: a, states: {a: {on: {e: [{guard: x, target: b}, {guard: y, target: b}]}}, b: {}}}")
    new = chart_of("{id: c, initial: a, states: {a: {on: {e: [{guard: y, target: a}]}}, b: {}}}")

    found = compare(old, new).changes

    assert [(change.mark, change.old, change.new) for change in found] == [
        ("~", "e [y] → b", "e [y] → a"),
        ("-", "e [x] → b", ""),
    ]


def test_row_that_kept_neither_guard_nor_target_is_still_one_change() -> None:
    old = chart_of("{id: c, initial: a, states: {a: {on: {e: {guard: x, target: b}}}, b: {}}}")
    new = chart_of("{id: c, initial: a, states: {a: {on: {e: {guard: y, target: a}}}, b: {}}}")

    (found,) = compare(old, new).changes

    assert (found.mark, found.parts) == ("~", ("guard", "target"))


def test_text_of_what_is_new_has_nothing_struck() -> None:
    text = difference_markdown(compare(chart_of(SMALL), chart_of(changed(("quick: 500ms", "quick: 500ms, slow: 1m")))))

    assert "- `+` **slow**: `1m`\n" in text


def test_state_that_came_and_one_that_went_bring_their_rows() -> None:
    difference = compare(chart_of(SMALL), chart_of(changed(("helping", "serving"))))

    marks = {box.name: box.mark for box in difference.sketch.boxes}
    assert marks["serving"] == "+"
    assert marks["helping"] == "-"
    assert {(change.mark, change.where) for change in difference.of("state")} == {("-", "helping"), ("+", "serving")}
    assert [change.where for change in difference.of("state", "+")] == ["serving"]
    assert Change("-", "row", "helping", "tool.called", old="tool.called / refuse_tool") in difference.changes


def test_final_state_that_is_no_longer_final_is_a_changed_state() -> None:
    (found,) = (change for change in changes(("    type: final\n", "")) if change.kind == "state")

    assert (found.where, found.old, found.new) == ("over", "state, final", "state")


def test_sketch_marks_lines_notes_and_boxes() -> None:
    shape = compare(
        chart_of(SMALL),
        chart_of(changed(("ring: 20s", "ring: 30s"), ("at_capacity", "is_full"), ("keep: 20", "keep: 9"))),
    ).sketch
    arrows = {(arrow.source, arrow.target): arrow for arrow in shape.arrows}

    (note,) = shape.box("waiting").notes
    assert (note.mark, note.was, note.text) == ("~", "20s", "30s → over")
    (line,) = arrows["waiting", "over"].lines
    assert (line.mark, line.was, line.guard) == ("~", "[at_capacity]", "is_full")
    assert arrows["helping", "talking"].mark == "~"
    assert arrows["live", "over"].mark == ""


def test_sketch_keeps_what_was_removed() -> None:
    shape = compare(
        chart_of(SMALL),
        chart_of(
            changed(
                ("    after:\n      ring: {target: over}\n", ""),
                ("      sts.failed: {target: over, actions: [apologise]}\n", ""),
                ("initial: talking\n", "initial: talking\n    after: {quick: {target: over}}\n"),
            )
        ),
    ).sketch
    arrows = {(arrow.source, arrow.target): arrow for arrow in shape.arrows}

    assert [note.mark for note in shape.box("waiting").notes] == ["-"]
    assert [note.mark for note in shape.frames[0].notes] == ["+"]
    assert arrows["live", "over"].mark == "-"


def test_tooltip_of_a_changed_state_signs_what_differs() -> None:
    shape = compare(chart_of(SMALL), chart_of(changed(("[refuse_tool]", "[note_tool]")))).sketch

    details = shape.box("helping").details
    assert "+ tool.called / note_tool" in details
    assert details[-1] == "− tool.called / refuse_tool"
    assert shape.box("helping").mark == "~"


def test_arrow_with_one_new_line_is_changed_and_shows_it_first() -> None:
    shape = compare(
        chart_of(SMALL), chart_of(changed(("call.started:", "call.held: {target: talking}\n      call.started:")))
    ).sketch
    arrow = next(arrow for arrow in shape.arrows if (arrow.source, arrow.target) == ("waiting", "talking"))

    assert arrow.mark == "~"
    assert [(line.mark, line.event) for line in arrow.lines] == [("+", "call.held"), ("", "call.started")]


def test_condition_that_is_new_shows_that_there_was_none() -> None:
    shape = compare(chart_of(SMALL), chart_of(changed(("call.ended: {target", "call.ended: {guard: g, target")))).sketch
    arrow = next(arrow for arrow in shape.arrows if arrow.source == "any state")

    assert [(line.mark, line.was, line.guard) for line in arrow.lines] == [("~", "always", "g")]


def test_text_for_a_pull_request_strikes_the_old_and_signs_the_new() -> None:
    text = difference_markdown(
        compare(
            chart_of(SMALL),
            chart_of(
                changed(("ring: 20s", "ring: 30s"), ("exit: [stop_sts]", "exit: []"), ("{not: is_blank}", "is_blank"))
            ),
        )
    )

    assert "# small version 1 → small version 1" in text
    assert "0 added (+), 1 removed (−), 2 changed (~)." in text
    assert "- `~` **ring**: ~~`20s`~~ `30s`" in text
    assert "- `−` **live** exit: ~~`stop_sts`~~" in text
    assert "(guard)" in text
    assert '"~ waiting<br/>~ ⏱ <s>20s</s> 30s → over" as waiting' in text
    assert "~ user.transcript <s>[not is_blank]</s> [is_blank]" in text
    assert "class waiting,live changed" in text


def test_removed_frame_is_kept_in_the_sketch() -> None:
    flat = chart_of("{id: small, initial: waiting, states: {waiting: {on: {e: talking}}, talking: {type: final}}}")

    shape = compare(chart_of(SMALL), flat).sketch

    assert [(frame.name, frame.mark) for frame in shape.frames] == [("live", "-")]
    assert shape.box("talking").mark == "~"
