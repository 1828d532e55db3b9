"""The working history is bounded, keeps its order, and never splits a tool call from its result."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fsm.history import LONGEST, Message, Role, append, newest


def caller(text: str, item_id: str = "") -> Message:
    return Message(role="caller", text=text, item_id=item_id)


def tool(role: Role, item_id: str) -> Message:
    return Message(role=role, text="{}", item_id=item_id)


def test_message_is_added_at_the_end() -> None:
    assert append((caller("a"),), caller("b")) == (caller("a"), caller("b"))


def test_message_of_the_same_item_is_amended_in_its_place() -> None:
    history = (caller("", "u1"), caller("b", "u2"))

    assert append(history, caller("late", "u1")) == (caller("late", "u1"), caller("b", "u2"))


def test_result_does_not_replace_the_call_whose_id_it_shares() -> None:
    call, result = tool("tool_call", "c1"), tool("tool_result", "c1")

    assert append((call,), result) == (call, result)


def test_messages_without_an_item_are_all_kept() -> None:
    assert append((caller("hello"),), caller("hello")) == (caller("hello"), caller("hello"))


def test_history_is_bounded_even_if_nobody_truncates_it() -> None:
    history: tuple[Message, ...] = ()
    for number in range(LONGEST + 5):
        history = append(history, caller(str(number)))

    assert len(history) == LONGEST
    assert history[-1] == caller(str(LONGEST + 4))


def test_short_history_is_left_as_it_is() -> None:
    history = (caller("a"), caller("b"))

    assert newest(history, 2) is history


def test_nothing_is_kept_of_a_history_of_none() -> None:
    assert newest((caller("a"),), 0) == ()
    assert newest((caller("a"),), -1) == ()


def test_result_goes_with_its_call() -> None:
    history = (tool("tool_call", "c1"), tool("tool_result", "c1"), caller("a"), caller("b"))

    assert newest(history, 3) == (caller("a"), caller("b"))
    assert newest(history, 4) == history


def test_parallel_calls_keep_their_own_results() -> None:
    history = (
        tool("tool_call", "c1"), tool("tool_call", "c2"), tool("tool_result", "c1"), tool("tool_result", "c2"),
    )  # fmt: skip

    assert newest(history, 3) == (tool("tool_call", "c2"), tool("tool_result", "c2"))


@given(st.lists(st.sampled_from(["caller", "one tool", "two tools"]), max_size=15), st.integers(0, 12))
def test_whatever_is_kept_calls_and_results_stay_together(said: list[str], keep: int) -> None:
    history: tuple[Message, ...] = ()
    for number, kind in enumerate(said):
        ids = {"caller": [], "one tool": [f"{number}a"], "two tools": [f"{number}a", f"{number}b"]}[kind]
        news = [tool("tool_call", i) for i in ids] + [tool("tool_result", i) for i in ids]
        history = (*history, *(news or [caller(str(number))]))

    kept = newest(history, keep)

    calls = {m.item_id for m in kept if m.role == "tool_call"}
    assert calls == {m.item_id for m in kept if m.role == "tool_result"}
    assert len(kept) <= keep
    assert [m for m in history if m in kept] == list(kept)
