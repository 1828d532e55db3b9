"""What the webhook remembers: bounded, expiring, and only as long as it is needed."""

from __future__ import annotations

from adapters.carriers.twilio.calls import TwilioCalls
from adapters.carriers.twilio.config import TwilioConfig
from tests.fakes import elapse


async def test_a_webhook_delivered_twice_is_one_call() -> None:
    calls = TwilioCalls(TwilioConfig())

    first = calls.see("CA1", caller="+15550100", called="+15550199")
    again = calls.see("CA1", caller="+15550777")

    assert again is first
    assert first.caller == "+15550100"
    assert len(calls) == 1


async def test_the_oldest_call_makes_room() -> None:
    calls = TwilioCalls(TwilioConfig(calls_limit=2))

    for call_id in ("CA1", "CA2", "CA3"):
        calls.see(call_id)

    assert calls.get("CA1") is None
    assert calls.get("CA3") is not None
    assert len(calls) == 2


async def test_a_call_that_nobody_declares_over_expires() -> None:
    calls = TwilioCalls(TwilioConfig(calls_expiry_s=60))
    calls.see("CA1")

    await elapse(61)

    assert calls.get("CA1") is None
    calls.see("CA2")
    assert len(calls) == 1


async def test_a_call_that_is_over_turns_a_late_socket_away_for_five_minutes() -> None:
    calls = TwilioCalls(TwilioConfig(calls_limit=3))
    for call_id in ("CA1", "CA2", "CA3"):
        calls.see(call_id)
        calls.end(call_id)

    assert calls.is_over("CA3")
    assert calls.get("CA3") is None
    assert len(calls) == 0
    await elapse(301)
    assert not calls.is_over("CA3")


async def test_a_stream_that_never_came_is_still_turned_away_once_the_desk_has_forgotten_the_call() -> None:
    calls = TwilioCalls(TwilioConfig())
    calls.see("CA1")
    calls.see("CA2").connected = True
    for call_id in ("CA1", "CA2"):
        calls.end(call_id)
        calls.forget(call_id)

    assert [calls.is_over(call_id) for call_id in ("CA1", "CA2")] == [True, False]


async def test_calls_that_are_over_are_bounded() -> None:
    calls = TwilioCalls(TwilioConfig(calls_limit=2))

    for call_id in ("CA1", "CA2", "CA3"):
        calls.see(call_id)
        calls.end(call_id)

    assert [calls.is_over(call_id) for call_id in ("CA1", "CA2", "CA3")] == [False, True, True]


async def test_the_end_of_an_unknown_call_leaves_nothing() -> None:
    calls = TwilioCalls(TwilioConfig())

    calls.end("CA1")
    calls.forget("CA1")

    assert not calls.is_over("CA1")


async def test_a_forgotten_call_is_gone() -> None:
    calls = TwilioCalls(TwilioConfig())
    calls.see("CA1")

    calls.forget("CA1")

    assert calls.get("CA1") is None
    assert len(calls) == 0


async def test_a_call_to_be_transferred_is_kept_until_twilio_has_asked() -> None:
    calls = TwilioCalls(TwilioConfig())
    calls.see("CA1").transfer_target = "+15550123"

    calls.forget("CA1")

    assert calls.get("CA1") is not None
    await elapse(61)
    assert calls.get("CA1") is None


async def test_tokens_are_of_one_call_and_of_one_secret() -> None:
    ours, others = TwilioCalls(TwilioConfig(auth_token="a")), TwilioCalls(TwilioConfig(auth_token="b"))

    assert ours.is_token("CA1", ours.token("CA1"))
    assert not ours.is_token("CA2", ours.token("CA1"))
    assert not ours.is_token("CA1", others.token("CA1"))


async def test_without_a_secret_tokens_are_of_one_process() -> None:
    assert not TwilioCalls(TwilioConfig()).is_token("CA1", TwilioCalls(TwilioConfig()).token("CA1"))
