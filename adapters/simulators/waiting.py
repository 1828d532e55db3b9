"""Waiting for something to become true, without asking again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Watch"]


class Watch:
    """Those who wait for a condition; each is asked whenever something has changed."""

    def __init__(self) -> None:
        self._expected: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    @contextmanager
    def expecting(self, happened: Callable[[], bool]) -> Iterator[asyncio.Future[None]]:
        """Give a future that is done once `happened()`, if it has not yet."""
        pair = (happened, asyncio.get_running_loop().create_future())
        self._expected.append(pair)
        try:
            yield pair[1]
        finally:
            self._expected.remove(pair)

    def changed(self) -> None:
        """Something has changed: look."""
        for happened, future in self._expected:
            if not future.done() and happened():
                future.set_result(None)
