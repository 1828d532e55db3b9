"""What callers said is in files that nobody else on the machine may read."""

from __future__ import annotations

from pathlib import Path

from adapters.pipeline.results import write_atomically
from adapters.stores.backup import backup
from adapters.stores.memory import MemoryStore
from adapters.stores.spool_folder import SpoolFolder
from adapters.stores.sqlite import SqliteStore
from fsm.clock import LoopClock


def mode(path: Path) -> str:
    return oct(path.stat().st_mode & 0o777)


def test_transcripts_and_results_are_their_owners_alone(tmp_path: Path) -> None:
    write_atomically(tmp_path / "CA1" / "transcript.json", b"{}")

    assert mode(tmp_path / "CA1" / "transcript.json") == "0o600"


def test_data_folder_is_its_owners_alone_though_only_a_spool_is_in_it(tmp_path: Path) -> None:
    folder = SpoolFolder(tmp_path / "data" / "spool", SqliteStore)

    folder.take()
    folder.close()

    assert mode(tmp_path / "data") == "0o700"


async def test_data_folder_is_its_owners_alone_with_a_store_in_it(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "data" / "calls.db")
    await store.start()
    await store.aclose()

    assert mode(tmp_path / "data") == "0o700"
    assert mode(tmp_path / "data" / "calls.db") == "0o600"


async def test_backup_is_its_owners_alone(tmp_path: Path) -> None:
    store = MemoryStore(clock=LoopClock())
    await store.start()

    await backup(store, tmp_path / "calls.jsonl")

    await store.aclose()
    assert mode(tmp_path / "calls.jsonl") == "0o600"
