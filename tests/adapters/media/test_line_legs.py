"""The sockets of one call: offered, attached, replaced, lost, let go, hung up."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from adapters.carriers.contract import MediaFormat
from fsm.context import CallContext
from fsm.errors import PortError
from fsm.triggers import CallDtmf, CallEnded, CallLost, CallTransferred, HeardReply, PlaybackFinished, ReplyFinished
from tests.adapters.media.fakes import Call, FakeLeg, elapse, pcmu, timers

# -- arriving -----------------------------------------------------------------------------------------


async def test_attaching_without_a_socket_is_an_error_of_the_carrier() -> None:
    with pytest.raises(PortError, match="no media socket"):
        Call().line.carrier.attach()


async def test_model_cannot_be_started_before_there_is_a_socket() -> None:
    with pytest.raises(PortError, match="no media socket"):
        Call().line.sts.start(CallContext())


async def test_model_speaks_the_format_of_the_leg() -> None:
    call = Call(leg=FakeLeg(media_format=MediaFormat("pcm16", 24000))).connect()

    assert call.client.log[0] == "start pcm16 24000"
    await call.line.aclose()


async def test_attaching_again_changes_nothing() -> None:
    call = Call().connect()
    call.line.carrier.attach()
    call.caller.on_trigger(CallDtmf(digits="1"))

    assert call.leg.log == []
    assert call.posted == [CallDtmf(digits="1")]


async def test_a_new_socket_takes_over_and_the_old_one_is_closed_first() -> None:
    call = Call().connect()
    old = call.caller
    new = call.offer(FakeLeg("MZ2"))
    call.line.carrier.attach()
    old.on_audio(pcmu(20), 20)
    old.on_mark("g1:m1")
    old.on_trigger(CallDtmf(digits="9"))
    old.on_trigger(CallEnded())
    await elapse(0.01)
    assert new.events is not None
    new.events.on_audio(pcmu(20, byte=2), 0)

    assert call.leg.log == ["close replaced"]
    assert call.posted == []
    assert call.client.appended == [pcmu(20, byte=2)]
    await call.line.aclose()


async def test_reply_that_played_to_a_replaced_socket_is_cut_and_the_next_plays_to_the_new_one() -> None:
    call = Call().connect()
    call.ask()
    call.client.speak(1000)
    await elapse(0.2)
    new = call.offer(FakeLeg("MZ2"))
    call.line.carrier.attach()
    call.client.speak(1000)
    call.client.end()
    call.ask()
    call.client.speak(60, item="item_2", response="resp_2")
    call.client.end("resp_2")
    await elapse(1.0)

    assert [(f.item_id, f.heard_ms, f.interrupted) for f in call.told(ReplyFinished)] == [
        ("item_1", 200, True),
        ("item_2", 60, False),
    ]
    assert new.heard_ms == pytest.approx(60)
    assert call.names()[-1] == "playback.finished"
    await call.line.aclose()


async def test_a_socket_of_another_format_is_refused_while_the_model_speaks_the_first() -> None:
    call = Call().connect()
    call.offer(FakeLeg("MZ2", media_format=MediaFormat("pcm16", 16000)))

    with pytest.raises(PortError, match="another media format"):
        call.line.carrier.attach()
    await call.line.aclose()


async def test_a_second_offer_closes_one_that_was_never_attached() -> None:
    call = Call()
    call.offer()
    call.offer(FakeLeg("MZ2"))

    assert call.leg.log == ["close replaced"]
    await call.line.aclose()


async def test_rejecting_an_offered_socket_closes_it_and_tells_nothing() -> None:
    call = Call()
    call.offer()
    call.line.reject()
    call.line.reject()
    await elapse(0.01)

    assert call.leg.log == ["close refused"]
    assert call.posted == []


async def test_audio_of_a_successor_is_not_heard_before_it_is_attached() -> None:
    call = Call().connect()
    new = call.offer(FakeLeg("MZ2"))
    assert new.events is not None
    new.events.on_audio(pcmu(20), 0)

    assert call.client.appended == []
    await call.line.aclose()


# -- going --------------------------------------------------------------------------------------------


async def test_end_of_the_call_is_told_once_with_what_was_heard() -> None:
    call = Call().connect()
    call.ask()
    call.client.speak(1000, text="one two three four")
    await elapse(0.5)
    call.posted.clear()
    call.caller.on_trigger(CallEnded(reason="stop"))
    call.leg.drop()
    call.line.media.interrupt()

    heard = HeardReply(item_id="item_1", text="one two", heard_ms=500)
    assert call.posted == [CallEnded(reason="stop", replies=(heard,))]


@pytest.mark.parametrize("can_return", [True, False])
async def test_a_socket_that_goes_without_a_word_is_a_loss(can_return: bool) -> None:
    call = Call()
    call.offer(can_return=can_return)
    call.line.carrier.attach()
    call.leg.drop("connection reset")
    call.leg.drop("again")

    assert call.posted == [CallLost(can_return=can_return, reason="connection reset")]


async def test_loss_carries_what_was_heard_and_nothing_plays_on() -> None:
    call = Call().connect()
    call.ask()
    call.client.speak(1000, text="one two three four")
    await elapse(0.25)
    call.leg.drop("")
    call.client.speak(1000)
    await elapse(9.0)

    assert call.names() == ["reply.started", "call.lost"]
    assert call.only(CallLost).reason == "carrier_lost"
    assert call.only(CallLost).replies == (HeardReply(item_id="item_1", text="one", heard_ms=250),)


async def test_a_socket_that_dies_before_it_was_attached_is_a_loss_too() -> None:
    call = Call()
    call.offer()
    call.leg.drop()
    call.line.carrier.attach()

    assert call.names() == ["call.lost"]


async def test_nothing_is_told_of_a_socket_that_was_let_go() -> None:
    call = Call().connect()
    call.line.carrier.detach()
    call.caller.on_audio(pcmu(20), 0)
    call.caller.on_trigger(CallDtmf(digits="1"))
    call.caller.on_trigger(CallEnded())
    call.leg.drop()

    assert call.posted == []
    assert call.client.appended == []


async def test_a_socket_that_was_let_go_can_be_attached_again() -> None:
    call = Call().connect()
    call.line.carrier.detach()
    call.line.carrier.attach()
    call.caller.on_trigger(CallDtmf(digits="1"))

    assert call.names() == ["call.dtmf"]
    await call.line.aclose()


async def test_end_of_a_stream_is_not_the_calls_when_its_successor_is_there() -> None:
    call = Call().connect()
    first = call.leg
    new = call.offer(FakeLeg("MZ2"))
    call.caller.on_trigger(CallEnded())
    first.drop()
    before = list(call.posted)
    call.line.carrier.attach()
    new.drop()

    assert before == []
    assert call.names() == ["call.lost"]


async def test_loss_of_a_stream_cuts_its_reply_when_its_successor_is_there() -> None:
    call = Call().connect()
    call.ask()
    call.client.speak(1000)
    await elapse(0.1)
    call.offer(FakeLeg("MZ2"))
    call.leg.drop()

    assert call.names() == ["reply.started", "reply.finished"]
    assert call.only(ReplyFinished).heard_ms == 100
    await call.line.aclose()


async def test_successor_that_came_and_went_leaves_the_socket_in_use() -> None:
    call = Call().connect()
    new = call.offer(FakeLeg("MZ2"))
    new.drop()
    call.line.carrier.attach()
    call.caller.on_trigger(CallDtmf(digits="5"))

    assert call.names() == ["call.dtmf"]
    assert call.leg.log == []
    await call.line.aclose()


async def test_successor_may_take_over_a_lost_call_with_a_new_model_session() -> None:
    call = Call().connect()
    call.leg.drop()
    call.line.sts.close_soon()
    call.line.carrier.detach()
    new = call.offer(FakeLeg("MZ2"))
    assert new.events is not None
    new.events.on_audio(pcmu(20), 0)
    call.line.carrier.attach()
    call.line.sts.start(CallContext())
    call.client.events.on_ready("sess_2")
    call.line.media.open()

    assert len(call.clients) == 2
    assert call.client.appended == [pcmu(20)]
    await call.line.aclose()


# -- bundled audio ------------------------------------------------------------------------------------


async def test_bundled_audio_plays_behind_what_is_queued_and_is_no_reply() -> None:
    call = Call().connect()
    call.ask()
    call.client.speak(120)
    call.client.end()
    call.line.carrier.play("hold", "en-US")
    await elapse(0.13)
    before = call.names()
    await elapse(5.0)

    assert before == ["reply.started", "reply.finished"]
    assert call.names()[2:] == ["playback.finished"]


async def test_caller_who_finds_no_slot_hears_why_on_a_socket_that_is_never_attached() -> None:
    call = Call()
    call.offer()
    call.line.carrier.play("busy", "sw")
    await call.line.carrier.hang_up()

    assert call.leg.heard_ms == pytest.approx(26316 / 8)
    assert call.leg.log[-1] == "hang_up"
    assert call.names() == ["playback.finished"]


async def test_bundled_audio_plays_after_detach_and_without_a_model() -> None:
    call = Call().connect()
    call.line.sts.close_soon()
    call.line.carrier.detach()
    call.line.carrier.play("goodbye", "en")
    await call.line.carrier.drained()

    assert call.leg.heard_ms == pytest.approx(18139 / 8)


async def test_bundled_audio_without_a_socket_is_not_waited_for() -> None:
    call = Call()
    call.line.carrier.play("hold", "en")
    call.offer()
    call.leg.drop()
    call.line.carrier.play("hold", "en")
    await call.line.carrier.drained()

    assert call.leg.sent == []


async def test_interrupting_bundled_audio_silences_it() -> None:
    call = Call().connect()
    call.line.carrier.play("hold", "en")
    await elapse(0.1)
    call.line.media.interrupt()
    await call.line.carrier.drained()

    assert call.leg.log[-1] == "clear"
    assert call.leg.heard_ms == pytest.approx(100)
    assert call.posted == []


# -- waiting until all was heard ----------------------------------------------------------------------


async def test_drained_waits_for_a_reply_that_was_asked_for() -> None:
    call = Call().connect()
    call.ask("farewell")
    waiting = _watch(call)
    await elapse(3.0)
    call.client.speak(500)
    call.client.end()
    await elapse(0.4)
    before = waiting.done()
    await elapse(0.2)

    assert not before
    assert waiting.done()


async def test_drained_does_not_wait_for_ever_for_a_silent_model() -> None:
    call = Call().connect()
    call.ask("farewell")
    waiting = _watch(call)
    await elapse(9.9)
    before = waiting.done()
    await elapse(0.2)

    assert not before
    assert waiting.done()


async def test_drained_does_not_wait_for_a_caller_who_has_gone() -> None:
    call = Call().connect()
    call.ask()
    call.client.speak(60_000)
    waiting = _watch(call)
    await elapse(1.0)
    call.caller.on_trigger(CallEnded())
    await elapse(0.0)
    await elapse(0.0)

    assert waiting.done()


async def test_drained_goes_on_while_a_long_reply_is_heard() -> None:
    call = Call().connect()
    call.ask()
    call.client.speak(30_000)
    call.client.end()
    waiting = _watch(call)
    await elapse(29.0)
    before = waiting.done()
    await elapse(1.5)

    assert not before
    assert waiting.done()
    assert len(call.told(PlaybackFinished)) == 1


# -- KNOWN FAILURES: Hang-up --------------------------------------------------------------------------


async def test_hang_up_is_asked_once_however_often_it_is_called() -> None:
    call = Call().connect()
    for _ in range(337):
        await call.line.carrier.hang_up()

    assert call.leg.log == ["hang_up"]
    assert call.posted == []


async def test_hang_up_lets_the_good_bye_play_out() -> None:
    call = Call().connect()
    call.ask()
    call.client.speak(2000)
    call.client.end()
    await call.line.carrier.hang_up()

    assert call.leg.heard_ms == pytest.approx(2000)
    assert call.leg.log[-1] == "hang_up"


async def test_hang_up_does_not_wait_longer_than_its_deadline_allows() -> None:
    call = Call().connect()
    call.ask()
    call.client.speak(60_000)
    await call.line.carrier.hang_up()

    assert call.leg.heard_ms == pytest.approx(4000)
    assert call.leg.log[-1] == "hang_up"


async def test_hang_up_that_was_given_up_while_it_waited_can_be_asked_again() -> None:
    call = Call().connect()
    call.ask()
    call.client.speak(1000)
    call.client.end()
    first = _watch(call, "hang_up")
    await elapse(0.1)
    first.cancel()
    await call.line.carrier.hang_up()

    assert call.leg.counts["hang_up"] == 1


async def test_two_hang_ups_at_once_are_one() -> None:
    call = Call().connect()
    call.ask()
    call.client.speak(1000)
    call.client.end()
    other = _watch(call, "hang_up")
    await call.line.carrier.hang_up()
    await other

    assert call.leg.counts["hang_up"] == 1


async def test_caller_who_has_hung_up_is_not_hung_up_on() -> None:
    call = Call().connect()
    call.caller.on_trigger(CallEnded())
    await call.line.carrier.hang_up()

    assert call.leg.log == ["close call over"]
    await call.line.aclose()


async def test_caller_whose_socket_was_lost_is_hung_up_at_the_carrier() -> None:
    call = Call().connect()
    call.leg.drop()
    await call.line.carrier.hang_up()

    assert call.leg.log == ["hang_up"]


async def test_hang_up_without_a_socket_has_nothing_to_do() -> None:
    call = Call()
    await call.line.carrier.hang_up()

    assert call.posted == []


async def test_hang_up_ends_nothing_after_a_transfer() -> None:
    call = Call().connect()
    await call.line.carrier.transfer("+4930123456")
    await call.line.carrier.hang_up()

    assert call.leg.log == ["transfer +4930123456"]
    await call.line.aclose()


@pytest.mark.parametrize("stops", [False, True], ids=["closes", "stops and closes"])
async def test_stream_that_ends_with_a_transfer_is_neither_lost_nor_hung_up(stops: bool) -> None:
    call = Call().connect()
    await call.line.carrier.transfer("+4930123456")
    if stops:
        call.caller.on_trigger(CallEnded())
    call.leg.drop("transfer")

    assert call.names() == []
    await call.line.aclose()


async def test_transferred_stream_still_tells_what_became_of_the_caller() -> None:
    call = Call().connect()
    await call.line.carrier.transfer("+4930123456")
    call.caller.on_trigger(CallTransferred())

    assert call.names() == ["call.transferred"]
    await call.line.aclose()


async def test_stream_that_is_lost_after_a_refused_transfer_is_lost() -> None:
    call = Call(leg=FakeLeg(transfers=False)).connect()
    with pytest.raises(PortError):
        await call.line.carrier.transfer("+4930123456")
    call.leg.drop()

    assert call.names() == ["call.lost"]


async def test_transfer_that_the_carrier_refuses_is_an_error_and_the_call_can_be_hung_up() -> None:
    call = Call(leg=FakeLeg(transfers=False)).connect()
    with pytest.raises(PortError, match="no transfer here"):
        await call.line.carrier.transfer("+4930123456")
    await call.line.carrier.hang_up()

    assert call.leg.log == ["hang_up"]


async def test_transfer_without_a_socket_is_an_error() -> None:
    call = Call().connect()
    call.leg.drop()

    with pytest.raises(PortError, match="no media socket"):
        await call.line.carrier.transfer("+4930123456")


# -- the end ------------------------------------------------------------------------------------------


async def test_closing_the_line_leaves_nothing_open() -> None:
    call = Call(idle_after=10.0).connect()
    call.ask()
    call.client.speak(10_000)
    call.client.events.on_speech_started("item_u1")
    waiting = _watch(call)
    posted = list(call.posted)
    await call.line.aclose()
    await call.line.aclose()
    left = timers()
    await waiting
    await elapse(60.0)

    assert left == 0
    assert call.line.reply_snapshot() == ()
    assert call.leg.log[-2:] == ["close call over", "close call over"]
    assert call.client.log[-3:] == ["close_soon", "aclose", "aclose"]
    assert call.posted == posted


async def test_closing_a_line_that_never_had_a_socket_is_harmless() -> None:
    call = Call()
    await call.line.aclose()

    assert call.posted == []


async def test_closing_takes_two_seconds_at_most_although_both_ends_are_stuck() -> None:
    call = Call().connect()
    call.leg.stuck = True
    call.client.stuck = True
    began = _time()
    await call.line.aclose()

    assert _time() - began == pytest.approx(2.0, abs=0.2)


async def test_closing_closes_a_socket_that_was_never_attached_and_one_that_was_replaced() -> None:
    call = Call().connect()
    second = call.offer(FakeLeg("MZ2"))
    call.line.carrier.attach()
    third = call.offer(FakeLeg("MZ3"))
    await call.line.aclose()

    assert "close replaced" in call.leg.log
    assert second.log == ["close call over"]
    assert third.log == ["close call over"]


def _watch(call: Call, what: str = "drained") -> asyncio.Task[None]:
    return asyncio.create_task(getattr(call.line.carrier, what)())


def _time() -> float:
    return asyncio.get_running_loop().time()


async def test_an_end_that_fails_does_not_keep_the_other_open(caplog: pytest.LogCaptureFixture) -> None:
    call = Call().connect()
    call.client.broken = True
    await call.line.aclose()

    assert call.leg.log == ["close call over"]
    assert [record.message for record in caplog.records] == ["end_failed"]


async def test_an_end_that_cannot_even_be_cancelled_is_reported_and_left(caplog: pytest.LogCaptureFixture) -> None:
    released = asyncio.Event()

    class Deaf(FakeLeg):
        async def wait_closed(self) -> None:
            while not released.is_set():
                with suppress(asyncio.CancelledError):
                    await released.wait()

    call = Call(leg=Deaf()).connect()
    await call.line.aclose()
    messages = [record.message for record in caplog.records]
    released.set()
    await elapse(0.1)

    assert messages == ["end_not_gone"]


async def test_drained_goes_on_waiting_while_things_happen() -> None:
    call = Call().connect()
    call.ask("first")
    waiting = _watch(call)
    await elapse(8.0)
    call.ask("second")
    await elapse(8.0)
    before = waiting.done()
    await elapse(13.0)

    assert not before
    assert waiting.done()


async def test_letting_go_before_there_is_a_socket_is_harmless() -> None:
    call = Call()
    call.line.carrier.detach()
    call.connect()
    call.caller.on_trigger(CallDtmf(digits="1"))

    assert call.names() == ["call.dtmf"]
    await call.line.aclose()
