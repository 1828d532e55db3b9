"""A whole store as a file, and back: JSON lines, whatever store they come from or go to.

The first line says what the file is, then one line per call, and the last line says how many there are: a file that
was cut off is noticed. A call's line has its document, the head, every entry of its log, version, fence and owner.

The lease is not kept: a live call comes back as one whose node has died, and is closed or resumed like any other.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from secrets import token_hex
from typing import Any, Literal

import orjson
from pydantic import TypeAdapter, ValidationError

from adapters.stores.contract import Commit, Head, Kept, SessionStore
from adapters.stores.paging import log_pages
from fsm.document import SCHEMA as DOCUMENT_SCHEMA
from fsm.document import iso
from fsm.errors import CallchartError

__all__ = ["SCHEMA", "BackupError", "Restored", "backup", "restore"]

SCHEMA = 1
"""Of the files as this version writes them."""
_WRITTEN = 200  # entries that are committed at once
_NOBODY = "restore"  # owner of a call that never had one


class BackupError(CallchartError):
    """A backup cannot be written, or read; the message names file and line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _SavedEntry:
    version: int
    fence: int
    record: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _SavedCall:
    """One line of a backup."""

    call_id: str
    document: dict[str, Any] | None
    head: Head
    version: int
    fence: int
    owner: str
    log: list[_SavedEntry]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """How many calls of a backup came back, and how many did not have to.

    Attributes:
        live: of those restored, how many are not over.
        there: the store has them as they are in the backup.
        newer: the store has more of them than the backup, or another node has them.
    """

    restored: int
    live: int
    there: int
    newer: int


# -- writing ------------------------------------------------------------------------------------------


async def backup(store: SessionStore, file: Path, *, force: bool = False) -> int:
    """Write every call of a store to a file, which is there whole or not at all; return how many.

    Nobody else on the machine may read the file: it holds what callers said. Calls that go on meanwhile are kept
    as they are when their turn comes.

    Raises:
        BackupError: the file is there already, and `force` does not say to replace it.
        OSError: it cannot be written.
        StoreAway: the store cannot be read.
    """
    if not force and await asyncio.to_thread(file.exists):
        raise BackupError(f"{file}: is there already; name another file, or replace it with --force")
    other = file.with_name(f".{file.name}.{token_hex(4)}.tmp")
    count = 0
    try:
        with os.fdopen(_private(other), "wb") as out:
            out.write(_line({"callchart": "backup", "schema": SCHEMA}))
            async for kept in store.everything():
                out.write(_line(await _saved(store, kept)))
                count += 1
            out.write(_line({"calls": count}))
        other.replace(file)
    finally:
        other.unlink(missing_ok=True)
    return count


def _private(file: Path) -> int:
    return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


async def _saved(store: SessionStore, kept: Kept) -> dict[str, Any]:
    """Return a call's line; entries that came after `kept` was read are left out."""
    pages = [page async for page in log_pages(store, kept.call_id, last=kept.version)]
    return {
        "call_id": kept.call_id,
        "document": None if kept.document is None else orjson.Fragment(kept.document),
        "head": kept.head,
        "version": kept.version,
        "fence": kept.fence,
        "owner": kept.owner,
        "log": [
            {"version": e.version, "fence": e.fence, "record": orjson.Fragment(e.record)}
            for page in pages
            for e in page
        ],
    }


def _line(value: dict[str, Any]) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


# -- reading ------------------------------------------------------------------------------------------


async def restore(store: SessionStore, file: Path) -> Restored:
    """Write the calls of a backup to a store; what it has already stays as it is. Safe to repeat.

    Raises:
        BackupError: the file is none of ours, of a newer version, or damaged; nothing was restored.
        OSError: it cannot be read.
        StoreAway: the store cannot be written; what was restored until then is there.
    """
    for _ in _calls(file):
        pass  # whole and readable, before anything is written
    count: Counter[str] = Counter()
    for call in _calls(file):
        done = await _restored(store, call)
        count[done] += 1
        if done == "restored" and not call.head.over:
            count["live"] += 1
    return Restored(restored=count["restored"], live=count["live"], there=count["there"], newer=count["newer"])


def _calls(file: Path) -> Iterator[_SavedCall]:
    """Yield the calls of a file, and check that it is whole."""
    with file.open("rb") as lines:
        count, last = -1, 0
        for last, line in enumerate(lines, start=1):
            where = f"{file}:{last}"
            if last == 1:
                _check_first(line, where)
            elif count >= 0:
                raise BackupError(f"{where}: there is more behind the end of the backup")
            elif line.startswith(b'{"calls":'):
                count = _counted(line, where)
                if count != last - 2:
                    raise BackupError(f"{where}: the backup has {last - 2} calls, and was made of {count}")
            else:
                yield _read(line, where)
    if not last:
        raise BackupError(f"{file}:1: the file is empty, and no backup of callchart")
    if count < 0:
        raise BackupError(f"{file}:{last}: the file has been cut off: its last line is missing")


def _check_first(line: bytes, where: str) -> None:
    try:
        said = orjson.loads(line)
        schema = said["schema"] if said["callchart"] == "backup" else None
    except (ValueError, KeyError, TypeError):
        schema = None
    if not isinstance(schema, int):
        raise BackupError(f"{where}: this is no backup that `callchart store backup` has written")
    if not 1 <= schema <= SCHEMA:
        raise BackupError(f"{where}: the backup has schema {schema}, and this version of callchart reads 1 to {SCHEMA}")


def _counted(line: bytes, where: str) -> int:
    try:
        return int(orjson.loads(line)["calls"])
    except (ValueError, TypeError) as error:
        raise BackupError(f"{where}: the last line of the backup is damaged") from error


def _read(line: bytes, where: str) -> _SavedCall:
    try:
        call = _CALL.validate_json(line)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise BackupError(f"{where}: {'.'.join(map(str, first['loc'])) or 'the line'}: {first['msg']}") from error
    schema = (call.document or {"schema": 1}).get("schema")
    if not isinstance(schema, int) or not 1 <= schema <= DOCUMENT_SCHEMA:
        raise BackupError(
            f"{where}: call {call.call_id} has schema {schema!r}, and this version of callchart reads 1 to "
            f"{DOCUMENT_SCHEMA}"
        )
    ends = (*((entry.version, entry.fence) for entry in call.log), (call.version + 1, call.fence))
    if any(a[0] >= b[0] or a[1] > b[1] for a, b in pairwise(ends)):
        raise BackupError(f"{where}: the log of call {call.call_id} is not in order, or goes beyond its version")
    return call


async def _restored(store: SessionStore, call: _SavedCall) -> Literal["restored", "there", "newer"]:
    known = await store.get(call.call_id)
    if known is not None and (known.version, known.fence) == (call.version, call.fence):
        return "there"
    if known is not None and (known.version >= call.version or known.fence > call.fence or known.lease_left > 0):
        return "newer"
    owner = call.owner or _NOBODY
    outcomes = await store.commit(_commits(call, owner))
    if any(outcome.verdict in ("fenced", "gap", "refused") for outcome in outcomes):
        return "newer"  # somebody has taken it meanwhile
    await store.release(owner, call.call_id, call.fence)
    return "restored"


def _commits(call: _SavedCall, owner: str) -> list[Commit]:
    """Return what brings a call back: entries that follow each other and have one fence are one commit, at most."""
    runs: list[list[_SavedEntry]] = []
    for entry in call.log:
        last = runs[-1][-1] if runs else None
        follows = last is not None and (last.version + 1, last.fence) == (entry.version, entry.fence)
        if follows and len(runs[-1]) < _WRITTEN:
            runs[-1].append(entry)
        else:
            runs.append([entry])
    if not runs or (runs[-1][-1].version, runs[-1][-1].fence) != (call.version, call.fence):
        runs.append([])  # it was taken over, and nothing has happened since; or what has is lost
    document = orjson.dumps(call.document or _outline(call))
    commits, last_version = [], 0
    for run in runs:
        first = run[0].version if run else call.version + 1
        commits.append(
            Commit(
                call_id=call.call_id,
                owner=owner,
                fence=run[0].fence if run else call.fence,
                first=first,
                entries=tuple(orjson.dumps(entry.record) for entry in run),
                document=document,
                head=call.head,
                rebase=first != last_version + 1,
            )
        )
        last_version = commits[-1].version
    return commits


def _outline(call: _SavedCall) -> dict[str, Any]:
    """Return what stands for the document of a call of which only the log was left."""
    head = call.head
    times = {"created_at": iso(head.created_at), "last_activity": iso(head.active_at), "ended_at": iso(head.ended_at)}
    return {
        "schema": DOCUMENT_SCHEMA,
        "call_id": call.call_id,
        "status": head.status,
        "state": head.state,
        "carrier": head.carrier,
        "caller": head.caller,
        "called": head.called,
        "bot": head.bot,
        **times,
    }


_CALL: TypeAdapter[_SavedCall] = TypeAdapter(_SavedCall)
