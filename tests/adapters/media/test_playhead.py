"""What the caller has heard, against carriers that play in real time, too slowly and too fast."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.media.playhead import OVERDUE_S, Piece, Playhead


def test_a_new_playhead_has_nothing_queued_and_nothing_heard() -> None:
    playhead = Playhead()

    assert playhead.empty
    assert playhead.overdue_at is None
    assert playhead.heard_ms("item", 1.0) == 0.0
    assert not playhead.is_queued("item")


def test_before_the_first_mark_time_counts_from_when_the_audio_was_sent() -> None:
    playhead = Playhead()
    playhead.send("item", 60, 10.0)

    assert playhead.heard_ms("item", 10.025) == pytest.approx(25)
    assert not playhead.empty
    assert playhead.is_queued("item")


def test_heard_never_passes_the_next_mark_that_is_not_back() -> None:
    playhead = Playhead()
    first = playhead.send("item", 60, 0.0)
    playhead.send("item", 60, 0.0)

    assert playhead.heard_ms("item", 5.0) == 60
    assert [piece.mark for piece in playhead.returned(first, 0.060)] == [first]
    assert playhead.heard_ms("item", 0.100) == pytest.approx(100)
    assert playhead.heard_ms("item", 5.0) == 120


def test_a_clock_that_is_behind_hears_nothing() -> None:
    playhead = Playhead()
    playhead.send("item", 60, 10.0)

    assert playhead.heard_ms("item", 9.0) == 0


def test_audio_sent_onto_an_empty_queue_starts_anew() -> None:
    playhead = Playhead()
    playhead.returned(playhead.send("item", 60, 0.0), 0.060)
    playhead.send("item", 60, 3.0)

    assert playhead.heard_ms("item", 3.010) == pytest.approx(70)


def test_a_mark_implies_lost_ones_before_it() -> None:
    playhead = Playhead()
    playhead.send("item", 60, 0.0)
    second = playhead.send("item", 40, 0.0)

    assert [piece.ms for piece in playhead.returned(second, 0.1)] == [60, 40]
    assert playhead.empty
    assert playhead.heard_ms("item", 0.1) == 100


def test_a_mark_that_comes_after_a_later_one_changes_nothing() -> None:
    playhead = Playhead()
    first = playhead.send("item", 60, 0.0)
    second = playhead.send("item", 60, 0.0)
    playhead.send("item", 60, 0.0)
    playhead.returned(second, 0.120)

    assert playhead.returned(first, 0.130) == []
    assert playhead.returned(second, 0.140) == []
    assert playhead.heard_ms("item", 0.150) == pytest.approx(150)


def test_unknown_marks_change_nothing() -> None:
    playhead = Playhead()
    playhead.send("item", 60, 0.0)

    assert playhead.returned("g9:m9", 0.010) == []
    assert playhead.heard_ms("item", 0.020) == pytest.approx(20)


def test_marks_that_clear_returns_are_not_heard() -> None:
    playhead = Playhead()
    first = playhead.send("a", 60, 0.0, "AAAA")
    second = playhead.send("b", 60, 0.0)

    cut = playhead.clear(0.020)

    assert cut is not None
    assert cut[0] == Piece(first, "a", 60, "AAAA")
    assert cut[1] == pytest.approx(20)
    assert playhead.empty
    assert playhead.returned(first, 0.021) == []
    assert playhead.returned(second, 0.021) == []
    assert playhead.heard_ms("b", 1.0) == 0


def test_marks_of_different_generations_have_different_names() -> None:
    playhead = Playhead()
    old = playhead.send("item", 60, 0.0)
    playhead.clear(0.0)
    new = playhead.send("item", 60, 0.0)

    assert (old, new) == ("g1:m1", "g2:m2")


def test_clearing_nothing_cuts_nothing() -> None:
    assert Playhead().clear(1.0) is None


def test_an_item_that_waits_behind_another_is_queued_and_unheard() -> None:
    playhead = Playhead()
    playhead.send("first", 60, 0.0)
    playhead.send("second", 60, 0.0)

    assert playhead.is_queued("second")
    assert playhead.heard_ms("second", 9.0) == 0


def test_an_item_split_by_another_is_heard_in_both_its_parts() -> None:
    playhead = Playhead()
    playhead.send("reply", 60, 0.0)
    clip = playhead.send("clip", 40, 0.0)
    playhead.send("reply", 60, 0.0)
    playhead.returned(clip, 0.100)

    assert playhead.heard_ms("reply", 0.130) == pytest.approx(90)


def test_an_item_is_forgotten_only_once_it_is_not_queued() -> None:
    playhead = Playhead()
    mark = playhead.send("item", 60, 0.0)
    playhead.forget("item")
    playhead.returned(mark, 0.06)
    kept = playhead.heard_ms("item", 0.06)
    playhead.forget("item")

    assert (kept, playhead.heard_ms("item", 0.06)) == (60, 0)


def test_a_carrier_that_never_returns_marks_is_believed_to_play_five_seconds_late() -> None:
    playhead = Playhead()
    playhead.send("item", 1000, 0.0)
    playhead.send("item", 1000, 0.0)

    assert playhead.overdue_at == 1 + OVERDUE_S
    assert playhead.expire(5.9) == []
    assert [piece.ms for piece in playhead.expire(6.0)] == [1000]
    assert playhead.overdue_at == 2 + OVERDUE_S
    assert [piece.ms for piece in playhead.expire(60.0)] == [1000]
    assert playhead.empty


def test_a_mark_that_comes_back_puts_the_watchdog_off() -> None:
    playhead = Playhead()
    first = playhead.send("item", 60, 0.0)
    playhead.send("item", 60, 0.0)
    playhead.returned(first, 4.0)

    assert playhead.expire(8.0) == []
    assert playhead.overdue_at == pytest.approx(9.06)


PIECES = st.lists(st.sampled_from([8, 20, 37, 60]), min_size=1, max_size=30)
SPEEDS = st.floats(0.25, 4.0)


def _played_at(pieces: list[int], speed: float) -> list[float]:
    """When a carrier that plays `speed` times as fast as real time has played each piece, all sent at 0 s."""
    return [sum(pieces[: n + 1]) / 1000 / speed for n in range(len(pieces))]


@given(pieces=PIECES, speed=SPEEDS, moment=st.floats(0, 1.2))
def test_told_and_heard_differ_by_one_piece_at_most_however_fast_the_carrier_plays(
    pieces: list[int], speed: float, moment: float
) -> None:
    playhead = Playhead()
    marks = [playhead.send("item", ms, 0.0) for ms in pieces]
    ends = _played_at(pieces, speed)
    now = moment * ends[-1]
    for mark, at in zip(marks, ends, strict=True):
        if at <= now:
            playhead.returned(mark, at)

    heard = min(sum(pieces), now * 1000 * speed)
    told = playhead.heard_ms("item", now)

    assert abs(told - heard) <= 60 + 1e-6
    assert told <= sum(pieces) + 1e-6


@given(pieces=PIECES, speed=SPEEDS, lost=st.sets(st.integers(0, 29)), moment=st.floats(0, 1.2))
def test_lost_marks_never_let_more_be_told_than_was_heard_by_more_than_a_piece(
    pieces: list[int], speed: float, lost: set[int], moment: float
) -> None:
    playhead = Playhead()
    marks = [playhead.send("item", ms, 0.0) for ms in pieces]
    ends = _played_at(pieces, speed)
    now = moment * ends[-1]
    for n, (mark, at) in enumerate(zip(marks, ends, strict=True)):
        if at <= now and n not in lost:
            playhead.returned(mark, at)

    assert playhead.heard_ms("item", now) <= min(sum(pieces), now * 1000 * speed) + 60 + 1e-6


class _Trial:
    """A playhead, and what it can have heard at most."""

    def __init__(self) -> None:
        self.playhead = Playhead()
        self.now = 0.0
        self.sent = {"a": 0, "b": 0}
        self.before = {"a": 0.0, "b": 0.0}

    def send(self, item: str, ms: int) -> None:
        self.playhead.send(item, ms, self.now)
        self.sent[item] += ms

    def mark(self, generation: int, number: int) -> None:
        self.playhead.returned(f"g{generation}:m{number}", self.now)

    def clear(self) -> None:
        self.playhead.clear(self.now)
        self.sent = {"a": 0, "b": 0}
        self.before = {"a": 0.0, "b": 0.0}

    def wait(self, ms: int) -> None:
        self.now += ms / 1000
        self.playhead.expire(self.now)

    def check(self) -> None:
        for item in "ab":
            heard = self.playhead.heard_ms(item, self.now)
            assert self.before[item] - 1e-6 <= heard <= self.sent[item] + 1e-6
            self.before[item] = heard
        assert not self.playhead.empty or self.before == pytest.approx(self.sent)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.sampled_from("ab"), st.integers(1, 60)),
        st.tuples(st.just("mark"), st.integers(0, 3), st.integers(0, 60)),
        st.tuples(st.just("clear")),
        st.tuples(st.just("wait"), st.integers(1, 4000)),
    ),
    max_size=40,
)


@given(STEPS)
def test_whatever_marks_come_heard_grows_and_stays_within_what_was_sent(steps: list[tuple[str, ...]]) -> None:
    trial = _Trial()

    for name, *arguments in steps:
        getattr(trial, name)(*arguments)
        trial.check()
