"""Base64 audio by the millisecond: how long it is, how it is cut, what silence looks like. Nothing is decoded.

Four base64 characters are three bytes (RFC 4648 section 4), so a payload can be cut at any multiple of four
characters and each piece is base64 again.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator

from adapters.carriers.contract import MediaFormat

__all__ = ["PIECE_MS", "duration_ms", "silence", "split"]

PIECE_MS = 60
"""The longest piece that is sent between two marks: how far apart told and heard may be."""
_SILENT_BYTE = {"pcmu": 0xFF, "pcma": 0xD5, "pcm16": 0x00}  # ITU-T G.711: the code word nearest to zero


def duration_ms(payload: str, media_format: MediaFormat) -> float:
    """Return how long `payload` plays, in milliseconds."""
    size = len(payload) // 4 * 3
    if payload.endswith("="):
        size -= 2 if payload.endswith("==") else 1
    return size / media_format.bytes_per_ms


def split(payload: str, media_format: MediaFormat) -> Iterator[tuple[str, float]]:
    """Cut `payload` into pieces of at most `PIECE_MS`, with each one's milliseconds.

    Six bytes are the smallest unit that is both whole samples and whole base64.
    """
    step = PIECE_MS * media_format.bytes_per_ms // 6 * 8
    for start in range(0, len(payload), step):
        piece = payload[start : start + step]
        yield piece, duration_ms(piece, media_format)


def silence(milliseconds: int, media_format: MediaFormat) -> str:
    """Return base64 silence."""
    return base64.b64encode(
        bytes((_SILENT_BYTE[media_format.encoding],)) * (milliseconds * media_format.bytes_per_ms)
    ).decode()
