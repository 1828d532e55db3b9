"""What was said in a call, as files that other programs read: JSON, JSON lines, text and WebVTT. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal, NamedTuple, TypeAlias, assert_never

import orjson

from adapters.calls.contract import TranscriptLine
from fsm.document import iso

__all__ = ["MEDIA_TYPES", "Format", "export", "file_name", "line_json"]

Format: TypeAlias = Literal["json", "txt", "vtt", "jsonl"]
MEDIA_TYPES: Mapping[Format, str] = {
    "json": "application/json",
    "txt": "text/plain; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
    "jsonl": "application/x-ndjson",
}
_MS_A_CHARACTER = 65  # about 15 characters are spoken in a second
_SHORTEST_MS = 1000
_ESTIMATED = (
    "NOTE\nTimes of cues marked (estimated) were not measured: they follow from when the text came, and its length."
)


class _Cue(NamedTuple):
    start_ms: int
    end_ms: int
    estimated: bool
    line: TranscriptLine


def export(lines: Sequence[TranscriptLine], form: Format, *, call_id: str, began: float = 0.0) -> bytes:
    """Return what was said, in one of the formats.

    Args:
        lines: in order.
        began: when the call was created, seconds since the epoch; 0: not known.
    """
    match form:
        case "json":
            return orjson.dumps({"call_id": call_id, "lines": [line_json(line) for line in lines]})
        case "jsonl":
            return b"".join(orjson.dumps(line_json(line)) + b"\n" for line in lines)
        case "txt":
            return "".join(_text(line) for line in lines).encode("utf-8", "replace")
        case "vtt":
            return _vtt(lines, began).encode("utf-8", "replace")
        case _:
            assert_never(form)


def line_json(line: TranscriptLine) -> dict[str, Any]:
    """Return a line as it is shown: `at` in ISO 8601, UTC."""
    return {**asdict(line), "at": iso(line.at)}


def file_name(call_id: str, form: Format) -> str:
    """Return a name of a file that is safe everywhere, whatever the id."""
    return f"call-{re.sub(r'[^A-Za-z0-9_-]', '_', call_id)[:80]}.{form}"


def _text(line: TranscriptLine) -> str:
    """Return a line of text; what was said stays on it."""
    when = "" if line.start_ms is None else f"[{_clock(line.start_ms)}] "
    tool = f" {line.tool}" if line.tool else ""
    cut = " (interrupted)" if line.interrupted else ""
    return f"{when}{line.role}{tool}: {_on_one_line(line.text)}{cut}\n"


def _vtt(lines: Sequence[TranscriptLine], began: float) -> str:
    cues = sorted(_cues(lines, began), key=lambda cue: cue.start_ms)  # WebVTT section 4.1: in order of their start
    blocks = ["WEBVTT", *([_ESTIMATED] if any(cue.estimated for cue in cues) else [])]
    for number, cue in enumerate(cues, 1):
        name = f"{number} (estimated)" if cue.estimated else str(number)
        times = f"{_clock(cue.start_ms)} --> {_clock(cue.end_ms)}"
        blocks.append(f"{name}\n{times}\n<v {_voice(cue.line)}>{_escaped(cue.line.text)}")
    return "\n\n".join(blocks) + "\n"


def _cues(lines: Sequence[TranscriptLine], began: float) -> Iterator[_Cue]:
    """Yield when each line was said. One without a time came to an end when it was known, and after those before it."""
    before = 0
    for line in lines:
        if not line.text.strip():
            continue
        length = max(_SHORTEST_MS, len(line.text) * _MS_A_CHARACTER)
        start, end = line.start_ms, line.end_ms
        if start is None:
            known = round((line.at - began) * 1000) if began and line.at else before
            start = max(before, (known if end is None else end) - length, 0)
        estimated = line.start_ms is None or end is None
        end = start + length if end is None else end
        yield _Cue(start, max(end, start + 1), estimated, line)
        before = max(before, start)


def _clock(ms: int) -> str:
    seconds, ms = divmod(max(0, ms), 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{ms:03}"


def _voice(line: TranscriptLine) -> str:
    return re.sub(r"[\s&<>]+", " ", line.role).strip() or "unknown"


def _escaped(text: str) -> str:
    """Return text as a cue may have it: no empty line, nothing that looks like a tag or an arrow."""
    return _on_one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _on_one_line(text: str) -> str:
    return " ".join(text.replace("\x00", "\ufffd").split())
