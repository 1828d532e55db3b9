"""What all calls of a process share."""

from __future__ import annotations

from dataclasses import dataclass

from fsm.observe import Journal, Observer
from fsm.tasks import GRACE

__all__ = ["Options"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What all sessions of a process share.

    Attributes:
        inbox_limit: triggers that may wait; hang-ups, timers and the ends of services always may.
        grace: seconds that a cancelled handler has before it is abandoned.
    """

    observers: tuple[Observer, ...] = ()
    journal: Journal | None = None
    inbox_limit: int = 256
    grace: float = GRACE
