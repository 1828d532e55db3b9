"""The API over a fake `Calls`, on a port of loopback, and who asks it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from httpx import AsyncClient

from adapters.http.access import Access
from adapters.http.app import build_api
from fsm.clock import LoopClock
from fsm.manager import SessionManager
from tests.adapters.http.fake_calls import FakeCalls
from tests.serve import serve

__all__ = ["Served", "api", "bearer"]


class Served(NamedTuple):
    client: AsyncClient
    calls: FakeCalls
    address: str


@asynccontextmanager
async def api(access: Access | None = None, **options: Any) -> AsyncIterator[Served]:
    """Serve the API; `options` are those of `build_api`."""
    calls = FakeCalls()
    app = build_api(SessionManager(clock=LoopClock()), [], calls=calls, access=access, **options)
    async with serve(app) as address, AsyncClient(base_url=f"http://{address}") as client:
        yield Served(client, calls, address)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
