"""Long work in short pieces: a frame of audio is due every 20 ms in each call that speaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

__all__ = ["with_pauses"]

T = TypeVar("T")


async def with_pauses(items: Iterable[T], *, every: int = 32) -> AsyncIterator[T]:
    """Yield each item; after so many of them whatever else is due has its turn, and may have changed things."""
    for number, item in enumerate(items):
        if number and number % every == 0:
            await asyncio.sleep(0)
        yield item
