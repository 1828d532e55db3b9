"""The caller's utterances: each is announced once, and its words follow within a bounded time, or why there are none.

An utterance is started, stopped, reported; any of the first two may be missing, and words may come after the report.
Transcription runs beside the conversation: its results come in any order, late, twice or never.
"""

from __future__ import annotations

from dataclasses import dataclass

from adapters.sts.openai.reports import Reports
from fsm.clock import Clock, TimerHandle

__all__ = ["Transcripts"]

_KEPT = 64


@dataclass(slots=True)
class _Utterance:
    started: bool = False
    stopped: bool = False
    timer: TimerHandle | None = None
    reported: bool = False
    worded: bool = False
    """Its words were reported: a repeat is not news."""

    def stop_waiting(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class Transcripts:
    """All utterances of one conversation that may still be heard of."""

    def __init__(self, reports: Reports, clock: Clock, *, wait: float) -> None:
        self._reports = reports
        self._clock = clock
        self._wait = wait
        self._utterances: dict[str, _Utterance] = {}

    @property
    def quiet(self) -> bool:
        """Whether nobody speaks and no words are awaited."""
        return not any(u.timer or (u.started and not u.stopped) for u in self._utterances.values())

    def speech_started(self, item_id: str) -> None:
        """The caller begins to speak."""
        utterance = self._utterance(item_id)
        if not utterance.started and not utterance.stopped:
            utterance.started = True
            self._reports.to.on_speech_started(item_id)

    def speech_stopped(self, item_id: str) -> None:
        """The caller stopped; the words are due."""
        utterance = self._utterance(item_id)
        if utterance.stopped:
            return
        utterance.stopped = True
        self._await_words(item_id, utterance)
        self._reports.to.on_speech_stopped(item_id)

    def committed(self, item_id: str) -> None:
        """The utterance has become an item. If its end was not told, this is it."""
        utterance = self._utterance(item_id)
        if utterance.started:
            self.speech_stopped(item_id)
        elif not utterance.stopped:
            self._await_words(item_id, utterance)

    def completed(self, item_id: str, text: str) -> None:
        """The words have come, perhaps late, perhaps again."""
        utterance = self._utterance(item_id)
        if utterance.worded or (utterance.reported and not text.strip()):
            return
        utterance.worded = bool(text.strip())
        self._report(item_id, utterance, text, "")

    def failed(self, item_id: str) -> None:
        """There will be no words."""
        utterance = self._utterance(item_id)
        if not utterance.reported:
            self._report(item_id, utterance, "", "failed")

    def lost(self) -> None:
        """The session is gone: what it has not told of an utterance will never come."""
        utterances, self._utterances = self._utterances, {}
        for item_id, utterance in utterances.items():
            waiting = utterance.timer is not None
            utterance.stop_waiting()
            if utterance.started and not utterance.stopped:
                self._reports.to.on_speech_stopped(item_id)
                waiting = not utterance.reported
            if waiting:
                self._reports.to.on_transcript(item_id, "", "failed")

    def close(self) -> None:
        """Forget everything, timers too; report nothing."""
        for utterance in self._utterances.values():
            utterance.stop_waiting()
        self._utterances.clear()

    def _utterance(self, item_id: str) -> _Utterance:
        known = self._utterances.get(item_id)
        if known is None:
            known = self._utterances[item_id] = _Utterance()
            if len(self._utterances) > _KEPT:
                self._forget_oldest()
        return known

    def _forget_oldest(self) -> None:
        item_id = next(iter(self._utterances))
        oldest = self._utterances.pop(item_id)
        if oldest.timer is not None:
            oldest.stop_waiting()
            self._reports.to.on_transcript(item_id, "", "failed")

    def _await_words(self, item_id: str, utterance: _Utterance) -> None:
        if utterance.reported or utterance.timer is not None:
            return

        def timed_out() -> None:
            utterance.timer = None
            self._report(item_id, utterance, "", "timed_out")

        utterance.timer = self._clock.call_at(self._clock.now() + self._wait, timed_out)

    def _report(self, item_id: str, utterance: _Utterance, text: str, reason: str) -> None:
        utterance.stop_waiting()
        utterance.reported = True
        self._reports.to.on_transcript(item_id, text, reason)
