"""What Twilio's events mean for a call."""

from __future__ import annotations

import pytest

from adapters.carriers.twilio.codec import Connected, Dtmf, Event, Mark, Media, Started, Stopped, Unknown
from adapters.carriers.twilio.translate import call_started, status_trigger, to_trigger
from fsm.triggers import CallDtmf, CallEnded, CallStarted, Trigger

STARTED = Started(
    stream_sid="MZ1",
    call_sid="CA1",
    parameters={"token": "t", "caller": "+15550100", "called": "+15550199", "bot": "night"},
)


@pytest.mark.parametrize(
    ("event", "trigger"),
    [
        (Stopped(), CallEnded(reason="caller_hung_up")),
        (Dtmf("#"), CallDtmf(digits="#")),
        (Connected(protocol="Call", version="1.0.0"), None),
        (STARTED, None),
        (Media("f39/", 20), None),
        (Mark("m1"), None),
        (Unknown("weather"), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_event_has_a_meaning(event: Event, trigger: Trigger | None) -> None:
    assert to_trigger(event) == trigger


def test_the_token_stays_out_of_the_call() -> None:
    assert call_started(STARTED, caller="", called="") == CallStarted(
        carrier="twilio",
        caller="+15550100",
        called="+15550199",
        stream_id="MZ1",
        media_format="pcmu/8000",
        parameters={"bot": "night"},
    )


def test_the_webhook_knows_better_than_the_stream_who_calls() -> None:
    started = call_started(STARTED, caller="+15550111", called="+15550122")

    assert (started.caller, started.called) == ("+15550111", "+15550122")


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("completed", "caller_hung_up"),
        ("busy", "busy"),
        ("failed", "carrier_failed"),
        ("no-answer", "no_answer"),
        ("canceled", "cancelled"),
    ],
)
def test_a_final_status_ends_the_call(status: str, reason: str) -> None:
    assert status_trigger(status) == CallEnded(reason=reason)


@pytest.mark.parametrize("status", ["queued", "initiated", "ringing", "in-progress", "answered", "", "new"])
def test_other_statuses_change_nothing(status: str) -> None:
    assert status_trigger(status) is None
