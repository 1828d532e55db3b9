"""How the simulated model hears: the three wire formats, and a detector of speech by loudness.

Source: OpenAI, Realtime API reference, `turn_detection` and `input_audio_buffer.speech_started / .speech_stopped`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from adapters.simulators.audio import alaw_to_mulaw, loudness, mulaw_to_alaw, mulaw_to_pcm24k, pcm_loudness

__all__ = ["Detector", "Edge", "bytes_per_ms", "encoded"]

_WINDOW_MS = 20
_ONSET_MS = 40  # a click is not speech
_LOUD = 600.0  # root mean square of 32768 at which a threshold of 1 is passed
_PATIENCE_MS = {"low": 1200, "medium": 700, "auto": 700, "high": 400}  # stand-ins for a model's judgement


def bytes_per_ms(audio_format: str) -> int:
    """Return how many bytes one millisecond has in `audio/pcm` (24 kHz), `audio/pcmu` or `audio/pcma`."""
    return 48 if audio_format == "audio/pcm" else 8


def encoded(sound: bytes, audio_format: str) -> bytes:
    """Return mu-law `sound` in one of the three formats."""
    match audio_format:
        case "audio/pcmu":
            return sound
        case "audio/pcma":
            return mulaw_to_alaw(sound)
        case _:
            return mulaw_to_pcm24k(sound)


@dataclass(frozen=True, slots=True)
class Edge:
    """Speech began or ended, in milliseconds of audio appended in the session."""

    kind: Literal["started", "stopped"]
    at_ms: int


class Detector:
    """Finds the caller's utterances in the audio that is appended.

    Attributes:
        heard_ms: how much audio was appended in the session.
    """

    def __init__(self) -> None:
        self.heard_ms = 0
        self._rest = b""
        self._loud_ms = 0
        self._quiet_ms = 0
        self._speaking = False

    def forget(self) -> None:
        """Drop what may have been the beginning of an utterance."""
        self._rest, self._loud_ms, self._quiet_ms, self._speaking = b"", 0, 0, False

    def hear(self, sound: bytes, audio_format: str, settings: Mapping[str, Any] | None) -> Iterator[Edge]:
        """Add audio; yield the edges in it. Without `settings` (turn detection off) there are none."""
        self._rest += sound
        size = bytes_per_ms(audio_format) * _WINDOW_MS
        while len(self._rest) >= size:
            window, self._rest = self._rest[:size], self._rest[size:]
            self.heard_ms += _WINDOW_MS
            if settings is not None:
                yield from self._judge(_level(window, audio_format), settings)

    def _judge(self, level: float, settings: Mapping[str, Any]) -> Iterator[Edge]:
        if level >= _LOUD * settings.get("threshold", 0.5):
            self._loud_ms, self._quiet_ms = self._loud_ms + _WINDOW_MS, 0
        else:
            self._loud_ms, self._quiet_ms = 0, self._quiet_ms + _WINDOW_MS
        if not self._speaking and self._loud_ms >= _ONSET_MS:
            self._speaking = True
            began = self.heard_ms - self._loud_ms - settings.get("prefix_padding_ms", 300)
            yield Edge("started", max(0, began))
        elif self._speaking and self._quiet_ms >= _patience_ms(settings):
            self._speaking = False
            yield Edge("stopped", self.heard_ms)


def _patience_ms(settings: Mapping[str, Any]) -> int:
    if settings["type"] == "semantic_vad":
        return _PATIENCE_MS[settings.get("eagerness", "auto")]
    patience: int = settings.get("silence_duration_ms", 500)
    return patience


def _level(window: bytes, audio_format: str) -> float:
    match audio_format:
        case "audio/pcmu":
            return loudness(window)
        case "audio/pcma":
            return loudness(alaw_to_mulaw(window))
        case _:
            return pcm_loudness(window)
