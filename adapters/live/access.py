"""Who may watch and who may configure, as the live sockets ask it; `adapters/http` answers."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Protocol

__all__ = ["Access"]


class Access(Protocol):
    """Admits a request."""

    def check(self, scope: MutableMapping[str, Any], *, control: bool, call_id: str | None) -> None:
        """Return if this ASGI scope may watch (or, with `control`, steer) the call; None: all of them.

        Raises:
            Denied: it may not; has a `status` and a text that says what to do.
        """
        ...
