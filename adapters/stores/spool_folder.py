"""Where the spools of the processes lie that share a data folder: `<folder>/<n>/`, one for each process that runs.

A lock on a file, which the kernel takes back from a process that dies, tells whose a spool is: what a process holds is
not for another one to replay, and what a dead one has left is.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import IO, NamedTuple

from adapters.stores.contract import SessionStore
from fsm.errors import SettingError

__all__ = ["SpoolFiles", "SpoolFolder"]


class SpoolFiles(NamedTuple):
    """The two stores of one spool: what has to be replayed, and what must not be."""

    waiting: SessionStore
    aside: SessionStore


class SpoolFolder:
    """Finds a place for the spool of this process, and the spools that dead ones have left.

    Args:
        open_store: makes a store, not started, of the file of this path.
    """

    def __init__(self, folder: Path, open_store: Callable[[Path], SessionStore]) -> None:
        self._folder = folder
        self._open = open_store
        self._locks: list[IO[bytes]] = []
        self._mine: Path | None = None

    def take(self) -> SpoolFiles:
        """Return a spool that no running process has; the lowest free number.

        Raises:
            SettingError: the folder cannot be written.
        """
        for number in count(1):
            place = self._folder / str(number)
            try:
                self._folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # callers' words are nobody else's
                place.mkdir(parents=True, exist_ok=True)
                if self._lock(place):
                    self._mine = place
                    return self._files(place)
            except OSError as error:
                raise SettingError(
                    f"CALLCHART_DATA_DIR: {place} cannot be written: {error.strerror}; choose another folder"
                ) from error
        raise AssertionError("count has no end")

    def left(self) -> Iterator[SpoolFiles]:
        """Yield the other spools that no running process has. They are ours until `close`."""
        for place in sorted(self._folder.iterdir()):
            if place != self._mine and (place / "waiting.db").exists() and self._lock(place):
                yield self._files(place)

    def close(self) -> None:
        """Let go of every place; may be called twice."""
        while self._locks:
            self._locks.pop().close()

    def _files(self, place: Path) -> SpoolFiles:
        return SpoolFiles(self._open(place / "waiting.db"), self._open(place / "aside.db"))

    def _lock(self, place: Path) -> bool:
        file = (place / "lock").open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._locks.append(file)
        return True
