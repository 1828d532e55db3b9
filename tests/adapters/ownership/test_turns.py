"""One at a time for each call, and nothing left of those that nobody decides about."""

from __future__ import annotations

import asyncio

import pytest

from adapters.bus.questions import Questions
from adapters.ownership.turns import Turns
from fsm.errors import CallchartError
from tests.fakes import elapse


async def test_turns_of_one_call_come_one_after_the_other_and_those_of_others_do_not_wait() -> None:
    turns, log = Turns(), []

    async def decide(call_id: str, name: str) -> None:
        async with turns.of(call_id):
            log.append(f"{name} begins")
            await elapse(1.0)
            log.append(f"{name} ends")

    await asyncio.gather(decide("CA1", "a"), decide("CA1", "b"), decide("CA2", "c"))

    assert log == ["a begins", "c begins", "a ends", "c ends", "b begins", "b ends"]
    assert len(turns) == 0


async def test_a_turn_that_is_cancelled_or_fails_leaves_nothing() -> None:
    turns = Turns()

    async def fail() -> None:
        async with turns.of("CA1"):
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0), turns.of("CA1"):
            await elapse(60.0)

    assert len(turns) == 0


async def test_a_question_is_answered_by_whoever_serves_its_op() -> None:
    questions = Questions()

    async def answer(question: object) -> dict[str, object]:
        return {"told": question}

    questions.serve("tell", answer)

    assert await questions({"op": "tell", "x": 1}) == {"told": {"op": "tell", "x": 1}}
    with pytest.raises(CallchartError, match="serves no question called 'ask'"):
        await questions({"op": "ask"})
    with pytest.raises(ValueError, match="'tell' are served already"):
        questions.serve("tell", answer)
