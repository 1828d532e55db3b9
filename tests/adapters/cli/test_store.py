"""`callchart store`: calls into a file and back, by the settings of the server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from adapters.stores.contract import Commit, Head
from adapters.stores.sqlite import SqliteStore
from tests.adapters.cli.conftest import Command

HEAD = Head(status="active", state="listening", created_at=1.5, active_at=2.5)


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with one live call in its store."""
    folder = tmp_path / "data"
    monkeypatch.setenv("CALLCHART_DATA_DIR", str(folder))
    asyncio.run(keep(folder, "CA1"))
    return folder


async def keep(folder: Path, call_id: str) -> None:
    store = SqliteStore(folder / "calls.db")
    await store.start()
    document = json.dumps({"schema": 1, "call_id": call_id}).encode()
    commit = Commit(
        call_id=call_id, owner="n1", fence=1, first=1, entries=(b'{"seq":1}',), document=document, head=HEAD
    )
    await store.commit([commit])
    await store.aclose()


async def kept(folder: Path) -> list[tuple[str, int, float]]:
    """Return id, version and what is left of the lease of every call in a data folder."""
    store = SqliteStore(folder / "calls.db")
    await store.start()
    found = [(one.call_id, one.version, one.lease_left) async for one in store.everything()]
    await store.aclose()
    return found


def test_calls_go_to_a_file_and_come_back_into_an_empty_store(
    callchart: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "calls.jsonl"

    saved = callchart("store", "backup", str(file))
    monkeypatch.setenv("CALLCHART_DATA_DIR", str(tmp_path / "other"))
    restored = callchart("store", "restore", str(file))
    again = callchart("store", "restore", str(file))

    assert (saved.code, saved.out) == (0, f"{file}: 1 call\n")
    assert restored.code == again.code == 0
    assert restored.out == (
        f"{file}: 1 call restored (1 live), 0 skipped that were there, 0 skipped that are newer in the store\n"
    )
    assert again.out.startswith(f"{file}: 0 calls restored (0 live), 1 skipped that were there")
    [(call_id, version, lease_left)] = asyncio.run(kept(tmp_path / "other"))
    assert (call_id, version) == ("CA1", 1)
    assert lease_left <= 0


def test_file_that_is_there_is_replaced_only_by_force(callchart: Command, tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    file.write_text("precious", encoding="utf-8")

    refused = callchart("store", "backup", str(file))
    forced = callchart("store", "backup", str(file), "--force")

    assert (refused.code, refused.err) == (
        1, f"callchart: {file}: is there already; name another file, or replace it with --force\n"
    )  # fmt: skip
    assert forced.code == 0
    assert len(file.read_text("utf-8").splitlines()) == 3


def test_file_of_another_kind_is_refused_by_its_line(callchart: Command, tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    file.write_text("hello\n", encoding="utf-8")

    ran = callchart("store", "restore", str(file))

    assert ran.code == 1
    assert ran.err.startswith(f"callchart: {file}:1: this is no backup")


def test_file_that_is_not_there_is_named(callchart: Command, tmp_path: Path) -> None:
    ran = callchart("store", "restore", str(tmp_path / "none.jsonl"))

    assert (ran.code, ran.err) == (2, f"callchart: {tmp_path / 'none.jsonl'}: No such file or directory\n")


def test_memory_store_has_nothing_to_back_up(
    callchart: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLCHART_STORE", "memory")

    ran = callchart("store", "backup", str(tmp_path / "calls.jsonl"))

    assert ran.code == 2
    assert ran.err.startswith("callchart: CALLCHART_STORE: ")
    assert not (tmp_path / "calls.jsonl").exists()


def test_data_folder_without_calls_is_no_backup(
    callchart: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLCHART_DATA_DIR", str(tmp_path / "misspelt"))

    ran = callchart("store", "backup", str(tmp_path / "calls.jsonl"))

    assert (ran.code, ran.err) == (
        2, f"callchart: CALLCHART_DATA_DIR: {tmp_path / 'misspelt'} has no calls.db; name the server's\n"
    )  # fmt: skip
    assert not (tmp_path / "misspelt").exists()
    assert not (tmp_path / "calls.jsonl").exists()


@pytest.mark.parametrize("what", ["backup", "restore"])
def test_redis_that_does_not_answer_is_named_by_its_setting(
    callchart: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    file = tmp_path / "calls.jsonl"
    if what == "restore":
        assert callchart("store", "backup", str(file)).code == 0
    monkeypatch.setenv("CALLCHART_STORE", "redis")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")  # nobody listens there

    ran = callchart("store", what, str(file))

    assert ran.code == 1
    assert ran.err.startswith("callchart: the store of REDIS_URL does not answer: ")
    assert ran.err.count("\n") == 1


async def test_store_that_a_server_writes_to_is_backed_up_meanwhile(
    callchart: Command, tmp_path: Path, data_folder: Path
) -> None:
    server = SqliteStore(data_folder / "calls.db")
    await server.start()
    try:
        ran = await asyncio.to_thread(callchart, "store", "backup", str(tmp_path / "calls.jsonl"))
        claim = await server.claim("CA2", "n1", lease=15.0)
    finally:
        await server.aclose()

    assert (ran.code, ran.out) == (0, f"{tmp_path / 'calls.jsonl'}: 1 call\n")
    assert claim.granted


def test_what_is_wanted_must_be_said(callchart: Command) -> None:
    assert callchart("store").code == 2
