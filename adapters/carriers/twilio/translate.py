"""What Twilio's events mean for a call. Pure, and complete: deleting a case is a type error."""

from __future__ import annotations

from typing import assert_never

from adapters.carriers.twilio.codec import Connected, Dtmf, Event, Mark, Media, Started, Stopped, Unknown
from fsm.triggers import CallDtmf, CallEnded, CallStarted, Trigger

__all__ = ["CARRIER", "MEDIA_FORMAT", "OUR_PARAMETERS", "call_started", "status_trigger", "to_trigger"]

CARRIER = "twilio"
MEDIA_FORMAT = "pcmu/8000"
OUR_PARAMETERS = ("token", "caller", "called", "again")
"""What our TwiML puts into a stream's parameters. The token is a secret and stays out of the call; `again`: the call
has had a stream before."""

_OVER = {
    "completed": "caller_hung_up",
    "busy": "busy",
    "failed": "carrier_failed",
    "no-answer": "no_answer",
    "canceled": "cancelled",
}


def to_trigger(event: Event) -> Trigger | None:
    """Return the trigger an event stands for, or None if it changes no state of the call."""
    match event:
        case Stopped():
            return CallEnded()
        case Dtmf(digit=digit):
            return CallDtmf(digits=digit)
        case Connected() | Started() | Media() | Mark() | Unknown():
            return None  # a start needs more than itself: `call_started`
        case _:
            assert_never(event)


def call_started(started: Started, *, caller: str, called: str) -> CallStarted:
    """Return how a call begins, whose webhook said who calls whom; empty: the stream's own parameters say."""
    own = started.parameters
    return CallStarted(
        carrier=CARRIER,
        caller=caller or own.get("caller", ""),
        called=called or own.get("called", ""),
        stream_id=started.stream_sid,
        media_format=MEDIA_FORMAT,
        parameters={name: value for name, value in own.items() if name not in OUR_PARAMETERS},
    )


def status_trigger(call_status: str) -> CallEnded | None:
    """Return what a `CallStatus` of Twilio means: the end of the call, or nothing.

    Source: Twilio, Call resource, "Call status values".
    """
    reason = _OVER.get(call_status)
    return CallEnded(reason=reason) if reason else None
