"""What operators need of whoever owns calls: to begin one without a carrier, and to go on with one of a dead node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

from fsm.session import Session

__all__ = ["OperatorDesk"]


class OperatorDesk(Protocol):
    """Both raise `StoreAway`: who owns what cannot be told."""

    async def create(
        self, call_id: str, *, bot: str, metadata: Mapping[str, Any]
    ) -> Session | Literal["known", "full"]:
        """Begin a call without a carrier here: `call.started {carrier: api}` is posted.

        Returns:
            Its session; `known`: there is, or was, a call of that id; `full`: no slot is free.
        """
        ...

    async def take_over(self, call_id: str) -> Session | None:
        """Go on here with a call whose node is dead, without its carrier; None: somebody has it."""
        ...
