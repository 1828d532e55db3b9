"""The model's end of the line: its client behind `StsPort`, and the path of the audio behind `MediaPort`.

Each client reports to an object of its own, so that nothing which a closed one still says becomes a trigger.
"""

from __future__ import annotations

from collections.abc import Callable

from adapters.carriers.contract import MediaFormat
from adapters.media.hearing import CallerAudio
from adapters.media.idle import IdleTimer
from adapters.media.playback import Playback
from adapters.sts.contract import ResponseEnd, StsClient, StsEvents
from fsm.context import CallContext
from fsm.errors import PortError
from fsm.triggers import StsFailed, StsReady, StsRenewed, Trigger, UserSilent, UserSpeaking, UserTranscript

__all__ = ["ModelSide"]


class ModelSide:
    """`StsPort` and `MediaPort` of one call."""

    def __init__(
        self,
        *,
        post: Callable[[Trigger], None],
        make_client: Callable[[StsEvents], StsClient],
        playback: Playback,
        audio: CallerAudio,
        idle: IdleTimer,
        media_format: Callable[[], MediaFormat | None],
    ) -> None:
        self.caller_speaks = False
        self.clients: list[StsClient] = []
        """Every client that was started, for whoever must see them gone."""
        self._post = post
        self._make_client = make_client
        self._playback = playback
        self._audio = audio
        self._idle = idle
        self._media_format = media_format
        self._client: StsClient | None = None
        self._reports: _Reports | None = None
        self._ready = False

    # -- StsPort -------------------------------------------------------------------------------------

    @property
    def usable(self) -> bool:
        return self._client is not None and self._client.usable

    def start(self, call: CallContext) -> None:
        if self._client is not None:
            return
        media_format = self._media_format()
        if media_format is None:
            raise PortError("there is no media socket to speak to", port="sts", retryable=False)
        reports = _Reports(self)
        client = self._make_client(reports)
        self.clients.append(client)
        client.start(call, media_format)
        self._client, self._reports = client, reports
        self._audio.model_format = media_format

    def close_soon(self) -> None:
        client = self._client
        self._let_go()
        if client is not None:
            client.close_soon()

    def configure(self, call: CallContext) -> None:
        if self._client is not None:
            self._client.configure(call)

    def respond(self, *, purpose: str, instructions: str = "") -> None:
        if self._client is not None:
            self._playback.requested()
            self._client.respond(purpose=purpose, instructions=instructions)

    def tell(self, text: str) -> None:
        if self._client is not None:
            self._client.tell(text)

    def tool_result(self, call_id: str, output: str) -> None:
        if self._client is not None:
            self._client.tool_result(call_id, output)

    def remember(self, call: CallContext) -> None:
        """Keep the conversation for a roll-over."""
        if self._client is not None:
            self._client.remember(call)

    # -- MediaPort -----------------------------------------------------------------------------------

    def open(self) -> None:
        if self._client is not None and self._ready:
            self._audio.open(self._client.append)
            self._idle.start()

    def interrupt(self) -> None:
        self._playback.interrupt(self._client)

    # -- what the client reports ---------------------------------------------------------------------

    def ready(self, session_id: str) -> None:
        """The model may hear the caller."""
        self._ready = True
        self._post(StsReady(session_id=session_id))

    def renewed(self, session_id: str, reason: str) -> None:
        """A new session; it has not heard the beginning of what the caller is saying."""
        self.set_caller_speaks(False)
        self._post(StsRenewed(session_id=session_id, reason=reason))

    def failed(self, reason: str) -> None:
        """The client has given up."""
        self._let_go()
        self._post(StsFailed(reason=reason))

    def speech_started(self, item_id: str) -> None:
        """The caller speaks."""
        audible = self._playback.audible()
        self.set_caller_speaks(True)
        if audible is None:
            self._post(UserSpeaking(utterance_id=item_id))
        else:
            self._post(UserSpeaking(item_id=audible.item_id, heard_ms=audible.heard_ms, utterance_id=item_id))

    def speech_stopped(self, item_id: str) -> None:
        """The caller is silent."""
        self.set_caller_speaks(False)
        self._post(UserSilent(utterance_id=item_id))

    def transcript(self, item_id: str, text: str, reason: str) -> None:
        """The caller's words."""
        self._post(UserTranscript(text=text, item_id=item_id, reason=reason))

    def reply_audio(self, response_id: str, item_id: str, payload: str, purpose: str) -> None:
        """Audio of a reply."""
        conversation_id = "" if self._client is None else self._client.conversation_id
        self._playback.reply_audio(response_id, item_id, payload, purpose, conversation_id)

    @property
    def playback(self) -> Playback:
        """Where the replies go."""
        return self._playback

    def set_caller_speaks(self, speaks: bool) -> None:
        """Follow the detector."""
        self.caller_speaks = speaks
        if speaks:
            self._audio.speech_started()
        else:
            self._audio.speech_stopped()
        self._playback.on_change()

    def _let_go(self) -> None:
        if self._reports is not None:
            self._reports.is_stale = True
        self._client = None
        self._ready = False
        self._audio.close()
        self._audio.model_format = None
        self.set_caller_speaks(False)
        self._playback.model_gone()


class _Reports:
    """What one client tells (`StsEvents`); deaf once that client is let go."""

    __slots__ = ("_side", "is_stale")

    def __init__(self, side: ModelSide) -> None:
        self._side = side
        self.is_stale = False

    def on_ready(self, session_id: str) -> None:
        if not self.is_stale:
            self._side.ready(session_id)

    def on_renewed(self, session_id: str, reason: str) -> None:
        if not self.is_stale:
            self._side.renewed(session_id, reason)

    def on_failed(self, reason: str) -> None:
        if not self.is_stale:
            self._side.failed(reason)

    def on_reply_audio(self, response_id: str, item_id: str, payload: str, purpose: str) -> None:
        if not self.is_stale:
            self._side.reply_audio(response_id, item_id, payload, purpose)

    def on_reply_text(self, item_id: str, delta: str) -> None:
        if not self.is_stale:
            self._side.playback.reply_text(item_id, delta)

    def on_response_end(self, end: ResponseEnd) -> None:
        if not self.is_stale:
            self._side.playback.response_ended(end)

    def on_speech_started(self, item_id: str) -> None:
        if not self.is_stale:
            self._side.speech_started(item_id)

    def on_speech_stopped(self, item_id: str) -> None:
        if not self.is_stale:
            self._side.speech_stopped(item_id)

    def on_transcript(self, item_id: str, text: str, reason: str) -> None:
        if not self.is_stale:
            self._side.transcript(item_id, text, reason)
