"""The session object of the Realtime API: its defaults, and how an update changes it.

Source: OpenAI, Realtime API reference, `session.update`: only named fields change; the model never does, the voice not
once the model has spoken.
"""

from __future__ import annotations

import time
from typing import Any

from adapters.simulators.realtime.shapes import Problem

__all__ = ["Session", "merged"]


def merged(whole: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Return `whole` with the named fields changed; an object of another `type` is replaced as a whole."""
    if change.get("type", whole.get("type")) != whole.get("type"):
        return change
    result = dict(whole)
    for name, value in change.items():
        old = whole.get(name)
        result[name] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


class Session:
    """One session's settings.

    Attributes:
        body: the session object as it is sent.
        number: makes the ids of this session different from those of others.
    """

    def __init__(self, number: int, model: str, lasts_s: float) -> None:
        self.number = number
        self.conversation_id = f"conv_{number}"
        self.has_spoken = False
        self.body: dict[str, Any] = {
            "type": "realtime",
            "object": "realtime.session",
            "id": f"sess_{number}",
            "model": model,
            "expires_at": int(time.time() + lasts_s),
            "output_modalities": ["audio"],
            "instructions": "Be brief.",
            "tools": [],
            "tool_choice": "auto",
            "max_output_tokens": "inf",
            "tracing": None,
            "truncation": "auto",
            "prompt": None,
            "include": None,
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": 24000},
                    "transcription": None,
                    "noise_reduction": None,
                    "turn_detection": {
                        "type": "server_vad",
                        "threshold": 0.5,
                        "prefix_padding_ms": 300,
                        "silence_duration_ms": 200,
                        "idle_timeout_ms": None,
                        "create_response": True,
                        "interrupt_response": True,
                    },
                },
                "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "alloy", "speed": 1.0},
            },
        }

    def refuses(self, asked: dict[str, Any]) -> Problem | None:
        """Return why an update, well formed, is not accepted."""
        if asked["type"] != self.body["type"]:
            return Problem("invalid_value", "session.type", "A session's type cannot be changed.")
        if asked.get("model", self.body["model"]) != self.body["model"]:
            return Problem("invalid_value", "session.model", "The model of a session cannot be changed.")
        voice = asked.get("audio", {}).get("output", {}).get("voice", self.voice)
        if voice != self.voice and self.has_spoken:
            message = "Cannot update a conversation's voice if assistant audio is present."
            return Problem("cannot_update_voice", "session.audio.output.voice", message)
        return None

    @property
    def input_format(self) -> str:
        return str(self.body["audio"]["input"]["format"]["type"])

    @property
    def turn_detection(self) -> dict[str, Any] | None:
        settings: dict[str, Any] | None = self.body["audio"]["input"]["turn_detection"]
        return settings

    @property
    def transcribes(self) -> bool:
        return self.body["audio"]["input"]["transcription"] is not None

    @property
    def voice(self) -> Any:
        return self.body["audio"]["output"]["voice"]

    def output_format(self, asked: dict[str, Any]) -> str:
        """Return the format of the response that is asked for."""
        own = self.body["audio"]["output"]["format"]
        return str(asked.get("audio", {}).get("output", {}).get("format", own)["type"])
