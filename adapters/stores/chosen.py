"""The store that the settings choose, and where commits wait while it is away."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from adapters.settings import Settings
from adapters.stores.contract import SessionStore
from adapters.stores.spool import Spool
from adapters.stores.spool_folder import SpoolFolder
from fsm.clock import Clock

__all__ = ["machine_time", "spool_of", "store_of"]


def store_of(settings: Settings, clock: Clock) -> SessionStore:
    """Return the store, not started.

    Raises:
        SettingError: what it needs is not installed.
    """
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
            from adapters.stores.redis import redis_store

            return redis_store(settings)
        case _:
            from adapters.stores.sqlite import SqliteStore

            path = settings.data_dir / "calls.db"
            return SqliteStore(path, retention=settings.retention, wall=machine_time(clock))


def spool_of(settings: Settings, clock: Clock) -> Spool | None:
    """Return where commits wait for a store that is elsewhere; None: the store is on this machine."""
    if settings.store != "redis":
        return None
    from adapters.stores.sqlite import SqliteStore

    def opened(path: Path) -> SessionStore:
        return SqliteStore(path, retention=settings.retention, wall=clock.wall)

    return Spool(SpoolFolder(settings.data_dir / "spool", opened))


def machine_time(clock: Clock) -> Callable[[], float]:
    """Return what tells the time of day as all processes of this machine have it, in seconds since the epoch.

    A clock's own time of day goes on evenly when that of the machine is set, or when the machine has slept. A process
    that begins later has another one then, by which it would find every lease of the first one over.
    """
    began = time.time() - time.monotonic()
    return lambda: clock.wall() + (time.time() - time.monotonic() - began)
