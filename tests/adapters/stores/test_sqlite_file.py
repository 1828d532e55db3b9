"""The SQLite file: shared transactions, synchronisation, schema versions."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from adapters.stores.sqlite import SqliteStore
from adapters.stores.sqlite_file import SqliteFile
from adapters.stores.sqlite_schema import STEPS, connect, migrate
from fsm.errors import SettingError
from tests.adapters.stores.bench import a_commit, a_head, committed


@asynccontextmanager
async def traced(path: Path) -> AsyncIterator[tuple[SqliteFile, list[str]]]:
    """Open a file and note the statements of its writer."""
    file = SqliteFile(path, busy=1, max_bytes=0)
    said: list[str] = []
    await file.open()
    await file.write(lambda db: db.set_trace_callback(said.append))
    said.clear()
    try:
        yield file, said
    finally:
        await file.aclose()


@asynccontextmanager
async def busy(file: SqliteFile) -> AsyncIterator[None]:
    """Hold a transaction open: what is written meanwhile, one loop's turn, comes into one group."""
    runs, go = threading.Event(), threading.Event()

    def hold(db: sqlite3.Connection) -> None:
        runs.set()
        go.wait(10)

    holding = asyncio.create_task(file.write(hold))
    await asyncio.get_running_loop().run_in_executor(None, runs.wait, 10)
    try:
        yield
        await asyncio.sleep(0)
    finally:
        go.set()
    await holding


def insert(call_id: str | int) -> Callable[[sqlite3.Connection], int]:
    """Return work that writes a row."""

    def work(db: sqlite3.Connection) -> int:
        return db.execute("INSERT INTO owners VALUES (?, 1, 'node-a', 0, 0)", (call_id,)).rowcount

    return work


async def test_what_comes_while_a_transaction_runs_shares_the_next_one(tmp_path: Path) -> None:
    async with traced(tmp_path / "calls.sqlite") as (file, said):
        async with busy(file):
            writes = [asyncio.create_task(file.write(insert(f"CA{number}"))) for number in range(40)]

        assert await asyncio.gather(*writes) == [1] * 40

        assert said.count("BEGIN IMMEDIATE") == 2
        assert said.count("COMMIT") == 2


@pytest.mark.parametrize(
    ("durable", "expected"), [((False, False), "NORMAL"), ((False, True), "FULL"), ((True, True), "FULL")]
)
async def test_group_is_synchronised_if_anything_in_it_must_survive_a_power_failure(
    tmp_path: Path, durable: tuple[bool, bool], expected: str
) -> None:
    async with traced(tmp_path / "calls.sqlite") as (file, said):
        async with busy(file):
            said.clear()
            writes = [asyncio.create_task(file.write(insert(f"CA{d}-{i}"), durable=d)) for i, d in enumerate(durable)]
        await asyncio.gather(*writes)

    assert [one for one in said if "synchronous" in one] == [f"PRAGMA synchronous = {expected}"]


@pytest.mark.parametrize(("durable", "expected"), [(True, "FULL"), (False, "NORMAL")])
async def test_states_are_synchronised_and_deltas_are_not(tmp_path: Path, durable: bool, expected: str) -> None:
    store = SqliteStore(tmp_path / "calls.sqlite")
    await store.start()
    said: list[str] = []
    await store._file.write(lambda db: db.set_trace_callback(said.append))
    said.clear()

    await committed(store, head=a_head(durable=durable))
    await store.aclose()

    assert [one for one in said if "synchronous" in one] == [f"PRAGMA synchronous = {expected}"]


async def test_mistake_of_one_harms_nobody_else_in_its_group(tmp_path: Path) -> None:
    async with traced(tmp_path / "calls.sqlite") as (file, _):
        async with busy(file):
            writes = [asyncio.create_task(file.write(insert(key))) for key in ("CA1", "\ud800", 2**70, "CA2")]
        done = await asyncio.gather(*writes, return_exceptions=True)

        assert [type(one) for one in done] == [int, UnicodeEncodeError, OverflowError, int]
        rows = await file.read(lambda db: db.execute("SELECT call_id FROM owners").fetchall())
        assert rows == [("CA1",), ("CA2",)]


async def test_write_whose_sender_was_cancelled_breaks_nothing(tmp_path: Path) -> None:
    async with traced(tmp_path / "calls.sqlite") as (file, _):
        async with busy(file):
            given_up = asyncio.create_task(file.write(insert("CA1")))
            other = asyncio.create_task(file.write(insert("CA2")))
            await asyncio.sleep(0)
            given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up

        assert await other == 1
        assert await file.write(insert("CA3")) == 1


async def test_writes_that_were_given_up_before_their_turn_are_not_done_and_hold_nobody_up(tmp_path: Path) -> None:
    async with traced(tmp_path / "calls.sqlite") as (file, _):
        async with busy(file):
            given_up = [asyncio.create_task(file.write(insert(f"CA{number}"))) for number in range(600)]
            await asyncio.sleep(0)
            for write in given_up:
                write.cancel()
            await asyncio.wait(given_up)

        assert await file.write(insert("CB1")) == 1
        assert await file.read(lambda db: db.execute("SELECT call_id FROM owners").fetchall()) == [("CB1",)]


async def test_work_that_is_broken_holds_up_neither_its_group_nor_the_loop(tmp_path: Path) -> None:
    def broken(db: sqlite3.Connection) -> int:
        raise KeyError("a mistake of ours")

    async with traced(tmp_path / "calls.sqlite") as (file, _):
        async with busy(file):
            writes = [asyncio.create_task(file.write(work)) for work in (insert("CA1"), broken, insert("CA2"))]
        done = await asyncio.gather(*writes, return_exceptions=True)

        assert [type(one) for one in done] == [int, KeyError, int]


async def test_closing_waits_for_what_was_asked(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "calls.sqlite")
    await store.start()
    commits = asyncio.gather(*(store.commit([a_commit(f"CA{number}")]) for number in range(20)))
    await asyncio.sleep(0)

    await store.aclose()

    assert await commits == [[("applied", 1, 1)]] * 20
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("callchart-store")]


# -- versions of the schema ------------------------------------------------------------------------


def columns(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return [name for _, name, *_ in db.execute("PRAGMA table_info(calls)")]


def test_older_file_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite"
    with closing(connect(path, busy=1)) as db:
        migrate(db, path)
        db.execute("INSERT INTO owners VALUES ('CA1', 7, 'node-a', 0, 0)")
        newer = (*STEPS, ("ALTER TABLE calls ADD COLUMN mood TEXT", "UPDATE owners SET fence = fence + 1"))

        migrate(db, path, newer)
        migrate(db, path, newer)

        assert db.execute("SELECT fence FROM owners").fetchone() == (8,)
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
    assert columns(path)[-1] == "mood"


def test_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite"
    with closing(connect(path, busy=1)) as db:
        migrate(db, path)

        with pytest.raises(sqlite3.OperationalError):
            migrate(db, path, (*STEPS, ("ALTER TABLE calls ADD COLUMN mood TEXT", "no SQL")))

        assert db.execute("PRAGMA user_version").fetchone() == (1,)
    assert "mood" not in columns(path)


async def test_file_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite"
    with closing(connect(path, busy=1)) as db:
        migrate(db, path, (*STEPS, ("CREATE TABLE moods (call_id TEXT)",)))
    before = path.read_bytes()
    store = SqliteStore(path)

    with pytest.raises(SettingError, match=r"newer version of callchart \(schema 2, .*1 to 1\); run that version, or"):
        await store.start()
    await store.aclose()

    assert path.read_bytes() == before


async def test_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE calls (secret TEXT)")
    store = SqliteStore(path)

    with pytest.raises(SettingError, match="of another program; name another folder with CALLCHART_DATA_DIR"):
        await store.start()
    await store.aclose()

    assert columns(path) == ["secret"]


def test_questions_that_are_asked_often_read_no_whole_table(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite"
    with closing(connect(path, busy=1)) as db:
        migrate(db, path)
        for question in (
            "SELECT call_id FROM calls WHERE settled = 0 AND over = 0 ORDER BY created_at, call_id",
            "SELECT call_id FROM calls WHERE over = 1 AND handed_over = 0 ORDER BY ended_at, call_id",
            "SELECT call_id FROM calls WHERE over = 1 AND settled = 1 AND handed_over = 1 AND ended_at <= 5 LIMIT 9",
            "SELECT call_id FROM calls ORDER BY created_at DESC, call_id DESC LIMIT 9",
            "SELECT * FROM calls WHERE state = 'x' ORDER BY created_at DESC, call_id DESC LIMIT 9",
            "SELECT * FROM calls WHERE call_id = 'x' OR (caller >= 'x' AND caller < 'y') OR called = 'x'",
            "SELECT count(*) FROM owners WHERE kept = 0 AND lease_until > 5",
            "SELECT status, count(*) FROM calls GROUP BY status",
        ):
            plan = [detail for *_, detail in db.execute(f"EXPLAIN QUERY PLAN {question}")]
            assert all("USING" in step or step.startswith(("MULTI", "INDEX")) for step in plan), (question, plan)
            assert not any("TEMP B-TREE" in step for step in plan), (question, plan)
