"""`callchart store`: all calls of the store into a file, and back. A server may run meanwhile."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adapters.stores.contract import SessionStore

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", metavar="backup|restore", required=True)
    text = "write every call, live or over, with its log, to a file of JSON lines"
    backing_up = what.add_parser("backup", help=text, description=f"{text[0].upper()}{text[1:]}.")
    backing_up.add_argument("file", type=Path, metavar="FILE")
    backing_up.add_argument("--force", action="store_true", help="replace a file that is there already")
    text = "bring the calls of a backup into the store, and leave those it has as they are"
    restoring = what.add_parser("restore", help=text, description=f"{text[0].upper()}{text[1:]}.")
    restoring.add_argument("file", type=Path, metavar="FILE")


def run(options: argparse.Namespace) -> int:
    from adapters.settings import read_settings
    from adapters.stores.contract import StoreAway
    from fsm.errors import CallchartError, SettingError

    settings = read_settings(os.environ)
    if settings.store == "memory":
        raise SettingError("CALLCHART_STORE: a memory store ends with its process; back up sqlite or redis")
    if options.what == "backup" and settings.store == "sqlite" and not (settings.data_dir / "calls.db").exists():
        raise SettingError(f"CALLCHART_DATA_DIR: {settings.data_dir.resolve()} has no calls.db; name the server's")

    async def work() -> None:
        from adapters.stores.chosen import store_of
        from fsm.clock import LoopClock

        logging.getLogger("adapters").addHandler(logging.NullHandler())  # what goes wrong is raised, too
        store = store_of(settings, LoopClock())
        try:
            await store.start()
            await (_back_up(store, options) if options.what == "backup" else _restore(store, options))
        finally:
            await store.aclose()

    try:
        asyncio.run(work())
    except StoreAway as away:
        where = "REDIS_URL" if settings.store == "redis" else "CALLCHART_DATA_DIR"
        raise CallchartError(f"the store of {where} does not answer: {away}") from away
    return 0


async def _back_up(store: SessionStore, options: argparse.Namespace) -> None:
    from adapters.stores.backup import backup

    count = await backup(store, options.file, force=options.force)
    print(f"{options.file}: {_calls(count)}")


async def _restore(store: SessionStore, options: argparse.Namespace) -> None:
    from adapters.stores.backup import restore

    done = await restore(store, options.file)
    print(
        f"{options.file}: {_calls(done.restored)} restored ({done.live} live), {done.there} skipped that were there, "
        f"{done.newer} skipped that are newer in the store"
    )


def _calls(count: int) -> str:
    return f"{count} call{'' if count == 1 else 's'}"
