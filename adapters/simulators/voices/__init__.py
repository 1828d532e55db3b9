"""What the simulated caller and the simulated model say: recorded clips, and a stand-in for every other text.

The clips are mu-law at 8 kHz. `clips.json` lists their texts, `render.py` makes them. The two voices differ.
"""

from __future__ import annotations

import json
import zlib
from functools import cache
from importlib.resources import files
from typing import Literal, TypeAlias

from adapters.simulators.audio import synthesise

__all__ = ["Voice", "clip_name", "recorded", "spoken", "words"]

Voice: TypeAlias = Literal["caller", "model"]
_PITCH_HZ: dict[Voice, float] = {"caller": 210.0, "model": 120.0}


def spoken(text: str, voice: Voice) -> bytes:
    """Return `text` spoken, as mu-law at 8 kHz; a text that was not recorded gets about 60 ms a character."""
    if words(text) in recorded()[voice]:
        return (files(__name__) / clip_name(text, voice)).read_bytes()
    return synthesise(text, pitch_hz=_PITCH_HZ[voice])


def words(text: str) -> str:
    """Return the words of `text` alone: small letters and digits, one space between."""
    return " ".join("".join(letter if letter.isalnum() else " " for letter in text.lower().replace("'", "")).split())


def clip_name(text: str, voice: Voice) -> str:
    """Return the name of the file with this text: its first words, and a sum over all of them."""
    known = words(text)
    return f"{voice}-{'-'.join(known.split()[:5])}-{zlib.crc32(known.encode()):08x}.ulaw"


@cache
def recorded() -> dict[Voice, dict[str, str]]:
    """Return the texts that were recorded, by voice and words."""
    texts: dict[Voice, list[str]] = json.loads((files(__name__) / "clips.json").read_text("utf-8"))
    return {voice: {words(text): text for text in texts[voice]} for voice in texts}
