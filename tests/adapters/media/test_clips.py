"""Bundled audio, its formats, and the arithmetic of base64 audio."""

from __future__ import annotations

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.carriers.contract import MediaFormat
from adapters.media.clips import BUNDLED, Clips
from adapters.media.g711 import alaw_from_ulaw, linear_from_alaw, linear_from_ulaw
from adapters.media.pieces import duration_ms, silence, split
from fsm.errors import PortError

PCMU = MediaFormat("pcmu", 8000)


@pytest.mark.parametrize("language", ["en", "hi", "sw"])
@pytest.mark.parametrize("clip", ["apology", "busy", "hold", "goodbye"])
def test_every_clip_is_there_in_every_language_and_short_enough(clip: str, language: str) -> None:
    audio = (BUNDLED / language / f"{clip}.ulaw").read_bytes()

    assert 1000 < len(audio) / 8 < 3500
    assert len(set(audio)) > 50


@pytest.mark.parametrize(
    ("language", "folder"),
    [("hi", "hi"), ("hi-IN", "hi"), ("sw_KE", "sw"), ("EN-us", "en"), ("tlh", "en"), ("", "en"), ("../sw", "en")],
)
def test_language_is_found_with_its_region_and_english_otherwise(language: str, folder: str) -> None:
    expected = (BUNDLED / folder / "hold.ulaw").read_bytes()

    assert base64.b64decode(Clips().payload("hold", language, PCMU)) == expected


def test_unknown_clip_is_an_error_of_the_carrier() -> None:
    with pytest.raises(PortError, match="'jingle'"):
        Clips().payload("jingle", "en", PCMU)


def test_clip_is_read_once() -> None:
    clips = Clips()

    assert clips.payload("hold", "en", PCMU) is clips.payload("hold", "en", PCMU)


@pytest.mark.parametrize("rate", [8000, 16000, 24000])
def test_clip_in_linear_samples_lasts_as_long(rate: int) -> None:
    payload = Clips().payload("hold", "en", MediaFormat("pcm16", rate))

    assert duration_ms(payload, MediaFormat("pcm16", rate)) == pytest.approx(12916 / 8)


def test_clip_at_a_rate_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(PortError, match="11025"):
        Clips().payload("hold", "en", MediaFormat("pcm16", 11025))


def test_clip_in_a_law_sounds_the_same() -> None:
    ulaw = (BUNDLED / "en" / "hold.ulaw").read_bytes()
    alaw = base64.b64decode(Clips().payload("hold", "en", MediaFormat("pcma", 8000)))

    pairs = zip(linear_from_ulaw(ulaw), linear_from_alaw(alaw), strict=True)
    assert all(abs(u - a) <= max(8, abs(u) // 16) for u, a in pairs)


@pytest.mark.parametrize(
    ("code", "sample"), [(0xFF, 0), (0x7F, 0), (0x80, 32124), (0x00, -32124), (0xEF, 132), (0x8F, 16764)]
)
def test_mu_law_code_words_of_the_recommendation(code: int, sample: int) -> None:
    assert linear_from_ulaw(bytes([code]))[0] == sample


@pytest.mark.parametrize(("code", "sample"), [(0xD5, 8), (0x55, -8), (0xAA, 32256), (0x2A, -32256), (0xC5, 264)])
def test_a_law_code_words_of_the_recommendation(code: int, sample: int) -> None:
    assert linear_from_alaw(bytes([code]))[0] == sample


def test_silence_of_mu_law_is_silence_of_a_law() -> None:
    assert linear_from_alaw(alaw_from_ulaw(b"\xff"))[0] in (8, -8)


@pytest.mark.parametrize(
    ("encoding", "rate", "expected"),
    [("pcmu", 8000, b"\xff" * 160), ("pcma", 8000, b"\xd5" * 160), ("pcm16", 24000, bytes(960))],
)
def test_silence_is_the_formats_own(encoding: str, rate: int, expected: bytes) -> None:
    assert base64.b64decode(silence(20, MediaFormat(encoding, rate))) == expected


FORMATS = st.sampled_from([PCMU, MediaFormat("pcma", 8000), *(MediaFormat("pcm16", r) for r in (8000, 16000, 24000))])


@given(st.binary(max_size=10_000), FORMATS)
def test_pieces_are_short_whole_samples_and_together_the_whole(audio: bytes, media_format: MediaFormat) -> None:
    payload = base64.b64encode(audio).decode()
    pieces = list(split(payload, media_format))

    assert b"".join(base64.b64decode(piece) for piece, _ in pieces) == audio
    assert all(ms <= 60 for _, ms in pieces)
    assert all(len(base64.b64decode(piece)) % 2 == 0 for piece, _ in pieces[:-1])
    assert sum(ms for _, ms in pieces) == pytest.approx(len(audio) / media_format.bytes_per_ms)
    assert duration_ms(payload, media_format) == pytest.approx(len(audio) / media_format.bytes_per_ms)


def test_linear_samples_are_little_endian() -> None:
    payload = Clips().payload("hold", "en", MediaFormat("pcm16", 8000))
    ulaw = (BUNDLED / "en" / "hold.ulaw").read_bytes()

    assert struct.unpack(f"<{len(ulaw)}h", base64.b64decode(payload)) == tuple(linear_from_ulaw(ulaw))
