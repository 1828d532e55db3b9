"""What it means that a command failed: Redis is away, is set up wrongly, or has something else under a call's name."""

from __future__ import annotations

import re

from redis.exceptions import AuthenticationError, NoPermissionError, RedisClusterException, RedisError

from adapters.stores.contract import CallRefused, StoreAway

__all__ = ["LOST", "as_away", "as_refused", "is_wrong_setting"]

LOST = (RedisError, RedisClusterException, OSError, TimeoutError, RuntimeError)
"""How an exchange fails. RuntimeError is uvloop's, of a write to a connection that was lost while it was not used."""
_WRONG_SETTING = re.compile(
    r"WRONGPASS|NOAUTH|NOPERM|Authentication required|invalid (username-)?password|without any password configured"
    r"|DB index is out of range|invalid DB index"
)
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


def is_wrong_setting(error: BaseException | None) -> bool:
    """Whether Redis does not let us in: it will not as long as the settings stay."""
    return isinstance(error, AuthenticationError | NoPermissionError) or bool(_WRONG_SETTING.search(str(error)))
