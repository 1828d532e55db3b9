"""The stereo recording of a call."""

from __future__ import annotations

import base64
import wave
from array import array
from pathlib import Path

import pytest

from adapters.carriers.contract import MediaFormat
from adapters.media.recorder import CallRecorder
from tests.adapters.media.fakes import Call, FakeLeg, elapse, pcmu

PCMU = MediaFormat("pcmu", 8000)
LOUD = 0x10


def _sides(path: Path) -> tuple[array[int], array[int]]:
    with wave.open(str(path), "rb") as recording:
        assert (recording.getnchannels(), recording.getsampwidth()) == (2, 2)
        both = array("h", recording.readframes(recording.getnframes()))
    return both[0::2], both[1::2]


def _spans(side: array[int], rate: int = 8000) -> list[tuple[int, int]]:
    """Where sound is, in milliseconds."""
    spans: list[tuple[int, int]] = []
    for ms in range(0, len(side) * 1000 // rate):
        sound = any(side[ms * rate // 1000 : (ms + 1) * rate // 1000])
        if sound and spans and spans[-1][1] == ms:
            spans[-1] = (spans[-1][0], ms + 1)
        elif sound:
            spans.append((ms, ms + 1))
    return spans


async def test_caller_is_left_and_what_the_caller_heard_is_right(tmp_path: Path) -> None:
    recorder = CallRecorder(tmp_path / "call.wav")
    call = Call(recorder=recorder).connect()
    await elapse(0.5)
    call.ask()
    call.client.speak(1000)
    await elapse(0.2)
    call.caller.on_audio(pcmu(20), 700)
    await elapse(0.1)
    call.line.media.interrupt()
    await elapse(1.0)
    await call.line.aclose()
    left, right = _sides(tmp_path / "call.wav")

    assert len(left) == len(right) == 8 * 1800
    assert _spans(left) == [(680, 700)]
    assert _spans(right) == [(500, 800)]


async def test_frames_that_jitter_are_joined(tmp_path: Path) -> None:
    recorder = CallRecorder(tmp_path / "call.wav")
    recorder.start(PCMU, 100.0)
    recorder.caller(pcmu(20), 100.02)
    recorder.caller(pcmu(20), 100.09)
    recorder.caller(pcmu(20), 100.09)
    recorder.close(101.0)

    left, right = _sides(tmp_path / "call.wav")
    assert _spans(left) == [(0, 60)]
    assert len(right) == 8000


async def test_long_recordings_are_written_as_they_come(tmp_path: Path) -> None:
    recorder = CallRecorder(tmp_path / "call.wav")
    recorder.start(PCMU, 0.0)
    for second in range(60):
        recorder.caller(pcmu(1000), second + 1.0)
    written = (tmp_path / "call.wav").stat().st_size
    recorder.close(60.0)
    left, _ = _sides(tmp_path / "call.wav")

    assert written > 50 * 32_000
    assert _spans(left) == [(0, 60_000)]


async def test_recording_that_never_began_makes_no_file(tmp_path: Path) -> None:
    recorder = CallRecorder(tmp_path / "call.wav")
    recorder.caller(pcmu(20), 1.0)
    recorder.heard(pcmu(20), 20.0, 1.0)
    recorder.close(2.0)

    assert not recorder.path.exists()


async def test_recording_goes_on_over_a_second_socket(tmp_path: Path) -> None:
    recorder = CallRecorder(tmp_path / "call.wav")
    call = Call(recorder=recorder).connect()
    call.caller.on_audio(pcmu(20), 0)
    await elapse(1.0)
    call.leg = call.offer(FakeLeg("MZ2"))
    call.line.carrier.attach()
    call.caller.on_audio(pcmu(20), 0)
    await call.line.aclose()
    await call.line.aclose()
    left, _ = _sides(tmp_path / "call.wav")

    assert _spans(left) == [(0, 20), (980, 1000)]


@pytest.mark.parametrize(
    ("media_format", "audio"),
    [
        (MediaFormat("pcma", 8000), b"\xaa" * 160),
        (MediaFormat("pcm16", 8000), b"\x00\x7e" * 160 + b"\x00"),
    ],
    ids=["a-law", "linear"],
)
async def test_other_formats_are_recorded_as_samples(tmp_path: Path, media_format: MediaFormat, audio: bytes) -> None:
    recorder = CallRecorder(tmp_path / "call.wav")
    recorder.start(media_format, 0.0)
    recorder.caller(base64.b64encode(audio).decode(), 0.02)
    recorder.close(0.02)
    left, _ = _sides(tmp_path / "call.wav")

    assert set(left) == {32256}
    assert len(left) == 160
