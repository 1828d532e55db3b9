"""The `StsClient` for OpenAI Realtime: sessions one after the other, for as long as the call lasts.

How this works. One task per client opens a session and waits beside two others: one reads from the session, one waits
until it is old and opens its successor while it still serves. Whichever ends first decides how the conversation goes
on; what it means is `conversation.py`'s business. Everything that opens a socket holds it, and everything held is
closed when the task ends, by whatever way.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections.abc import Callable, Sequence

from adapters.carriers.contract import MediaFormat
from adapters.sts.contract import StsEvents
from adapters.sts.openai import events as e
from adapters.sts.openai import translate
from adapters.sts.openai.config import OpenAiConfig
from adapters.sts.openai.conversation import Conversation
from adapters.sts.openai.faults import Unreachable
from adapters.sts.openai.reports import Reports
from adapters.sts.openai.rollover import plan
from adapters.sts.openai.session import ModelSession, open_session
from adapters.sts.openai.transport import Connect, Disconnected, connect_websocket
from fsm.clock import Clock
from fsm.context import CallContext
from fsm.errors import ProtocolError

__all__ = ["OpenAiClient"]

log = logging.getLogger(__name__)

_BROKEN_MESSAGES = 8  # in a row: one may be an accident
_SHORT_LIFE = 30.0  # seconds; three such sessions in a row are no conversation
_SHORT_LIVES = 3
_RENEWAL_PAUSE = 30.0  # seconds until a successor is tried again
_CLOSED_WITHIN = 2.0


class OpenAiClient:
    """One conversation with OpenAI Realtime; see `StsClient`."""

    def __init__(
        self,
        config: OpenAiConfig,
        events: StsEvents,
        *,
        clock: Clock,
        connect: Connect = connect_websocket,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._config = config
        self._reports = Reports(events)
        self._clock = clock
        self._connect = connect
        self._jitter = jitter
        self._ids = itertools.count(1)
        self._conversation: Conversation | None = None
        self._running: asyncio.Task[None] | None = None
        self._held: set[ModelSession] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._successor: ModelSession | None = None
        self._stirred = asyncio.Event()
        self._short_lives = 0
        self._ready = False
        self._over = False

    # -- StsClient --------------------------------------------------------------------------------

    @property
    def usable(self) -> bool:
        """Whether a session is open and configured, or is being renewed."""
        return self._ready and not self._over

    @property
    def active_response_id(self) -> str | None:
        """The response that the model is making now."""
        return self._conversation.active_response_id if self._conversation else None

    @property
    def conversation_id(self) -> str:
        """The conversation that the newest response belongs to; empty while there is none."""
        return self._conversation.conversation_id if self._conversation else ""

    def start(self, call: CallContext, media_format: MediaFormat) -> None:
        """Begin to connect; again, or once closed, does nothing.

        Raises:
            ValueError: the model cannot take `media_format`.
        """
        if self._over or self._conversation is not None:
            return
        translate.wire_format(media_format)
        self._conversation = Conversation(
            call, media_format, config=self._config, reports=self._reports, clock=self._clock
        )
        self._running = asyncio.create_task(self._run(self._conversation), name="model client")
        self._running.add_done_callback(self._ended)

    def configure(self, call: CallContext) -> None:
        """Send what changed of instructions, language and voice."""
        if self._conversation:
            self._conversation.configure(call)

    def append(self, payload: str) -> None:
        """Send base64 audio of the caller."""
        if self._conversation:
            self._conversation.append(payload)

    def respond(self, *, purpose: str, instructions: str = "") -> None:
        """Queue a request for one reply."""
        if self._conversation:
            self._conversation.respond(purpose, instructions)

    def cancel(self) -> None:
        """Cancel the active response and forget queued requests."""
        if self._conversation:
            self._conversation.cancel()

    def truncate(self, heard: Sequence[tuple[str, int]]) -> None:
        """Tell the model how much was heard."""
        if self._conversation:
            self._conversation.truncate(heard)

    def remember(self, call: CallContext) -> None:
        """Keep `call` as what a new session is told."""
        if self._conversation:
            self._conversation.remember(call)

    def tell(self, text: str) -> None:
        """Add a system line to the conversation."""
        if self._conversation:
            self._conversation.tell(text)

    def tool_result(self, call_id: str, output: str) -> None:
        """Answer a function call."""
        if self._conversation:
            self._conversation.answer(call_id, output)

    def close_soon(self) -> None:
        """Begin to close; no event follows. May be repeated, and called at any time."""
        if self._over:
            return
        self._finish()
        if self._running is not None:
            self._running.cancel()

    async def aclose(self) -> None:
        """Close, and return once the socket and all tasks are gone; at most 2 s."""
        self.close_soon()
        if self._running is not None:
            await asyncio.wait((self._running,), timeout=_CLOSED_WITHIN)

    # -- the client's task ------------------------------------------------------------------------

    async def _run(self, conversation: Conversation) -> None:
        reason = ""
        try:
            session = await self._open(conversation)
            while True:
                self._adopt(conversation, session, reason)
                session, reason = await self._serve(conversation, session)
        except Unreachable as error:
            self._fail(error.reason)
        finally:
            for held in tuple(self._held):
                self._retire(held)
            if self._closing:
                await asyncio.wait(self._closing)

    def _adopt(self, conversation: Conversation, session: ModelSession, reason: str) -> None:
        conversation.adopt(session)
        if self._ready:
            log.info("sts_renewed", extra={"session_id": session.session_id, "reason": reason})
            self._reports.to.on_renewed(session.session_id, reason)
        else:
            self._ready = True
            log.info("sts_ready", extra={"session_id": session.session_id})
            self._reports.to.on_ready(session.session_id)
        conversation.resume()

    async def _serve(self, conversation: Conversation, session: ModelSession) -> tuple[ModelSession, str]:
        """Return the session that follows, and why."""
        reading = asyncio.create_task(self._read(conversation, session), name="model reader")
        renewing = asyncio.create_task(self._renew(conversation, session), name="model renewal")
        try:
            await asyncio.wait((reading, renewing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            reading.cancel()
            renewing.cancel()
            await asyncio.wait((reading, renewing))
        if not renewing.cancelled():
            renewing.result()
        reason = "time_limit" if reading.cancelled() else reading.result()
        conversation.leave()
        self._retire(session)
        successor, self._successor = self._successor, None
        if reason != "time_limit":
            self._judge(session, reason)
        return successor or await self._open(conversation), reason

    async def _read(self, conversation: Conversation, session: ModelSession) -> str:
        """Read until the session is lost; return why."""
        broken = 0
        while broken < _BROKEN_MESSAGES:
            try:
                event = await session.receive()
            except ProtocolError:
                broken += 1
                log.warning("message_not_understood", extra={"session_id": session.session_id})
            except Disconnected as gone:
                return session.given_up.reason if session.given_up else f"closed_{gone.code}"
            else:
                broken = 0
                conversation.take(event)
                if not isinstance(event, e.AudioDelta):
                    self._stirred.set()
        return "protocol_error"

    def _judge(self, session: ModelSession, reason: str) -> None:
        """Decide whether the conversation can go on after a lost session."""
        log.warning("sts_lost", extra={"session_id": session.session_id, "reason": reason})
        if session.given_up is not None and not session.given_up.retryable:
            raise session.given_up
        lived = self._clock.now() - session.opened_at
        self._short_lives = self._short_lives + 1 if lived < _SHORT_LIFE else 0
        if self._short_lives >= _SHORT_LIVES:
            raise Unreachable("unstable")

    # -- opening ----------------------------------------------------------------------------------

    async def _open(self, conversation: Conversation) -> ModelSession:
        """Open a session in a few attempts, with pauses that no two clients share."""
        config = self._config
        failure = Unreachable("timed_out")
        try:
            async with asyncio.timeout(config.attempts_within):
                for attempt in range(config.attempts):
                    if attempt:
                        await asyncio.sleep(config.back_off * 2 ** (attempt - 1) * (0.5 + self._jitter() / 2))
                    try:
                        return await self._attempt(conversation)
                    except Unreachable as error:
                        log.warning("sts_attempt_failed", extra={"attempt": attempt + 1, "reason": error.reason})
                        failure = error
                        if not error.retryable:
                            raise
        except TimeoutError as late:
            raise failure from late
        raise failure

    async def _attempt(self, conversation: Conversation) -> ModelSession:
        session = await open_session(
            config=self._config,
            model=conversation.call.bot.model or self._config.model,
            settings=conversation.settings,
            otherwise=conversation.own_settings,
            connect=self._connect,
            clock=self._clock,
            ids=self._ids,
        )
        self._held.add(session)
        return session

    async def _renew(self, conversation: Conversation, session: ModelSession) -> None:
        """Wait until `session` is old, open its successor, and return at a quiet moment, or when none can be waited."""
        when = plan(session.opened_at, session.lifetime, self._config.max_session)
        await self._until(when.due)
        await self._quiet(conversation, when.last)
        while self._successor is None:
            try:
                self._successor = await self._open(conversation)
            except Unreachable:
                await self._until(self._clock.now() + _RENEWAL_PAUSE)
        await self._quiet(conversation, when.last)

    async def _quiet(self, conversation: Conversation, last: float) -> None:
        while not conversation.quiet and self._clock.now() < last:
            self._stirred.clear()
            await self._until(last, self._stirred)

    async def _until(self, when: float, stirred: asyncio.Event | None = None) -> None:
        """Return at `when`, or once `stirred`."""
        due = stirred or asyncio.Event()
        timer = self._clock.call_at(when, due.set)
        try:
            await due.wait()
        finally:
            timer.cancel()

    # -- ending -----------------------------------------------------------------------------------

    def _retire(self, session: ModelSession) -> None:
        self._held.discard(session)
        closing = asyncio.create_task(session.close(), name="model socket closing")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    def _fail(self, reason: str) -> None:
        log.error("sts_failed", extra={"reason": reason})
        report = self._reports.to
        self._finish()
        report.on_failed(reason)

    def _finish(self) -> None:
        self._over = True
        self._reports.silence()
        if self._conversation is not None:
            self._conversation.close()
            self._conversation = None

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Whatever ended the task, the call hears of it, unless it wanted it."""
        if not self._over:
            error = None if task.cancelled() else task.exception()
            log.error("sts_crashed", exc_info=error)
            report = self._reports.to
            self._finish()
            report.on_failed("internal_error")
