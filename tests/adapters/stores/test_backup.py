"""A store as a file and back: nothing is lost, nothing is overwritten, and no damaged file does half a job."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import orjson
import pytest

from adapters.stores.backup import BackupError, Restored, backup, restore
from adapters.stores.contract import Commit, Entry, Head, Kept, SessionStore
from adapters.stores.memory import MemoryStore
from adapters.stores.sqlite import SqliteStore
from fsm.clock import LoopClock

Stores: TypeAlias = Callable[[], AbstractAsyncContextManager[SessionStore]]
LIVE = Head(status="active", state="listening", carrier="twilio", bot="shop", created_at=1.5, active_at=2.5)
OVER = replace(LIVE, status="ended", state="closed", ended_at=9.25, settled=True, handed_over=False)


@asynccontextmanager
async def memory() -> AsyncIterator[SessionStore]:
    store = MemoryStore(clock=LoopClock())
    await store.start()
    try:
        yield store
    finally:
        await store.aclose()


@asynccontextmanager
async def sqlite() -> AsyncIterator[SessionStore]:
    with TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "calls.db", retention=1e12)
        await store.start()
        try:
            yield store
        finally:
            await store.aclose()


def a_commit(call_id: str, head: Head, *, first: int = 1, count: int = 3, **more: Any) -> Commit:
    last = first + count - 1
    return Commit(
        **{
            "call_id": call_id,
            "owner": "n1",
            "fence": 1,
            "first": first,
            "entries": tuple(orjson.dumps({"seq": n, "call_id": call_id}) for n in range(first, last + 1)),
            "document": orjson.dumps({"schema": 1, "call_id": call_id, "seq": last, "text": "Grüße ☎"}),
            "head": head,
            **more,
        }
    )


STORES = [memory, sqlite]


async def some_calls(store: SessionStore) -> None:
    """Keep one live call, one that is over, one that changed hands twice, and one whose log has a hole."""
    await store.commit([a_commit("live", LIVE), a_commit("over", OVER, count=450)])
    for owner in ("n1", "n2"):
        await store.claim("moved", owner, lease=15.0, force=True)
    await store.commit([a_commit("moved", LIVE, owner="n2", fence=2)])
    await store.claim("moved", "n3", lease=15.0, force=True)
    await store.commit([a_commit("moved", LIVE, owner="n3", fence=3, first=4)])
    await store.claim("moved", "n4", lease=15.0, force=True)
    await store.commit([a_commit("hole", LIVE), a_commit("hole", LIVE, first=7, rebase=True)])


async def content(store: SessionStore) -> dict[str, tuple[Any, Head, int, int, list[tuple[Any, ...]]]]:
    """Return everything of every call but its lease."""
    found = {}
    async for kept in store.everything():
        entries = [(e.version, e.fence, orjson.loads(e.record)) for e in await store.log(kept.call_id)]
        found[kept.call_id] = (orjson.loads(kept.document or b"null"), kept.head, kept.version, kept.fence, entries)
    return found


async def a_backup(folder: Path) -> Path:
    file = folder / "calls.jsonl"
    async with memory() as store:
        await some_calls(store)
        await backup(store, file)
    return file


@pytest.mark.parametrize("to", STORES)
@pytest.mark.parametrize("of", STORES)
async def test_everything_comes_back_from_and_to_each_store(tmp_path: Path, of: Stores, to: Stores) -> None:
    file = tmp_path / "calls.jsonl"
    async with of() as store, to() as other:
        await some_calls(store)

        assert await backup(store, file) == 4
        done = await restore(other, file)

        assert done == Restored(restored=4, live=3, there=0, newer=0)
        assert await content(other) == await content(store)
        assert [path.name for path in tmp_path.iterdir()] == ["calls.jsonl"]  # noqa: ASYNC240


async def test_live_calls_come_back_without_a_lease_for_whoever_looks_after_them(tmp_path: Path) -> None:
    file = await a_backup(tmp_path)
    async with memory() as other:
        await restore(other, file)

        assert {kept.call_id for kept in await other.unsettled()} == {"live", "moved", "hole"}
        assert (await other.claim("moved", "n9", lease=15.0)).fence == 5


async def test_outbox_that_waits_still_waits(tmp_path: Path) -> None:
    file = await a_backup(tmp_path)
    async with memory() as other:
        await restore(other, file)

        assert await other.undelivered() == ["over"]


async def test_restoring_twice_changes_nothing(tmp_path: Path) -> None:
    file = await a_backup(tmp_path)
    async with memory() as other:
        await restore(other, file)
        before = await content(other)

        done = await restore(other, file)

        assert done == Restored(restored=0, live=0, there=4, newer=0)
        assert await content(other) == before


async def test_what_is_newer_in_the_store_stays(tmp_path: Path) -> None:
    file = await a_backup(tmp_path)
    async with memory() as other:
        await other.commit([a_commit("live", LIVE, count=9)])
        await other.claim("over", "n7", lease=15.0)
        before = await content(other)

        done = await restore(other, file)

        after = await content(other)
        assert done == Restored(restored=2, live=2, there=0, newer=2)
        assert after["live"] == before["live"]
        assert "over" not in after


async def test_call_that_was_restored_in_part_is_completed(tmp_path: Path) -> None:
    file = await a_backup(tmp_path)
    async with memory() as store, memory() as other:
        await some_calls(store)
        await other.commit([a_commit("over", LIVE, count=200)])
        await other.release("n1", "over", 1)

        done = await restore(other, file)

        assert done.restored == 4
        assert await content(other) == await content(store)


async def test_long_log_is_read_and_written_in_pieces(tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    async with memory() as store, memory() as other:
        await store.commit([a_commit("long", OVER, count=2500)])
        await backup(store, file)
        await restore(other, file)

        last = await other.log("long", after=2498)
        assert [entry.version for entry in last] == [2499, 2500]


async def test_what_happens_while_the_backup_is_made_is_left_out(tmp_path: Path) -> None:
    class Growing(MemoryStore):
        async def log(self, call_id: str, *, after: int = 0, limit: int = 1000) -> list[Entry]:
            await self.commit([a_commit(call_id, LIVE, first=4, count=2)])
            return await super().log(call_id, after=after, limit=limit)

    store = Growing(clock=LoopClock())
    await store.commit([a_commit("live", LIVE)])
    await backup(store, tmp_path / "calls.jsonl")

    line = orjson.loads((tmp_path / "calls.jsonl").read_bytes().splitlines()[1])
    assert line["version"] == line["document"]["seq"] == 3
    assert [entry["version"] for entry in line["log"]] == [1, 2, 3]


async def test_call_of_which_only_the_log_is_left_comes_back_with_what_its_head_tells(tmp_path: Path) -> None:
    class Bare(MemoryStore):
        async def everything(self) -> AsyncIterator[Kept]:
            async for kept in super().everything():
                yield kept._replace(document=None)

    store, file = Bare(clock=LoopClock()), tmp_path / "calls.jsonl"
    await store.commit([a_commit("live", LIVE)])
    await backup(store, file)
    async with memory() as other:
        await restore(other, file)

        [said] = [document for document, *_ in (await content(other)).values()]
        assert (said["call_id"], said["state"], said["created_at"]) == ("live", "listening", "1970-01-01T00:00:01.500Z")
        assert len(await other.log("live")) == 3


async def test_file_that_is_there_is_not_overwritten_unless_it_is_said(tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    file.write_text("precious", encoding="utf-8")
    async with memory() as store:
        with pytest.raises(BackupError, match=r"calls.jsonl: is there already; .* --force"):
            await backup(store, file)
        assert file.read_text("utf-8") == "precious"

        await backup(store, file, force=True)

    assert file.read_text("utf-8").splitlines() == ['{"callchart":"backup","schema":1}', '{"calls":0}']


async def test_backup_that_breaks_off_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    class Breaking(MemoryStore):
        async def log(self, call_id: str, *, after: int = 0, limit: int = 1000) -> list[Entry]:
            raise OSError(28, "No space left on device")

    file = tmp_path / "calls.jsonl"
    file.write_text("precious", encoding="utf-8")
    store = Breaking(clock=LoopClock())
    await store.commit([a_commit("live", LIVE)])
    with pytest.raises(OSError, match="No space"):
        await backup(store, file, force=True)

    assert [(path.name, path.read_text("utf-8")) for path in tmp_path.iterdir()] == [("calls.jsonl", "precious")]  # noqa: ASYNC240


FIRST = b'{"callchart":"backup","schema":1}\n'
CALL = (
    b'{"call_id":"c","document":{"schema":1},"head":{"status":"active","state":"a","created_at":1.0,"active_at":1.0},'
    b'"version":1,"fence":1,"owner":"n","log":[{"version":1,"fence":1,"record":{}}]}\n'
)
LAST = b'{"calls":1}\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", ":1: the file is empty"),
        (b"hello\n", ":1: this is no backup"),
        (b'{"openapi": "3.1.0"}\n', ":1: this is no backup"),
        (b"[]\n", ":1: this is no backup"),
        (b'{"callchart":"backup","schema":2}\n', ":1: the backup has schema 2, and this version of callchart reads 1"),
        (FIRST, ":1: the file has been cut off"),
        (FIRST + CALL, ":2: the file has been cut off"),
        (FIRST + CALL[:60], ":2: the line: Invalid JSON"),
        (FIRST + CALL.replace(b'"version":1,"fence":1,"owner"', b'"version":"one","fence":1,"owner"'), ":2: version: "),
        (FIRST + CALL.replace(b'"active"', b'"asleep"') + LAST, ":2: head.status: "),
        (FIRST + CALL.replace(b'{"schema":1}', b'{"schema":9}') + LAST, ":2: call c has schema 9"),
        (FIRST + CALL.replace(b'"fence":1,"owner"', b'"fence":0,"owner"') + LAST, ":2: the log of call c"),
        (
            FIRST + CALL.replace(b'"version":1,"fence":1,"owner"', b'"version":0,"fence":1,"owner"') + LAST,
            ":2: the log",
        ),
        (FIRST + CALL + CALL + LAST, ":4: the backup has 2 calls, and was made of 1"),
        (FIRST + CALL + b'{"calls":x}\n', ":3: the last line of the backup is damaged"),
        (FIRST + CALL + LAST + CALL, ":4: there is more behind the end"),
    ],
)
async def test_file_that_is_not_whole_or_not_ours_is_refused_by_line_and_nothing_is_restored(
    tmp_path: Path, text: bytes, told: str
) -> None:
    file = tmp_path / "calls.jsonl"
    file.write_bytes(text)
    async with memory() as other:
        with pytest.raises(BackupError) as refused:
            await restore(other, file)

        assert str(refused.value).startswith(f"{file}{told}")
        assert await content(other) == {}


async def test_smallest_whole_file_is_restored(tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    file.write_bytes(FIRST + CALL + LAST)
    async with memory() as other:
        assert await restore(other, file) == Restored(restored=1, live=1, there=0, newer=0)
