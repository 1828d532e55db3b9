"""The journal of every call as a file of JSON lines, `<folder>/<call id>/journal.jsonl`. A thread writes it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import orjson

from adapters.call_folder import call_folder
from fsm.journal import effects_record, step_record
from fsm.observe import Effect, Journal
from fsm.session import Session
from fsm.step import Step

__all__ = ["JournalFiles", "call_folder"]

log = logging.getLogger(__name__)


class JournalFiles(Journal):
    """Keeps what it observes; the call never waits for the disk, but for `durable`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._work: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)
        self._thread.start()

    def on_commit(self, session: Session, step: Step) -> None:
        self._keep(session.call_id, step_record(session.machine, step, session.clock.wall()))

    def on_effects(self, session: Session, step: Step, effects: list[Effect]) -> None:
        if effects:
            self._keep(session.call_id, effects_record(step, effects))

    async def durable(self, call_id: str, seq: int) -> None:
        loop = asyncio.get_running_loop()
        written = loop.create_future()

        def tell() -> None:
            with suppress(RuntimeError):  # the loop has been closed meanwhile
                loop.call_soon_threadsafe(_resolve, written)

        self._work.put(tell)
        await written

    def close(self) -> None:
        """Write what is left, at most 2 s."""
        self._work.put(None)
        self._thread.join(2.0)

    def _keep(self, call_id: str, record: dict[str, Any]) -> None:
        self._work.put(lambda: self._append(call_id, record))

    def _append(self, call_id: str, record: dict[str, Any]) -> None:
        folder = call_folder(self._folder, call_id)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "journal.jsonl").open("ab") as file:
            file.write(orjson.dumps(record, default=str, option=orjson.OPT_NON_STR_KEYS) + b"\n")

    def _write(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                work()
            except (OSError, TypeError):  # TypeError: orjson cannot write a value, such as half a surrogate pair
                log.exception("journal_not_written", extra={"folder": str(self._folder)})


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
