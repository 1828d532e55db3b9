"""When a session is replaced by a new one. Pure.

A session lives 60 minutes at most (OpenAI, Realtime guide), or until `expires_at` where the server tells it.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Plan", "plan"]

_LONGEST = 60 * 60.0
_LEAD = 5 / 60  # of a session's life, left when a quiet moment is waited for
_LAST = 2 / 60  # left when no more can be waited


@dataclass(frozen=True, slots=True)
class Plan:
    """Seconds on the session's clock: from `due` a quiet moment is used, at `last` any."""

    due: float
    last: float


def plan(opened_at: float, lifetime: float | None, max_session: float) -> Plan:
    """Return when a session opened at `opened_at` is replaced; one that is said to be over already is not believed.

    Args:
        opened_at: on the clock that never goes back.
        lifetime: seconds from then until the server ends it, if known.
        max_session: age at which it is due anyway.
    """
    life = _LONGEST if lifetime is None or lifetime <= 0 else min(lifetime, _LONGEST)
    due = min(max_session, life * (1 - _LEAD))
    return Plan(due=opened_at + due, last=opened_at + max(due, life * (1 - _LAST)))
