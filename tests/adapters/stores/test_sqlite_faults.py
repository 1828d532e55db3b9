"""What an SQLite store survives: killed processes, a full disk, locks, damage. The faults are real ones."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from adapters.stores.contract import StoreAway
from adapters.stores.sqlite import SqliteStore
from fsm.errors import SettingError
from tests.adapters.stores.bench import a_commit, an_ended_head, claimed, committed, known, versions
from tests.adapters.stores.sqlite_child import CALLS


@asynccontextmanager
async def opened(path: Path, **how: Any) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path, **how)
    try:
        await store.start()
        yield store
    finally:
        await store.aclose()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "calls.sqlite"


async def fill(path: Path, calls: int = 200) -> None:
    """Keep so many calls, and close the file."""
    async with opened(path) as store:
        await store.commit([a_commit(f"CA{number}", count=5) for number in range(calls)])


async def fill_up(store: SqliteStore) -> None:
    """Keep calls until there is no room."""
    for number in range(1000):
        await store.commit([a_commit(f"CA{number}", count=20, document=b"x" * 4000)])


def content(path: Path) -> bytes:
    return path.read_bytes()


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


def rename(path: Path, name: str) -> Path:
    return path.rename(path.with_name(name))


# -- a process is killed ---------------------------------------------------------------------------


@pytest.mark.parametrize("acknowledged", [1, 150, 600])
def test_what_a_killed_process_had_acknowledged_is_there(path: Path, acknowledged: int) -> None:
    command = [sys.executable, "-m", "tests.adapters.stores.sqlite_child", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        lines = [child.stdout.readline() for _ in range(acknowledged)]
        child.kill()
        lines += child.stdout.readlines()
        assert child.stderr.read() == b""
    promised: dict[str, int] = {}
    for line in lines:
        call_id, version = line.split()
        promised[call_id.decode()] = int(version)
    assert promised

    asyncio.run(_holds(path, promised))


async def _holds(path: Path, promised: dict[str, int]) -> None:
    async with opened(path) as store:
        for call_id in (f"CA{number}" for number in range(CALLS)):
            kept = await store.get(call_id)
            there = await store.log(call_id, limit=1_000_000)
            assert [entry.version for entry in there] == list(range(1, len(there) + 1))
            assert len(there) >= promised.get(call_id, 0)
            if kept is not None:
                assert (kept.version, kept.document) == (len(there), a_commit(call_id, 1, len(there)).document)
        assert not list(path.parent.glob("*.corrupt-*"))


# -- the disk is full ------------------------------------------------------------------------------


async def test_full_disk_is_said_and_nothing_is_half_written(path: Path) -> None:
    async with opened(path, max_bytes=200_000) as store:
        with pytest.raises(StoreAway, match=r"calls\.sqlite: there is no room left for it"):
            await fill_up(store)

        kept = [one async for one in store.everything()]
        assert len(kept) > 5
        assert await store.log(f"CA{len(kept)}") == []
        for one in kept:
            assert await versions(store, one.call_id) == list(range(1, 21))


async def test_store_goes_on_when_there_is_room_again(path: Path) -> None:
    async with opened(path, max_bytes=250_000) as store:
        big = a_commit("big", document=b"x" * 150_000)
        await store.commit([a_commit("in-the-way", document=b"y" * 100_000)])
        with pytest.raises(StoreAway):
            await store.commit([big])

        await store.delete("in-the-way")

        assert await store.commit([big]) == [("applied", 1, 1)]
        assert (await known(store, "big")).document == big.document


# -- somebody else has the file --------------------------------------------------------------------


async def test_locked_file_counts_as_away_and_loses_nothing(path: Path) -> None:
    async with opened(path, busy=0.01) as store:
        await committed(store)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")

            with pytest.raises(StoreAway, match=r"calls\.sqlite: another process keeps it locked"):
                await committed(store, first=2)
            assert await versions(store) == [1]
            other.execute("ROLLBACK")

        assert await committed(store, first=2) == ("applied", 2, 1)


async def test_file_that_is_locked_at_start_counts_as_away(path: Path) -> None:
    await fill(path, 1)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(StoreAway, match="locked"):
            async with opened(path, busy=0.01):
                pass
        other.execute("ROLLBACK")

    async with opened(path) as store:
        assert await versions(store, "CA0") == [1, 2, 3, 4, 5]


async def test_processes_that_share_a_file_see_each_others_claims(path: Path) -> None:
    async with opened(path) as ours, opened(path) as theirs:
        await claimed(ours)
        await committed(ours)

        assert (await claimed(theirs, owner="node-b"))[:3] == ("owned", 1, "node-a")
        assert (await claimed(theirs, owner="node-b", force=True)).fence == 2
        assert await committed(ours, first=2) == ("fenced", 1, 2)


# -- the file is damaged ---------------------------------------------------------------------------


def _garbage(_: bytes) -> bytes:
    return b"this is no database\n" * 500


def _torn(whole: bytes) -> bytes:
    half = len(whole) // 2
    return whole[:half] + b"\xa5" * 40_000 + whole[half + 40_000 :]


def _cut(whole: bytes) -> bytes:
    return whole[: len(whole) // 2 + 100]


@pytest.mark.parametrize("damage", [_garbage, _torn, _cut])
async def test_file_that_is_damaged_at_start_is_kept_aside_and_a_fresh_one_begun(
    path: Path, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    await fill(path)
    broken = damage(content(path))
    write(path, broken)

    with caplog.at_level(logging.ERROR):
        async with opened(path) as store:
            assert await store.list_active() == []
            assert await committed(store) == ("applied", 1, 1)

    (aside,) = path.parent.glob("calls.sqlite.corrupt-*")
    assert aside.read_bytes() == broken
    (record,) = caplog.records
    assert (record.levelname, record.message) == ("ERROR", "store_damaged")
    assert (vars(record)["file"], vars(record)["kept_as"]) == (str(path), str(aside))


async def test_every_damaged_file_is_kept(path: Path) -> None:
    for said in (b"first " * 500, b"second " * 500, b"third " * 500):
        write(path, said)
        write(path.with_name("calls.sqlite-wal"), said)
        async with opened(path):
            pass

    kept = sorted(
        one.read_bytes()[:5] for one in path.parent.glob("calls.sqlite.corrupt-*") if one.suffix[-4:] != "-wal"
    )
    assert kept == [b"first", b"secon", b"third"]


async def test_damage_that_shows_later_is_said(path: Path) -> None:
    await fill(path, 500)
    async with opened(path) as store:
        write(path, content(path)[:4096] + b"\xa5" * (len(content(path)) - 4096))

        with pytest.raises(StoreAway, match=r"calls\.sqlite: it is damaged .* stop callchart, move the file away"):
            await store.get("CA77")
        with pytest.raises(StoreAway, match="damaged"):
            await committed(store, "CA77", first=6)


# -- the file is not there any more ----------------------------------------------------------------


@pytest.mark.parametrize("gone", ["file", "all", "folder"])
async def test_file_that_is_deleted_while_it_is_used_is_told_and_a_new_one_takes_what_comes(
    path: Path, gone: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(path) as store:
        await committed(store, "before")
        for file in [path] if gone == "file" else list(path.parent.iterdir()):
            file.unlink()
        if gone == "folder":
            path.parent.rmdir()

        await committed(store, "after")
        assert await store.get("before") is None
        assert await store.list_active() == ["after"]
        assert [record.message for record in caplog.records] == ["store_deleted"]

    async with opened(path) as store:
        assert await store.list_active() == ["after"]


async def test_file_in_whose_place_another_one_was_put_is_not_written_beside_it(path: Path) -> None:
    async with opened(path) as store:
        await committed(store, "before")
        aside = rename(path, "aside")
        write(path, b"")

        with pytest.raises(StoreAway, match="another file was put in its place; put it back, or start callchart again"):
            await committed(store, "after")
        assert content(path) == b""

        rename(aside, path.name)
        await committed(store, "after")
        assert await store.list_active() == ["after", "before"]


async def test_file_that_cannot_be_made_again_counts_as_away_until_it_can(path: Path) -> None:
    async with opened(path) as store:
        await committed(store, "before")
        for file in list(path.parent.iterdir()):
            file.unlink()
        path.parent.rmdir()
        path.parent.write_text("in the way")

        for _ in range(2):
            with pytest.raises(StoreAway, match="cannot be looked at or made again"):
                await committed(store, "after")

        path.parent.unlink()
        await committed(store, "after")
        assert await store.list_active() == ["after"]


# -- the file cannot be used -----------------------------------------------------------------------


async def test_folder_that_cannot_be_written_is_a_matter_of_settings(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(SettingError, match="CALLCHART_DATA_DIR: .*calls.sqlite cannot be written"):
        async with opened(tmp_path / "file" / "calls.sqlite"):
            pass
    with pytest.raises(SettingError, match="CALLCHART_DATA_DIR: .* cannot be written"):
        async with opened(tmp_path):
            pass


async def test_what_callers_said_is_for_nobody_elses_eyes(path: Path) -> None:
    async with opened(path) as store:
        await committed(store)

        modes = {one.name: oct(one.stat().st_mode & 0o777) for one in path.parent.iterdir()}

    assert set(modes.values()) == {"0o600"}
    assert "calls.sqlite-wal" in modes


async def test_erased_call_is_not_to_be_found_in_the_file(path: Path) -> None:
    await fill(path)
    async with opened(path) as store:
        await committed(store, "secret", document=b"my card is 4111" * 1000, head=an_ended_head())
    assert b"my card is 4111" in content(path)

    async with opened(path) as store:
        assert await store.delete("secret")

    assert b"my card is 4111" not in content(path)
    assert b"secret" not in content(path)


@pytest.mark.parametrize("how", ["erased", "expired"])
async def test_forgotten_call_is_in_no_file_of_a_store_that_runs(path: Path, how: str) -> None:
    async with opened(path, retention=1.0) as store:
        await committed(store, "secret", document=b"my card is 4111" * 1000, head=an_ended_head(ended_at=1.0))
        assert await (store.delete("secret") if how == "erased" else store.cleanup_expired())
        await committed(store, "another")

        for file in path.parent.iterdir():
            assert b"my card is 4111" not in content(file)


async def test_store_that_is_closed_or_not_started_counts_as_away(path: Path) -> None:
    store = SqliteStore(path)
    with pytest.raises(StoreAway, match="was closed, or not started"):
        await store.get("CA1")
    await store.start()
    await store.aclose()

    with pytest.raises(StoreAway, match="was closed, or not started"):
        await committed(store)
