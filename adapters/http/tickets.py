"""Tickets: what a browser shows instead of a token, since its sockets can send no header of their own.

A ticket tells what it allows, until when, and is signed; so every node that has the same secret can read it. It is
good for one use at each node, for a minute, and for no more than whoever asked for it was allowed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass

import orjson

__all__ = ["LIFETIME", "Ticket", "Tickets"]

LIFETIME = 60
"""Seconds."""
_LONGEST = 1024  # characters; ours have about 200, with a call id of the greatest length 700
_KEY_OF = b"callchart ticket of "  # the secret signs other things too


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a ticket allows.

    Attributes:
        call_id: the only call it is for; None: all of them.
        control: whether it lets more than look.
    """

    call_id: str | None
    control: bool

    def allows(self, *, call_id: str | None, control: bool) -> bool:
        """Whether it lets its holder do that."""
        return (self.control or not control) and (self.call_id is None or self.call_id == call_id)


class Tickets:
    """Issues tickets and takes them back.

    Args:
        secret: the same on every node; empty: a random one, and no other node takes our tickets.
        wall: seconds since the epoch.
    """

    def __init__(self, secret: str, wall: Callable[[], float]) -> None:
        self._key = hashlib.sha256(_KEY_OF + (secret.encode() or secrets.token_bytes(32))).digest()
        self._wall = wall
        self._used: dict[str, float] = {}
        """Number of a ticket to when it is over."""

    def issue(self, ticket: Ticket) -> str:
        """Return a new one, as it stands in a URL."""
        said = [ticket.call_id, ticket.control, int(self._wall()) + LIFETIME, secrets.token_urlsafe(16)]
        body = base64.urlsafe_b64encode(orjson.dumps(said)).rstrip(b"=")
        return f"{body.decode()}.{self._signature(body)}"

    def redeem(self, text: str) -> Ticket | None:
        """Return what a ticket allows, once; None if it is none of ours, is over, or was used."""
        body, _, signature = text.encode("utf-8", "replace")[: _LONGEST + 1].partition(b".")
        if len(text) > _LONGEST or not hmac.compare_digest(self._signature(body).encode(), signature):
            return None
        call_id, control, until, number = _read(body)
        now = self._wall()
        self._forget(now)
        if until <= now or number in self._used:
            return None
        self._used[number] = until
        return Ticket(call_id, control)

    def _forget(self, now: float) -> None:
        """Forget those that nobody can use any more; they lie in the order of their use, not quite of their end."""
        for number, until in list(self._used.items()):
            if until > now:
                break
            del self._used[number]

    def _signature(self, body: bytes) -> str:
        return hmac.new(self._key, body, hashlib.sha256).hexdigest()


def _read(body: bytes) -> tuple[str | None, bool, int, str]:
    try:
        call_id, control, until, number = orjson.loads(base64.urlsafe_b64decode(body + b"=" * (-len(body) % 4)))
    except (ValueError, binascii.Error) as error:
        raise AssertionError("we signed what we cannot read") from error
    return call_id, control, until, number
