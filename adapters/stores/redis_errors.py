"""What it means what Redis answers: it is away, is set up wrongly, or has something else under a call's name."""

from __future__ import annotations

import re
from collections.abc import Iterable

from redis.exceptions import AuthenticationError, NoPermissionError, RedisClusterException, RedisError

from adapters.stores.contract import CallRefused, StoreAway

__all__ = ["LOST", "as_away", "as_refused", "why_unfit", "wrong_setting"]

LOST = (RedisError, RedisClusterException, OSError, TimeoutError, RuntimeError)
"""How an exchange fails. RuntimeError is uvloop's, of a write to a connection that was lost while it was not used."""
_NOT_LET_IN = re.compile(
    r"WRONGPASS|NOAUTH|NOPERM|Authentication required|invalid (username-)?password|without any password configured"
    r"|DB index is out of range|invalid DB index"
)
_NO_SENTINEL = re.compile(r"unknown command .SENTINEL")
_POLICY = re.compile(r"maxmemory[_-]policy\W+(?:b')?([a-z-]+)")  # of CONFIG GET and of INFO
_ITS_KEYS = re.compile(r"WRONGTYPE|user_script:\s?\d+: (attempt to|bad argument)|ID specified in XADD")
"""Of one command: a key of another type, fields that a script cannot read, a log that ends beyond ours."""


def as_away(error: BaseException) -> StoreAway:
    """Return what a failure means to whoever asked; it tells neither keys nor values."""
    what = str(error) or "no answer in time"
    return StoreAway(f"redis: {type(error).__name__}: {what[:200]}")


def as_refused(error: Exception) -> CallRefused | None:
    """Return what a failure means if what lies under the keys of that command is its cause, and others may succeed."""
    if not _ITS_KEYS.search(str(error)):
        return None
    return CallRefused(f"redis: {str(error)[:200]}")


def wrong_setting(error: BaseException | None) -> str:
    """Return which setting is wrong, and how; empty: none, and the next attempt may succeed."""
    said = str(error)
    if isinstance(error, AuthenticationError | NoPermissionError) or _NOT_LET_IN.search(said):
        return f"REDIS_URL, REDIS_PASSWORD, REDIS_DB: Redis does not let us in: {said}"
    if "Cluster mode is not enabled" in said:
        return "REDIS_CLUSTER: the Redis of REDIS_URL is no cluster; set REDIS_CLUSTER=off"
    if _NO_SENTINEL.search(said):
        return "REDIS_SENTINELS: there is a Redis, and no sentinel; name the ports of sentinels, or leave it empty"
    return ""


def why_unfit(replies: Iterable[object], *, cluster: bool) -> str:
    """Return why a Redis must not be used, by what it tells of itself (CONFIG GET, INFO); empty: it may.

    Args:
        cluster: whether it is used as one.
    """
    for reply in map(str, replies):
        policy = _POLICY.search(reply)
        if policy and policy[1] != "noeviction":
            return (
                f"REDIS_URL: this Redis throws keys away when its memory is full (maxmemory-policy {policy[1]}), "
                "and calls would be lost; set maxmemory-policy to noeviction, or use another Redis"
            )
        if "cluster_enabled:1" in reply and not cluster:
            return "REDIS_CLUSTER: the Redis of REDIS_URL is a cluster; set REDIS_CLUSTER=on"
    return ""
