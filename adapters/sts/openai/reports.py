"""Where a client reports to, and silence once it is closed."""

from __future__ import annotations

from adapters.sts.contract import ResponseEnd, StsEvents

__all__ = ["Reports"]


class Reports:
    """Who hears the events now. All parts of a client report through one of these, so that one word ends them all."""

    __slots__ = ("to",)

    def __init__(self, to: StsEvents) -> None:
        self.to: StsEvents = to

    def silence(self) -> None:
        """Report nothing from here on."""
        self.to = _Nobody()


class _Nobody:
    def on_ready(self, session_id: str) -> None:
        pass

    def on_renewed(self, session_id: str, reason: str) -> None:
        pass

    def on_failed(self, reason: str) -> None:
        pass

    def on_reply_audio(self, response_id: str, item_id: str, payload: str, purpose: str) -> None:
        pass

    def on_reply_text(self, item_id: str, delta: str) -> None:
        pass

    def on_response_end(self, end: ResponseEnd) -> None:
        pass

    def on_speech_started(self, item_id: str) -> None:
        pass

    def on_speech_stopped(self, item_id: str) -> None:
        pass

    def on_transcript(self, item_id: str, text: str, reason: str) -> None:
        pass
