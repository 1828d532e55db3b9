"""G.711 code words and linear samples, as tables. Pure. (ITU-T Recommendation G.711, tables 1a and 2a.)"""

from __future__ import annotations

from array import array
from functools import cache

__all__ = ["alaw_from_ulaw", "linear_from_alaw", "linear_from_ulaw"]


def _ulaw_sample(code: int) -> int:
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)
    return 0x84 - magnitude if code & 0x80 else magnitude - 0x84


def _alaw_sample(code: int) -> int:
    code ^= 0x55
    segment = (code & 0x70) >> 4
    magnitude = ((code & 0x0F) << 4) + 8
    if segment:
        magnitude = (magnitude + 0x100) << (segment - 1)
    return magnitude if code & 0x80 else -magnitude


_ULAW = tuple(_ulaw_sample(code) for code in range(256))
_ALAW = tuple(_alaw_sample(code) for code in range(256))


def linear_from_ulaw(ulaw: bytes) -> array[int]:
    """Return 16-bit samples."""
    return array("h", map(_ULAW.__getitem__, ulaw))


def linear_from_alaw(alaw: bytes) -> array[int]:
    """Return 16-bit samples."""
    return array("h", map(_ALAW.__getitem__, alaw))


def alaw_from_ulaw(ulaw: bytes) -> bytes:
    """Return the A-law code words nearest to `ulaw`."""
    return ulaw.translate(_nearest_alaw())


@cache
def _nearest_alaw() -> bytes:
    return bytes(min(range(256), key=lambda a: abs(_ALAW[a] - _ULAW[u])) for u in range(256))
