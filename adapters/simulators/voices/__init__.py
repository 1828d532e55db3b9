"""What the simulated caller and the simulated model say: recorded clips, and a stand-in for every other text.

The clips are mu-law at 8 kHz, rendered with espeak-ng; `clips.json` names the words of each. The two voices differ.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Literal, TypeAlias

from adapters.simulators.audio import synthesise

__all__ = ["Voice", "spoken", "words"]

Voice: TypeAlias = Literal["caller", "model"]
_PITCH_HZ: dict[Voice, float] = {"caller": 210.0, "model": 120.0}


def spoken(text: str, voice: Voice) -> bytes:
    """Return `text` spoken, as mu-law at 8 kHz; a text that was not recorded gets about 60 ms a character."""
    clip = _clips().get(f"{voice}: {words(text)}")
    if clip is None:
        return synthesise(text, pitch_hz=_PITCH_HZ[voice])
    return (files(__name__) / clip).read_bytes()


def words(text: str) -> str:
    """Return the words of `text` alone: small letters and digits, one space between."""
    return " ".join("".join(letter if letter.isalnum() else " " for letter in text.lower().replace("'", "")).split())


@cache
def _clips() -> dict[str, str]:
    clips: dict[str, str] = json.loads((files(__name__) / "clips.json").read_text("utf-8"))
    return clips
