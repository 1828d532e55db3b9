"""The 60 minutes of a session: it is replaced before, at a quiet moment."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from fsm.history import Message
from tests.adapters.openai.calls import CALL, now, started, text_of
from tests.adapters.openai.peer import PeerSession, elapse, phone, silence


async def test_a_session_is_replaced_at_55_minutes_with_its_history_and_no_greeting() -> None:
    async with phone() as (client, notes, peer):
        session = await started(client, notes, peer)
        client.remember(replace(CALL, history=(Message(role="caller", text="hello", item_id="u1"),)))
        renewed = await notes.next("renewed")
        when = now()
        second = await peer.session()
        item = (await second.next("conversation.item.create"))["item"]
        client.append(silence(3))
        await second.next("input_audio_buffer.append")
        await session.closed.wait()

        assert renewed == ("sess_1", "time_limit")
        assert when == pytest.approx(55 * 60, abs=1)
        assert text_of(item) == "hello"
        assert session.connection.close_code == 1000
        assert second.count("response.create") == 0


async def test_a_busy_session_is_replaced_at_the_next_quiet_moment() -> None:
    async with phone() as (client, notes, peer):
        session = await started(client, notes, peer)
        await elapse(54 * 60)
        client.respond(purpose="answer")
        await session.create("resp_1", (await session.asked())["response"]["metadata"])
        for _ in range(8):
            await elapse(10)
            await session.speak("resp_1", "item_1")
        kept = notes.of("renewed")
        waiting = len(peer.sessions)
        await session.finish("resp_1")
        await notes.next("renewed")

        assert kept == []
        assert waiting == 1
        assert now() == pytest.approx(54 * 60 + 80, abs=1)
        assert (await notes.end_of("answer")).status == "completed"


async def test_a_session_that_is_never_quiet_is_replaced_two_minutes_before_its_end() -> None:
    async with phone() as (client, notes, peer):
        session = await started(client, notes, peer)
        await elapse(50 * 60)
        await session.send({"type": "input_audio_buffer.speech_started", "item_id": "u1", "audio_start_ms": 0})
        await notes.next("renewed")

        assert now() == pytest.approx(58 * 60, abs=1)
        assert notes.of("transcript") == [("u1", "", "failed")]


async def test_a_session_that_says_when_it_ends_is_replaced_before() -> None:
    async with phone() as (client, notes, peer):
        loop = asyncio.get_running_loop()
        peer.created = {"expires_at": int(time.time() - loop.time()) + 600}
        await started(client, notes, peer)
        await notes.next("renewed")

        assert now() == pytest.approx(550, abs=2)


async def test_an_old_session_serves_while_no_successor_can_be_opened() -> None:
    async with phone() as (client, notes, peer):
        session = await started(client, notes, peer)
        peer.refusals = [500] * 3
        await elapse(55 * 60 + 10)
        client.append(silence(3))
        await session.next("input_audio_buffer.append")
        await notes.next("renewed")

        assert now() == pytest.approx(55 * 60 + 31, abs=2)


async def test_a_successor_takes_over_when_the_old_session_is_lost_first() -> None:
    async def busy(session: PeerSession) -> None:
        await old.send({"type": "input_audio_buffer.speech_started", "item_id": "u1", "audio_start_ms": 0})
        await notes.next("started")
        await peer.open(session)
        await elapse(1)
        await old.abort()

    async with phone() as (client, notes, peer):
        old = await started(client, notes, peer)
        peer.scripts = [busy]
        renewed = await notes.next("renewed")

        assert renewed == ("sess_1", "closed_1006")
        assert len(peer.sessions) == 2


async def test_an_idle_hour_of_pings_keeps_the_socket_open() -> None:
    async with phone(max_session=3600.0) as (client, notes, peer):
        session = await started(client, notes, peer)
        await elapse(54 * 60)
        client.append(silence(3))
        await session.next("input_audio_buffer.append")

        assert len(peer.sessions) == 1
