"""What the model's errors mean for a call. Pure.

Sources: OpenAI's Realtime guide ("most errors are recoverable and the session will stay open"), and the codes seen in
public trackers.
"""

from __future__ import annotations

from enum import StrEnum

from adapters.sts.openai.events import PeerError
from fsm.errors import PortError

__all__ = ["Fault", "Unreachable", "close_fault", "classify", "handshake_fault", "status_fault"]

_FATAL = frozenset({
    "invalid_api_key",
    "model_not_found",
    "invalid_model",
    "beta_api_shape_disabled",
    "insufficient_permissions",
    "missing_scopes",
    "account_deactivated",
})  # fmt: skip
_BENIGN = frozenset({
    "response_cancel_not_active",
    "conversation_already_has_active_response",
    "invalid_value",
    "input_audio_buffer_commit_empty",
    "item_retrieve_invalid_item_id",
    "item_truncate_invalid_item_id",
    "item_delete_invalid_item_id",
})  # fmt: skip
_WORTH_ANOTHER_TRY = frozenset({408, 409, 425, 429})


class Fault(StrEnum):
    """What follows from an error."""

    BENIGN = "benign"
    """A lost race: nothing."""
    NOTED = "noted"
    """It is logged, and the session goes on."""
    EXPIRED = "expired"
    """The session is over, the conversation is not."""
    FATAL = "fatal"
    """No attempt will succeed."""


class Unreachable(PortError):
    """No session could be opened. `reason` is a short code."""

    def __init__(self, reason: str, *, retryable: bool = True) -> None:
        self.reason = reason
        super().__init__(reason, port="sts", retryable=retryable)


def classify(error: PeerError) -> Fault:
    """Return what an error means in a session that is under way."""
    if error.code in _FATAL or error.kind in ("authentication_error", "permission_error"):
        return Fault.FATAL
    if error.code == "session_expired":
        return Fault.EXPIRED
    return Fault.BENIGN if error.code in _BENIGN else Fault.NOTED


def handshake_fault(error: PeerError) -> Unreachable:
    """Return what an error before the first `session.updated` means.

    Our settings are then not in force, and would not be the next time: fatal, unless the server says that it is its
    own fault, or a limit's.
    """
    code = error.code or error.kind or "error"
    ours = error.kind in ("", "invalid_request_error") and error.code not in ("session_expired", "rate_limit_exceeded")
    return Unreachable(code, retryable=not ours and classify(error) is not Fault.FATAL)


def status_fault(status: int) -> Unreachable:
    """Return what an HTTP status that refuses the handshake means."""
    refused = 400 <= status < 500 and status not in _WORTH_ANOTHER_TRY
    return Unreachable(f"http_{status}", retryable=not refused)


def close_fault(code: int, reason: str) -> Unreachable:
    """Return what a close before the session was ready means; the reason may be `invalid_request_error.<code>`."""
    named = reason.rpartition(".")[2]
    fatal = named in _FATAL
    return Unreachable(named if fatal else f"closed_{code}", retryable=not fatal)
