"""Stages run once for each transcript, are tried again, and are never lost in silence."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from adapters.pipeline.contract import Stage
from adapters.pipeline.results import Results
from adapters.pipeline.runner import Limits, LocalRunner
from adapters.pipeline.stages import TranscriptFile
from fsm.clock import LoopClock
from tests.adapters.pipeline.kept import Counting, Shelf, a_shelf
from tests.fakes import elapse


def a_runner(shelf: Shelf, folder: Path, *stages: Stage, **limits: Any) -> LocalRunner:
    return LocalRunner(shelf, stages, Results(folder), clock=LoopClock(), limits=Limits(**limits))


async def done(runner: LocalRunner, call_id: str, *, again: bool = False) -> bool:
    return await runner.kept(await runner.run(call_id, again=again))


async def test_result_stands_in_a_file_with_the_hash_of_the_transcript(tmp_path: Path) -> None:
    shelf, stage = a_shelf(), Counting()
    shelf.add("CA1", "hello", "goodbye")
    runner = a_runner(shelf, tmp_path, stage)

    run_id = await runner.run("CA1")
    kept = await runner.kept(run_id)

    said = json.loads((tmp_path / "CA1" / "results" / "count.json").read_text("utf-8"))
    assert kept
    assert {key: said[key] for key in ("call_id", "stage", "status", "run", "attempts", "result", "error")} == {
        "call_id": "CA1", "stage": "count", "status": "done", "run": run_id, "attempts": 1, "result": {"lines": 2},
        "error": "",
    }  # fmt: skip
    assert said["transcript_hash"] == stage.calls[0].transcript_hash
    assert len(said["transcript_hash"]) == 64
    assert said["at"].endswith("Z")


async def test_stage_is_run_once_for_a_transcript_and_again_for_another_one(tmp_path: Path) -> None:
    shelf, stage = a_shelf(), Counting()
    shelf.add("CA1", "hello")
    await done(a_runner(shelf, tmp_path, stage), "CA1")

    await done(a_runner(shelf, tmp_path, stage), "CA1")
    assert len(stage.calls) == 1

    shelf.add("CA1", "a late piece")
    await done(a_runner(shelf, tmp_path, stage), "CA1")
    assert [len(call.lines) for call in stage.calls] == [1, 2]


async def test_stage_that_is_done_is_run_again_if_asked_to(tmp_path: Path) -> None:
    shelf, stage = a_shelf(), Counting()
    shelf.add("CA1", "hello")
    runner = a_runner(shelf, tmp_path, stage)
    await done(runner, "CA1")

    await done(runner, "CA1", again=True)

    assert len(stage.calls) == 2
    assert runner.done == 2


async def test_long_log_is_read_whole(tmp_path: Path) -> None:
    shelf, stage = a_shelf(), Counting()
    shelf.add("CA1", *(f"line {n}" for n in range(2500)))

    await done(a_runner(shelf, tmp_path, stage), "CA1")

    assert [line.text for line in stage.calls[0].lines] == [f"line {n}" for n in range(2500)]
    assert stage.calls[0].document == {"call_id": "CA1"}


async def test_stage_that_fails_is_tried_again_after_longer_and_longer_waits(tmp_path: Path) -> None:
    shelf, stage, clock = a_shelf(), Counting(fails=2), LoopClock()
    shelf.add("CA1", "hello")
    began = clock.now()

    kept = await done(a_runner(shelf, tmp_path, stage), "CA1")

    result = Results(tmp_path).get("CA1", "count")
    assert kept
    assert clock.now() - began == pytest.approx(6.0)
    assert result is not None
    assert (result.status, result.attempts) == ("done", 3)


async def test_stage_that_never_succeeds_is_recorded_as_failed_and_the_others_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shelf, bad, good = a_shelf(), Counting("bad", fails=99), Counting("good")
    shelf.add("CA1", "where is my order")
    runner = a_runner(shelf, tmp_path, bad, good)

    kept = await done(runner, "CA1")

    results = Results(tmp_path).all("CA1")
    assert kept
    assert [(r.stage, r.status, r.attempts, r.error) for r in results] == [
        ("bad", "failed", 4, "RuntimeError: where is my order"),
        ("good", "done", 1, ""),
    ]
    assert (runner.done, runner.failed) == (1, 1)
    assert [record.message for record in caplog.records] == ["stage_failed"] * 4
    assert "order" not in str([record.__dict__ for record in caplog.records])


async def test_failed_stage_is_tried_anew_by_the_next_run(tmp_path: Path) -> None:
    shelf, stage = a_shelf(), Counting(fails=4)
    shelf.add("CA1", "hello")
    runner = a_runner(shelf, tmp_path, stage)
    await done(runner, "CA1")

    await done(runner, "CA1")

    assert [r.status for r in Results(tmp_path).all("CA1")] == ["done"]


async def test_stage_that_hangs_is_cut_off(tmp_path: Path) -> None:
    shelf, stage = a_shelf(), Counting()
    shelf.add("CA1", "hello")
    stage.gate.clear()

    kept = await done(a_runner(shelf, tmp_path, stage, stage=10.0, waits=(1.0,)), "CA1")

    assert kept
    assert [(r.status, r.error) for r in Results(tmp_path).all("CA1")] == [("failed", "TimeoutError: ")]


async def test_result_that_is_no_json_is_a_failure(tmp_path: Path) -> None:
    shelf = a_shelf()
    shelf.add("CA1", "hello")

    await done(a_runner(shelf, tmp_path, Counting(makes=object()), waits=()), "CA1")

    assert [(r.status, r.error.partition(":")[0]) for r in Results(tmp_path).all("CA1")] == [("failed", "TypeError")]


async def test_result_that_cannot_be_written_is_work_for_the_next_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shelf, stage = a_shelf(), Counting()
    shelf.add("CA1", "hello")
    (tmp_path / "CA1").write_text("a file where the folder should be", encoding="utf-8")

    kept = await done(a_runner(shelf, tmp_path, stage), "CA1")

    assert not kept
    assert [record.message for record in caplog.records][-1] == "result_not_written"


async def test_damaged_result_counts_as_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shelf, stage = a_shelf(), Counting()
    shelf.add("CA1", "hello")
    runner = a_runner(shelf, tmp_path, stage)
    await done(runner, "CA1")
    (tmp_path / "CA1" / "results" / "count.json").write_text('{"call_id": "CA1"', encoding="utf-8")

    await done(runner, "CA1")

    assert len(stage.calls) == 2
    assert [record.message for record in caplog.records] == ["result_unreadable"]
    assert [r.status for r in Results(tmp_path).all("CA1")] == ["done"]


async def test_few_calls_are_worked_on_at_once(tmp_path: Path) -> None:
    shelf, stage = a_shelf(), Counting()
    calls = [f"CA{n}" for n in range(10)]
    for call_id in calls:
        shelf.add(call_id, "hello")
    runner = a_runner(shelf, tmp_path, stage, at_once=3)
    stage.gate.clear()

    runs = [await runner.run(call_id) for call_id in calls]
    await elapse(1.0)
    stage.gate.set()

    assert [await runner.kept(run) for run in runs] == [True] * 10
    assert stage.most_at_once == 3


async def test_work_that_is_asked_for_twice_is_one_run(tmp_path: Path) -> None:
    shelf, stage = a_shelf(), Counting()
    shelf.add("CA1", "hello")
    runner = a_runner(shelf, tmp_path, stage)

    first, second = await runner.run("CA1"), await runner.run("CA1", again=True)

    assert first == second
    assert await runner.kept(first)
    assert await runner.kept(second)
    assert len(stage.calls) == 1


async def test_run_that_nobody_knows_is_to_be_begun_again(tmp_path: Path) -> None:
    assert not await a_runner(a_shelf(), tmp_path).kept("a run of another process")


async def test_store_that_is_away_leaves_the_work_for_later(tmp_path: Path) -> None:
    shelf, stage = a_shelf(), Counting()
    shelf.add("CA1", "hello")
    shelf.away = True

    assert not await done(a_runner(shelf, tmp_path, stage), "CA1")
    assert stage.calls == []


async def test_call_whose_end_the_store_does_not_know_yet_waits(tmp_path: Path) -> None:
    shelf, stage = a_shelf(), Counting()
    shelf.add("CA1", "hello")
    shelf.over = False

    assert not await done(a_runner(shelf, tmp_path, stage), "CA1")
    assert stage.calls == []


async def test_call_that_was_erased_needs_no_work(tmp_path: Path) -> None:
    assert await done(a_runner(a_shelf(), tmp_path, Counting()), "CA1")


async def test_log_that_cannot_be_read_is_told_and_is_work_for_the_next_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = a_shelf()
    shelf.add("CA1", "hello")
    shelf.logs["CA1"][0] = shelf.logs["CA1"][0]._replace(record=b"{")

    kept = await done(a_runner(shelf, tmp_path, Counting()), "CA1")
    await elapse(0)

    assert not kept
    assert [record.message for record in caplog.records] == ["post_call_work_broken"]


async def test_end_of_the_process_gives_up_what_takes_too_long(tmp_path: Path) -> None:
    shelf, stage, clock = a_shelf(), Counting(), LoopClock()
    shelf.add("CA1", "hello")
    stage.gate.clear()
    runner = a_runner(shelf, tmp_path, stage, stage=math.inf)
    run = await runner.run("CA1")
    await stage.begun.wait()
    began = clock.now()

    await runner.aclose()
    await runner.aclose()

    assert clock.now() - began == pytest.approx(5.0)
    assert not await runner.kept(run)
    assert Results(tmp_path).all("CA1") == []


async def test_call_that_is_forgotten_leaves_no_file_even_if_it_was_being_worked_on(tmp_path: Path) -> None:
    shelf, slow = a_shelf(), Counting()
    shelf.add("CA1", "hello")
    slow.gate.clear()
    runner = a_runner(shelf, tmp_path, TranscriptFile(tmp_path), slow)
    run = await runner.run("CA1")
    await slow.begun.wait()
    assert (tmp_path / "CA1" / "transcript.json").is_file()

    await runner.forget("CA1")
    slow.gate.set()

    assert not await runner.kept(run)
    assert not (tmp_path / "CA1").exists()


async def test_transcript_is_written_complete(tmp_path: Path) -> None:
    shelf = a_shelf()
    shelf.add("CA1", "hello", "goodbye")

    await done(a_runner(shelf, tmp_path, TranscriptFile(tmp_path)), "CA1")

    assert json.loads((tmp_path / "CA1" / "transcript.json").read_text("utf-8")) == {
        "call_id": "CA1",
        "messages": [
            {"role": "caller", "text": "hello", "item_id": "", "interrupted": False, "tool": ""},
            {"role": "caller", "text": "goodbye", "item_id": "", "interrupted": False, "tool": ""},
        ],
    }


async def test_silent_call_leaves_no_transcript(tmp_path: Path) -> None:
    shelf = a_shelf()
    shelf.add("CA1")

    await done(a_runner(shelf, tmp_path, TranscriptFile(tmp_path)), "CA1")

    assert [path.name for path in (tmp_path / "CA1").iterdir()] == ["results"]
