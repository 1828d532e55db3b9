"""Files of calls go when their calls are forgotten, and not before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from adapters.call_folder import call_folder
from adapters.pipeline.leftovers import Leftovers
from adapters.pipeline.results import Result, Results
from adapters.stores.contract import StoreAway
from fsm.clock import LoopClock
from tests.adapters.pipeline.kept import Shelf, a_shelf
from tests.fakes import elapse

RETENTION = 1000.0


def leftovers(folder: Path, store: Shelf) -> Leftovers:
    return Leftovers(folder, store, Results(folder), clock=LoopClock(), retention=RETENTION, every=60.0)


def files_of(folder: Path, call_id: str, *, age: float) -> Path:
    """Make what the post-call work leaves of a call, changed `age` seconds ago; return its folder."""
    made = Result(call_id=call_id, stage="transcript", transcript_hash="0", status="done", run="1", attempts=1, at="")
    Results(folder).put(made)
    path = call_folder(folder, call_id)
    (path / "transcript.json").write_text("what the caller said")
    at = LoopClock().wall() - age
    os.utime(path, (at, at))
    return path


@pytest.mark.parametrize("call_id", ["CA1", "../CA1", "CA/1.2", "x" * 500], ids=["plain", "dots", "slash", "long"])
async def test_files_of_a_forgotten_call_are_deleted(tmp_path: Path, call_id: str) -> None:
    path = files_of(tmp_path, call_id, age=RETENTION + 1)
    assert await leftovers(tmp_path, a_shelf()).delete() == 1
    assert not path.exists()


async def test_files_of_a_kept_call_stay(tmp_path: Path) -> None:
    store = a_shelf()
    store.add("CA1", "hello")
    path = files_of(tmp_path, "CA1", age=RETENTION + 1)
    assert await leftovers(tmp_path, store).delete() == 0
    assert (path / "transcript.json").exists()


async def test_files_that_are_not_old_stay_though_the_store_knows_nothing(tmp_path: Path) -> None:
    path = files_of(tmp_path, "CA1", age=RETENTION - 60)
    assert await leftovers(tmp_path, a_shelf()).delete() == 0
    assert (path / "transcript.json").exists()


async def test_nothing_is_deleted_while_the_store_is_away(tmp_path: Path) -> None:
    store = a_shelf()
    store.away = True
    path = files_of(tmp_path, "CA1", age=RETENTION + 1)
    with pytest.raises(StoreAway):
        await leftovers(tmp_path, store).delete()
    assert (path / "transcript.json").exists()


async def test_a_folder_that_is_no_calls_is_left_alone(tmp_path: Path) -> None:
    path = files_of(tmp_path, "CA1", age=RETENTION + 1)
    other = path.rename(tmp_path / "somebody's own")
    (tmp_path / "another").mkdir()
    os.utime(tmp_path / "another", (0, 0))
    assert await leftovers(tmp_path, a_shelf()).delete() == 0
    assert other.exists()
    assert (tmp_path / "another").exists()


async def test_a_damaged_database_that_was_set_aside_is_deleted_when_all_in_it_is_old(tmp_path: Path) -> None:
    now = LoopClock().wall()
    names = ("calls.db", "calls.db.corrupt-20260101T000000Z", "calls.db.corrupt-20260101T000000Z-wal")
    for name in (*names, "calls.db.corrupt-20260201T000000Z"):
        (tmp_path / name).write_text("what callers said")
    for name in names:
        os.utime(tmp_path / name, (now - RETENTION - 1, now - RETENTION - 1))
    await leftovers(tmp_path / "calls", a_shelf()).delete()
    assert sorted(os.listdir(tmp_path)) == ["calls.db", "calls.db.corrupt-20260201T000000Z"]


async def test_a_folder_that_is_not_there_has_nothing_to_delete(tmp_path: Path) -> None:
    assert await leftovers(tmp_path / "calls", a_shelf()).delete() == 0


async def test_it_is_looked_again_and_again_whatever_the_store_does(tmp_path: Path) -> None:
    store = a_shelf()
    store.away = True
    path = files_of(tmp_path, "CA1", age=RETENTION + 1)
    looks = leftovers(tmp_path, store)
    looks.start()
    await elapse(90.0)
    assert path.exists()
    store.away = False
    await elapse(600.0)
    await looks.aclose()
    assert not path.exists()
