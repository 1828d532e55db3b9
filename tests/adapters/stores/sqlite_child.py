"""A process that commits to an SQLite store until somebody ends it, and prints what was acknowledged.

python -m tests.adapters.stores.sqlite_child FILE
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from pathlib import Path

from adapters.stores.sqlite import SqliteStore
from tests.adapters.stores.bench import a_commit, a_head

CALLS = 8


async def main(path: Path) -> None:
    store = SqliteStore(path)
    await store.start()
    try:
        await asyncio.gather(*(_talk(store, f"CA{number}") for number in range(CALLS)))
    finally:
        await store.aclose()


async def _talk(store: SqliteStore, call_id: str) -> None:
    first = 1
    for round_ in itertools.count():
        commit = a_commit(call_id, first, 1 + round_ % 3, head=a_head(durable=round_ % 5 == 0))
        (outcome,) = await store.commit([commit])
        os.write(1, f"{call_id} {outcome.version}\n".encode())
        first = commit.version + 1


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
