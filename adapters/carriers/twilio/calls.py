"""What our webhook knows of the calls it has answered, until they are over; bounded, and nothing but this process's.

Also makes the token that our TwiML gives a stream, so that its socket can prove that it belongs to the call. Tokens
are computed, not kept: they hold after a restart, and on every node that has the same secret.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import NamedTuple

from adapters.carriers.twilio.config import TwilioConfig

__all__ = ["SeenCall", "TwilioCalls"]

_OVER_S = 300.0  # how long a late socket of a call that has ended is turned away
_TRANSFER_S = 60.0  # how long Twilio may take to ask what to do after the stream


@dataclass(slots=True)
class SeenCall:
    """One call, from the webhook on."""

    caller: str = ""
    called: str = ""
    transfer_target: str = ""
    transferred: bool = False
    """The carrier has been told to connect the target."""
    hanging_up: bool = False
    connected: bool = False
    """Its stream has come once."""
    expires_at: float = 0.0


class _Over(NamedTuple):
    """A call that the carrier has declared over."""

    since: float
    connected: bool


class TwilioCalls:
    """The calls of this process. Its time is the running loop's."""

    def __init__(self, config: TwilioConfig) -> None:
        self._limit = config.calls_limit
        self._expiry_s = config.calls_expiry_s
        self._secret = (config.token_secret or config.auth_token or secrets.token_hex(32)).encode()
        self._seen: dict[str, SeenCall] = {}  # oldest first
        self._over: dict[str, _Over] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._seen)

    def see(self, call_id: str, *, caller: str = "", called: str = "") -> SeenCall:
        """Remember a call whose TwiML is ours; again changes nothing."""
        self._forget_old()
        call = self._seen.get(call_id)
        if call is None:
            call = SeenCall(caller, called, expires_at=self._now() + self._expiry_s)
            self._seen[call_id] = call
        return call

    def get(self, call_id: str) -> SeenCall | None:
        """Return what is known of a call; None if our webhook never saw it, or it is over."""
        call = self._seen.get(call_id)
        return call if call is not None and self._now() < call.expires_at else None

    def end(self, call_id: str) -> None:
        """The carrier says that a call is over: a socket that still comes is late. Unknown calls leave nothing."""
        if (call := self._seen.pop(call_id, None)) is not None:
            self._forget_old()
            self._over[call_id] = _Over(self._now(), call.connected)

    def is_over(self, call_id: str) -> bool:
        """Whether the carrier said so in the last minutes."""
        over = self._over.get(call_id)
        return over is not None and self._now() - over.since < _OVER_S

    def forget(self, call_id: str) -> None:
        """The desk says that a call is over. One to be transferred is kept until Twilio has asked where to.

        If the carrier said so before its stream had come, the stream may still be on its way, and is turned away.
        """
        if (over := self._over.get(call_id)) is not None and over.connected:
            del self._over[call_id]
        call = self._seen.pop(call_id, None)
        if call is not None and call.transfer_target:
            call.expires_at = self._now() + _TRANSFER_S
            self._seen[call_id] = call

    def token(self, call_id: str) -> str:
        """Return the token of a call's streams, 32 hexadecimal digits."""
        return hmac.new(self._secret, b"twilio stream of " + call_id.encode(), hashlib.sha256).hexdigest()[:32]

    def is_token(self, call_id: str, shown: str) -> bool:
        """Tell whether `shown` is the call's token, in constant time."""
        return hmac.compare_digest(self.token(call_id).encode(), shown.encode())

    def _forget_old(self) -> None:
        now = self._now()
        while self._seen:
            call_id, call = next(iter(self._seen.items()))
            if len(self._seen) < self._limit and now < call.expires_at:
                break
            del self._seen[call_id]
        while self._over:
            call_id, over = next(iter(self._over.items()))
            if len(self._over) < self._limit and now - over.since < _OVER_S:
                break
            del self._over[call_id]

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
