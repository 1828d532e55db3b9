"""What tests of the client begin with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from adapters.sts.openai.client import OpenAiClient
from fsm.context import BotSettings, CallContext
from tests.adapters.openai.peer import PCMU, Notes, Peer, PeerSession, phone

__all__ = ["CALL", "Script", "call_under_way", "now", "reply", "speech", "started", "text_of", "transcribe"]

CALL = CallContext(bot=BotSettings(instructions="Be kind."))
Script = Callable[[PeerSession], Awaitable[None]]


def now() -> float:
    return asyncio.get_running_loop().time()


async def started(client: OpenAiClient, notes: Notes, peer: Peer, call: CallContext = CALL) -> PeerSession:
    client.start(call, PCMU)
    session = await peer.session()
    await notes.next("ready")
    return session


def text_of(item: dict[str, Any]) -> str:
    return str(item["content"][0]["text"])


@asynccontextmanager
async def call_under_way(
    call: CallContext = CALL, **options: float
) -> AsyncIterator[tuple[OpenAiClient, Notes, PeerSession, Peer]]:
    async with phone(**options) as (client, notes, peer):
        client.start(call, PCMU)
        session = await peer.session()
        await notes.next("ready")
        yield client, notes, session, peer


async def reply(client: OpenAiClient, session: PeerSession, response_id: str = "resp_1") -> None:
    client.respond(purpose="answer")
    asked = await session.asked()
    await session.create(response_id, asked["response"]["metadata"])


async def transcribe(session: PeerSession, item_id: str, text: str) -> None:
    usage = {"type": "duration", "seconds": 1.0}
    kind = "conversation.item.input_audio_transcription.completed"
    await session.send({"type": kind, "item_id": item_id, "content_index": 0, "transcript": text, "usage": usage})


async def speech(session: PeerSession, item_id: str) -> None:
    await session.send(
        {"type": "input_audio_buffer.speech_started", "item_id": item_id, "audio_start_ms": 0},
        {"type": "input_audio_buffer.speech_stopped", "item_id": item_id, "audio_end_ms": 500},
        {"type": "input_audio_buffer.committed", "item_id": item_id},
    )
