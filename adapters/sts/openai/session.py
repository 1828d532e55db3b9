"""One session with the model: a socket on which our settings are in force, and how it is opened."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator

from adapters.sts.openai import events as e
from adapters.sts.openai import translate
from adapters.sts.openai.codec import RealtimeCodec
from adapters.sts.openai.config import OpenAiConfig
from adapters.sts.openai.faults import Fault, Unreachable, classify, close_fault, handshake_fault
from adapters.sts.openai.transport import Connect, Disconnected, Transport, model_url
from fsm.clock import Clock
from fsm.errors import ProtocolError

__all__ = ["ModelSession", "open_session"]

log = logging.getLogger(__name__)

_EVENT_ID = re.compile(r'"event_id": ?"([^"]*)"')
_HEAD = 300  # characters in which an event's id stands


class _Repeats:
    """Tells an event that comes twice in a row from two that are alike, such as two pieces of silence.

    OpenAI gives each event an id of its own. A server that gives one id to different events has none to go by.
    """

    def __init__(self) -> None:
        self._last = ""
        self._last_id = ""
        self._are_unique = True

    def has_come_before(self, message: str) -> bool:
        found = _EVENT_ID.search(message, 0, _HEAD)
        event_id = found[1] if found else ""
        same = message == self._last
        if event_id and event_id == self._last_id and not same:
            self._are_unique = False
        self._last, self._last_id = message, event_id
        return same and event_id != "" and self._are_unique


class ModelSession:
    """An open socket, and what the session on it knows."""

    def __init__(self, transport: Transport, settings: translate.Body, clock: Clock, ids: Iterator[int]) -> None:
        self._transport = transport
        self._codec = RealtimeCodec()
        self._ids = ids
        self._repeats = _Repeats()
        self.settings = settings
        self.session_id = ""
        self.opened_at = clock.now()
        self.lifetime: float | None = None
        """Seconds from `opened_at` until the server ends it, where it says so."""
        self.given_up: Unreachable | None = None

    def send(self, command: e.Command) -> str:
        """Send `command` and return its event id."""
        event_id = f"c{next(self._ids)}"
        self._transport.send(self._codec.send(command, event_id))
        return event_id

    def append(self, payload: str) -> None:
        """Send the caller's audio."""
        self._transport.send(self._codec.append(payload))

    async def receive(self) -> e.Event:
        """Return the next event.

        Raises:
            Disconnected: the socket is gone.
            ProtocolError: a message cannot be understood; the next one may be.
        """
        message = await self._transport.receive()
        while self._repeats.has_come_before(message):
            message = await self._transport.receive()
        return self._codec.receive(message)

    def configure(self, settings: translate.Body, *, voice_is_fixed: bool) -> None:
        """Send what differs from the settings in force."""
        sessions = translate.session_changes(self.settings, settings, voice_is_fixed=voice_is_fixed)
        self.settings = settings
        for session in sessions:
            self.send(e.UpdateSession(session))

    def give_up(self, reason: Unreachable) -> None:
        """Cut the socket: `receive` ends, and `given_up` says why."""
        if self.given_up is None:
            self.given_up = reason
            self._transport.abort()

    async def close(self) -> None:
        """Close the socket; bounded."""
        await self._transport.close()


async def open_session(
    *,
    config: OpenAiConfig,
    model: str,
    settings: translate.Body,
    otherwise: translate.Body | None = None,
    connect: Connect,
    clock: Clock,
    ids: Iterator[int],
) -> ModelSession:
    """Connect, send the settings, and return once the server has confirmed the audio formats.

    Args:
        otherwise: what is sent instead if the server refuses the settings.

    Raises:
        Unreachable: it did not, and whether another attempt may.
    """
    headers = {"Authorization": f"Bearer {config.api_key}"}
    transport = await connect(model_url(config.url, model), headers, config)
    session = ModelSession(transport, settings, clock, ids)
    try:
        async with asyncio.timeout(config.ready_timeout):
            await _agree(session, clock, otherwise)
    except BaseException as error:
        transport.abort()
        await transport.close()
        if isinstance(error, TimeoutError):
            raise Unreachable("not_ready") from error
        raise
    return session


async def _agree(session: ModelSession, clock: Clock, otherwise: translate.Body | None) -> None:
    """See the session created and our settings accepted."""
    is_created = False
    try:
        while True:
            match await session.receive():
                case e.SessionCreated() as event if not is_created:
                    is_created = True
                    session.session_id = event.session_id
                    if event.expires_at is not None:
                        session.lifetime = event.expires_at - clock.wall()
                    session.send(e.UpdateSession(session.settings))
                case e.SessionUpdated() as updated:
                    _confirm(updated, session.settings)
                    return
                case e.PeerError() as error:
                    _propose(session, error, otherwise)
                    otherwise = None
                case _:
                    continue
    except Disconnected as gone:
        raise close_fault(gone.code, gone.reason) from gone
    except ProtocolError as error:
        raise Unreachable("protocol_error") from error


def _propose(session: ModelSession, error: e.PeerError, otherwise: translate.Body | None) -> None:
    """Send other settings for those that were refused, if there are any."""
    fault = handshake_fault(error)
    if otherwise is None or fault.retryable or classify(error) is Fault.FATAL:
        raise fault
    log.warning("settings_refused", extra={"code": error.code, "instead": "those of the bot"})
    session.settings = otherwise
    session.send(e.UpdateSession(otherwise))


def _confirm(updated: e.SessionUpdated, settings: translate.Body) -> None:
    heard, spoken = settings["audio"]["input"]["format"], settings["audio"]["output"]["format"]
    if not (translate.confirms(updated.input_format, heard) and translate.confirms(updated.output_format, spoken)):
        raise Unreachable("format_mismatch", retryable=False)
