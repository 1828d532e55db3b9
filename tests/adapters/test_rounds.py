"""Work that comes round: when, for how long, and whatever happens in a round."""

from __future__ import annotations

import asyncio

import pytest

from adapters.rounds import Rounds
from tests.fakes import elapse


class Work:
    """Notes when it is done; some rounds of it fail."""

    def __init__(self, *fails_at: float) -> None:
        self.done_at: list[float] = []
        self.began = asyncio.get_running_loop().time()
        self._fails_at = fails_at

    async def __call__(self) -> None:
        now = round(asyncio.get_running_loop().time() - self.began, 3)
        self.done_at.append(now)
        if now in self._fails_at:
            raise KeyError("a mistake of ours")


@pytest.mark.parametrize(("at_once", "expected"), [(True, [0, 5, 10]), (False, [5, 10])])
async def test_work_is_done_every_so_often(at_once: bool, expected: list[float]) -> None:
    work = Work()
    rounds = Rounds("work", work, every=5.0, at_once=at_once)

    rounds.start()
    rounds.start()
    await elapse(12.0)

    assert work.done_at == expected
    await rounds.aclose()
    await rounds.aclose()
    await elapse(12.0)
    assert work.done_at == expected


async def test_a_round_that_fails_is_told_and_the_next_one_comes(caplog: pytest.LogCaptureFixture) -> None:
    work = Work(0, 5)
    rounds = Rounds("work", work, every=5.0, at_once=True)

    rounds.start()
    await elapse(12.0)

    assert work.done_at == [0, 5, 10]
    assert [(line.message, vars(line)["work"]) for line in caplog.records] == [("round_failed", "work")] * 2
    await rounds.aclose()


async def test_a_round_under_way_is_cut_short_at_the_end() -> None:
    cut = False

    async def long() -> None:
        nonlocal cut
        try:
            await asyncio.sleep(100.0)
        except asyncio.CancelledError:
            cut = True
            raise

    rounds = Rounds("long", long, every=5.0, at_once=True)
    rounds.start()
    await elapse(1.0)

    await rounds.aclose()

    assert cut
