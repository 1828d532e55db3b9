"""A log that is longer than a page is read whole, or as far as it is wanted."""

from __future__ import annotations

import pytest

from adapters.stores.memory import MemoryStore
from adapters.stores.paging import log_pages
from fsm.clock import LoopClock
from tests.adapters.stores.bench import committed


@pytest.mark.parametrize(
    ("limits", "pages"),
    [
        ({}, [1000, 1000, 500]),
        ({"last": 2000}, [1000, 1000]),
        ({"last": 1200}, [1000, 200]),
        ({"last": 0}, []),
        ({"most": 1500}, [1000, 1000]),
        ({"last": 9999, "most": 9999}, [1000, 1000, 500]),
    ],
)
async def test_log_is_read_as_far_as_it_is_wanted(limits: dict[str, int], pages: list[int]) -> None:
    store = MemoryStore(clock=LoopClock())
    await store.start()
    await committed(store, count=2500)

    read = [page async for page in log_pages(store, "CA1", **limits)]

    await store.aclose()
    assert [len(page) for page in read] == pages
    assert [entry.version for page in read for entry in page] == list(range(1, sum(pages) + 1))


async def test_log_of_an_unknown_call_has_no_page() -> None:
    store = MemoryStore(clock=LoopClock())
    await store.start()

    read = [page async for page in log_pages(store, "nobody")]

    await store.aclose()
    assert read == []
