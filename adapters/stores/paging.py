"""The log of one call, read from its beginning."""

from __future__ import annotations

from collections.abc import AsyncIterator

from adapters.stores.contract import Entry, SessionStore

__all__ = ["log_pages"]

_PAGE = 1000  # entries that are read at once


async def log_pages(
    store: SessionStore, call_id: str, *, last: int | None = None, most: int | None = None
) -> AsyncIterator[list[Entry]]:
    """Yield a call's log in pages, oldest first. To be read to its end.

    Args:
        last: version of the last entry that is wanted; None: as far as the log goes, also while it is read.
        most: no page is read any more after so many entries.

    Raises:
        StoreAway: it could not be read.
    """
    after, count = 0, 0
    while (last is None or after < last) and (most is None or count < most):
        page = await store.log(call_id, after=after, limit=_PAGE)
        if not page:
            return
        after, count = page[-1].version, count + len(page)
        yield [entry for entry in page if last is None or entry.version <= last]
        if len(page) < _PAGE:
            return
