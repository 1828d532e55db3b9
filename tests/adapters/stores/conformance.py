"""What every store must do, sentence by sentence. A store's own test module derives from `StoreConformance`:

    class TestMemory(StoreConformance):
        @asynccontextmanager
        async def opened(self, folder: Path, *, retention: float = LONG) -> AsyncIterator[Bench]:
            ...

Leases that must run are long, those that must run out are short, so that a store whose clock cannot be moved may wait.
"""

from __future__ import annotations

from tests.adapters.stores.suite_commits import CommitSuite
from tests.adapters.stores.suite_lists import ListSuite
from tests.adapters.stores.suite_owners import OwnerSuite
from tests.adapters.stores.suite_random import RandomSuite

__all__ = ["StoreConformance"]


class StoreConformance(CommitSuite, OwnerSuite, ListSuite, RandomSuite):
    """All of it."""
