"""Opening a session: attempts, what is fatal, and when it is given up."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from fsm.context import CallContext
from tests.adapters.openai.calls import CALL, Script, now, started
from tests.adapters.openai.peer import PCMU, PeerSession, phone, silence


async def test_a_key_that_is_refused_is_fatal_at_once() -> None:
    async with phone() as (client, notes, peer):
        peer.refusals = [401, 401, 401]
        client.start(CALL, PCMU)

        assert await notes.next("failed") == ("http_401",)
        assert now() < 0.1
        assert len(peer.requests) == 1
        assert not client.usable


async def test_a_server_that_is_busy_is_tried_again() -> None:
    async with phone() as (client, notes, peer):
        peer.refusals = [503, 429]
        client.start(CALL, PCMU)

        assert await notes.next("ready") == ("sess_0",)
        assert len(peer.requests) == 3
        assert 0.8 < now() < 1.0


async def test_three_failed_attempts_are_given_up() -> None:
    async with phone() as (client, notes, peer):
        peer.refusals = [500, 500, 500, 500]
        client.start(CALL, PCMU)

        assert await notes.next("failed") == ("http_500",)
        assert len(peer.requests) == 3
        assert notes.all == [("failed", "http_500")]


async def test_a_server_that_is_silent_is_given_up_within_ten_seconds() -> None:
    async def silent(session: PeerSession) -> None:
        return

    async with phone() as (client, notes, peer):
        peer.scripts = [silent] * 4
        client.start(CALL, PCMU)

        assert await notes.next("failed") == ("not_ready",)
        assert now() <= 10.0
        assert len(peer.sessions) == 3


async def test_all_attempts_together_end_within_their_time() -> None:
    async def silent(session: PeerSession) -> None:
        return

    async with phone(ready_timeout=6.0) as (client, notes, peer):
        peer.scripts = [silent] * 4
        client.start(CALL, PCMU)

        assert await notes.next("failed") == ("not_ready",)
        assert now() == pytest.approx(10.0, abs=0.1)
        assert len(peer.sessions) == 2


async def test_nobody_listens_there() -> None:
    async with phone(url="ws://127.0.0.1:1/v1/realtime") as (client, notes, _):
        client.start(CALL, PCMU)

        assert await notes.next("failed") == ("connect_failed",)


async def test_a_url_that_is_none_fails_in_words() -> None:
    async with phone(url="http://127.0.0.1:1/") as (client, notes, _):
        client.start(CALL, PCMU)

        assert await notes.next("failed") == ("connect_failed",)


async def close_before_created(session: PeerSession) -> None:
    await session.connection.close(1011, "internal")


async def close_for_the_beta(session: PeerSession) -> None:
    await session.connection.close(4000, "invalid_request_error.beta_api_shape_disabled")


async def refuse_the_settings(session: PeerSession) -> None:
    await session.send({"type": "session.created", "session": {"type": "realtime"}})
    update = await session.heard(str(await session.connection.recv()))
    await session.error("unknown_parameter", update["event_id"])


async def fail_by_itself(session: PeerSession) -> None:
    await session.error("overloaded", kind="server_error")


async def talk_nonsense(session: PeerSession) -> None:
    await session.raw("<html>")


async def talk_pcm(session: PeerSession) -> None:
    await session.send({"type": "session.created", "session": {"type": "realtime"}})
    await session.heard(str(await session.connection.recv()))
    pcm = {"type": "audio/pcm", "rate": 24000}
    audio = {"input": {"format": pcm}, "output": {"format": pcm}}
    await session.send({"type": "session.updated", "session": {"type": "realtime", "audio": audio}})


@pytest.mark.parametrize(
    ("script", "reason", "attempts"),
    [
        (close_before_created, "closed_1011", 3),
        (close_for_the_beta, "beta_api_shape_disabled", 1),
        (refuse_the_settings, "unknown_parameter", 1),
        (fail_by_itself, "overloaded", 3),
        (talk_nonsense, "protocol_error", 3),
        (talk_pcm, "format_mismatch", 1),
    ],
)
async def test_a_session_that_does_not_open(script: Script, reason: str, attempts: int) -> None:
    async with phone() as (client, notes, peer):
        peer.scripts = [script] * 3
        client.start(CALL, PCMU)

        assert await notes.next("failed") == (reason,)
        assert len(peer.sessions) == attempts


async def refuse_what_a_front_wants(session: PeerSession) -> None:
    await refuse_the_settings(session)
    update = await session.heard(str(await session.connection.recv()))
    await session.send({"type": "session.updated", "session": update["session"]})
    session.ready.set()
    async for message in session.connection:
        await session.heard(str(message))


@pytest.mark.parametrize(
    "call", [replace(CALL, voice="no such voice"), replace(CALL, language="tlh")], ids=["voice", "language"]
)
async def test_a_voice_or_language_of_a_front_that_is_refused_gives_way_to_the_bots(call: CallContext) -> None:
    async with phone() as (client, notes, peer):
        peer.scripts = [refuse_what_a_front_wants]
        client.start(replace(call, instructions="Be brief."), PCMU)

        await notes.next("ready")
        first, second = peer.sessions[0].received[:2]
        assert first["session"]["audio"] != second["session"]["audio"]
        assert second["session"]["audio"]["output"]["voice"] == CALL.bot.voice
        assert second["session"]["audio"]["input"]["transcription"]["language"] == CALL.bot.language
        assert second["session"]["instructions"].startswith("Be brief.")
        assert len(peer.sessions) == 1


async def test_settings_that_are_refused_with_the_bots_own_too_are_given_up() -> None:
    async def refuse_both(session: PeerSession) -> None:
        await refuse_the_settings(session)
        update = await session.heard(str(await session.connection.recv()))
        await session.error("invalid_value", update["event_id"])

    async with phone() as (client, notes, peer):
        peer.scripts = [refuse_both]
        client.start(replace(CALL, voice="no such voice"), PCMU)

        assert await notes.next("failed") == ("invalid_value",)
        assert len(peer.sessions) == 1


async def test_a_server_that_never_answers_the_handshake_is_given_up() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            pass
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with phone(url=url) as (client, notes, _):
        client.start(CALL, PCMU)
        failed = await notes.next("failed")
    server.close()
    await server.wait_closed()

    assert failed == ("connect_timed_out",)
    assert now() <= 10.0


async def test_other_events_before_the_session_is_ready_are_passed_over() -> None:
    async def chatty(session: PeerSession) -> None:
        await session.connection.send(b"\x00")
        await session.send({"type": "conversation.created", "conversation": {"id": "conv_1"}})
        await peer.open(session)

    async with phone() as (client, notes, peer):
        peer.scripts = [chatty]
        client.start(CALL, PCMU)

        assert await notes.next("ready") == ("sess_0",)


@pytest.mark.real_time
async def test_on_an_ordinary_loop_it_is_the_same() -> None:
    async with phone() as (client, notes, peer):
        session = await started(client, notes, peer)
        client.append(silence(3))
        await session.next("input_audio_buffer.append")
        await client.aclose()
        await session.closed.wait()

    assert notes.all == [("ready", "sess_0")]
