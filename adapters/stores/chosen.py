"""The store that the settings choose, and where commits wait while it is away."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from adapters.settings import Settings
from adapters.stores.contract import SessionStore
from adapters.stores.spool import Spool
from adapters.stores.spool_folder import SpoolFolder
from fsm.clock import Clock

if TYPE_CHECKING:
    from adapters.stores.redis_link import Target

__all__ = ["redis_target", "spool_of", "store_of"]


def store_of(settings: Settings, clock: Clock) -> SessionStore:
    """Return the store, not started."""
    match settings.store:
        case "memory":
            from adapters.stores.memory import MemoryStore

            return MemoryStore(
                clock=clock,
                max_sessions=settings.memory_max_sessions,
                retention=settings.retention,
                cleanup_interval=settings.memory_cleanup_interval,
            )
        case "redis":
            from adapters.stores.redis import RedisStore
            from adapters.stores.redis_link import Link

            return RedisStore(
                Link(redis_target(settings)),
                prefix=settings.session_prefix,
                session_ttl=settings.session_ttl,
                retention=settings.retention,
            )
        case _:
            from adapters.stores.sqlite import SqliteStore

            return SqliteStore(settings.data_dir / "calls.db", retention=settings.retention, wall=clock.wall)


def redis_target(settings: Settings) -> Target:
    """Return where Redis is."""
    from adapters.stores.redis_link import Target

    return Target(
        url=settings.redis_url,
        password=settings.redis_password,
        db=settings.redis_db,
        sentinels=settings.redis_sentinels,
        sentinel_service=settings.redis_sentinel_service,
        cluster=settings.redis_cluster,
    )


def spool_of(settings: Settings, clock: Clock) -> Spool | None:
    """Return where commits wait for a store that is elsewhere; None: the store is on this machine."""
    if settings.store != "redis":
        return None
    from adapters.stores.sqlite import SqliteStore

    def opened(path: Path) -> SessionStore:
        return SqliteStore(path, retention=settings.retention, wall=clock.wall)

    return Spool(SpoolFolder(settings.data_dir / "spool", opened))
