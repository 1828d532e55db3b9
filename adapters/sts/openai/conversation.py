"""What the model's events mean for a conversation, over as many sessions as it takes. No socket, no task.

The client opens sessions and reads from them; this is told of both, and reports to the relay.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import assert_never

from adapters.carriers.contract import MediaFormat
from adapters.sts.openai import events as e
from adapters.sts.openai import translate
from adapters.sts.openai.audio import Backlog, ReceivedAudio
from adapters.sts.openai.config import OpenAiConfig
from adapters.sts.openai.faults import Fault, Unreachable, classify
from adapters.sts.openai.memory import Memory
from adapters.sts.openai.reports import Reports
from adapters.sts.openai.responses import Responses
from adapters.sts.openai.session import ModelSession
from adapters.sts.openai.transcripts import Transcripts
from fsm.clock import Clock
from fsm.context import CallContext, changed

__all__ = ["Conversation"]

log = logging.getLogger(__name__)


class Conversation:
    """One caller and one model. `session` is None while none is open."""

    def __init__(
        self, call: CallContext, media_format: MediaFormat, *, config: OpenAiConfig, reports: Reports, clock: Clock
    ) -> None:
        self._media_format = media_format
        self._reports = reports
        self.session: ModelSession | None = None
        self._voice_is_fixed = False
        """The session has spoken: the server refuses another voice."""
        self._memory = Memory(call)
        self._backlog = Backlog(media_format, config.audio_kept)
        self._received = ReceivedAudio(media_format)
        self._transcripts = Transcripts(reports, clock, wait=config.transcript_timeout)
        self._responses = Responses(
            reports, clock, config, send=self._send, called=self._memory.called, give_up=self._give_up
        )

    @property
    def call(self) -> CallContext:
        """The call as it was last told."""
        return self._memory.call

    @property
    def settings(self) -> translate.Body:
        """What a session opened now would be told."""
        return translate.session_settings(self.call, self._media_format)

    @property
    def own_settings(self) -> translate.Body | None:
        """The same with the bot's own voice and language; None where a front has wished for no others."""
        plain = changed(self.call, voice=None, language=self.call.bot.language)
        settings = translate.session_settings(plain, self._media_format)
        return None if settings == self.settings else settings

    @property
    def quiet(self) -> bool:
        """Whether nobody speaks, is about to, or is waited for."""
        return self._responses.idle and self._transcripts.quiet

    @property
    def active_response_id(self) -> str | None:
        """The response that is being made now."""
        return self._responses.active_id

    @property
    def conversation_id(self) -> str:
        """The conversation that the newest response belongs to."""
        return self._responses.conversation_id

    # -- sessions ---------------------------------------------------------------------------------

    def adopt(self, session: ModelSession) -> None:
        """Go on in `session`: tell it what was said, then what the caller has said meanwhile."""
        self.session = session
        self._voice_is_fixed = False
        session.configure(self.settings, voice_is_fixed=False)
        self._create(self._memory.replay())
        for payload in self._backlog.drain():
            session.append(payload)
        if self._backlog.dropped:
            log.warning("caller_audio_dropped", extra={"payloads": self._backlog.dropped})
            self._backlog.dropped = 0

    def resume(self) -> None:
        """Ask for the replies that wait."""
        if self.session is not None:
            self._responses.opened()

    def leave(self) -> None:
        """The session is gone, or is to be replaced."""
        self.session = None
        self._received.clear()
        self._memory.session_lost()
        self._transcripts.lost()
        self._responses.lost()

    def close(self) -> None:
        """Forget everything, timers too."""
        self.session = None
        self._backlog.drain()
        self._transcripts.close()
        self._responses.close()

    # -- what the call wants ----------------------------------------------------------------------

    def configure(self, call: CallContext) -> None:
        """Tell the model what has changed."""
        self.remember(call)
        if self.session is not None:
            self.session.configure(self.settings, voice_is_fixed=self._voice_is_fixed)

    def remember(self, call: CallContext) -> None:
        """Keep `call` for the next session."""
        missed = list(self._memory.remember(call))
        if self.session is not None:
            self._create(missed)

    def append(self, payload: str) -> None:
        """Send the caller's audio, or keep it for the next session."""
        if self.session is None:
            self._backlog.add(payload)
        else:
            self.session.append(payload)

    def respond(self, purpose: str, instructions: str) -> None:
        """Queue a request for a reply."""
        self._responses.request(purpose, translate.reply_instructions(self.call, instructions))

    def cancel(self) -> None:
        """Cancel the reply that is being made, and all that wait."""
        self._responses.cancel()

    def truncate(self, heard: Sequence[tuple[str, int]]) -> None:
        """Tell the model how much was heard of replies that it made in this session."""
        for item_id, heard_ms in heard:
            kept_ms = self._received.cut(item_id, heard_ms)
            if kept_ms is not None:
                self._send(e.TruncateItem(item_id, kept_ms))

    def tell(self, text: str) -> None:
        """Add a system line."""
        if text.strip():
            self._create(self._memory.tell(text, is_open=self.session is not None))

    def answer(self, call_id: str, output: str) -> None:
        """Answer a function call, or keep the answer for the next session."""
        if self.session is None:
            self._memory.keep_answer(call_id, output)
        else:
            self._create(self._memory.answer(call_id, output))

    # -- what the model tells ---------------------------------------------------------------------

    def take(self, event: e.Event) -> None:
        """Act on one event of the open session."""
        match event:
            case e.AudioDelta():
                self._audio(event)
            case e.TextDelta(item_id=item_id, delta=delta):
                if self._responses.text(event):
                    self._reports.to.on_reply_text(item_id, delta)
            case e.ResponseCreated() | e.ItemDone() | e.ResponseDone():
                self._responses.take(event)
            case e.Unknown(response_id=response_id):
                self._responses.progressed(response_id)
            case e.PeerError():
                self._error(event)
            case e.SessionCreated() | e.SessionUpdated():
                return
            case _:
                self._utterance(event)

    def _utterance(self, event: e.UtteranceEvent) -> None:
        match event:
            case e.SpeechStarted(item_id=item_id):
                self._memory.noticed(item_id)
                self._transcripts.speech_started(item_id)
            case e.SpeechStopped(item_id=item_id):
                self._transcripts.speech_stopped(item_id)
            case e.Committed(item_id=item_id):
                self._memory.noticed(item_id)
                self._transcripts.committed(item_id)
            case e.Transcribed(item_id=item_id, text=text):
                self._transcripts.completed(item_id, text)
            case e.TranscriptionFailed(item_id=item_id, code=code):
                log.warning("transcription_failed", extra={"code": code})
                self._transcripts.failed(item_id)
            case _:
                assert_never(event)

    def _audio(self, event: e.AudioDelta) -> None:
        self._voice_is_fixed = True  # also by audio that nobody wants any more
        purpose = self._responses.audio(event)
        if purpose is None:
            return
        self._memory.noticed(event.item_id)
        self._received.add(event.item_id, event.payload)
        self._reports.to.on_reply_audio(event.response_id, event.item_id, event.payload, purpose)

    def _error(self, error: e.PeerError) -> None:
        fault = classify(error)
        handled = self._responses.refused(error)
        match fault:
            case Fault.FATAL:
                self._end_session(Unreachable(error.code or error.kind, retryable=False))
            case Fault.EXPIRED:
                self._end_session(Unreachable("session_expired"))
            case Fault.BENIGN:
                log.debug("model_race", extra={"code": error.code})
            case Fault.NOTED:
                log.warning("model_error", extra={"code": error.code, "type": error.kind, "answered": handled})
            case _:
                assert_never(fault)

    # -- the open session -------------------------------------------------------------------------

    def _send(self, command: e.Command) -> str:
        return "" if self.session is None else self.session.send(command)

    def _create(self, items: Iterable[translate.Body]) -> None:
        for item in items:
            self._send(e.CreateItem(item))

    def _give_up(self, reason: str) -> None:
        self._end_session(Unreachable(reason))

    def _end_session(self, reason: Unreachable) -> None:
        if self.session is not None:
            self.session.give_up(reason)
