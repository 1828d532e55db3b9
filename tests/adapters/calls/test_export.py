"""What was said as files: each readable by those who know the format, whatever was said."""

from __future__ import annotations

import re

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.calls.contract import TranscriptLine
from adapters.calls.export import Format, export, file_name

_BEGAN = 1_777_888_800.0
_SAID = (
    TranscriptLine(role="caller", text="Where is my order?", at=_BEGAN + 3, start_ms=1000, end_ms=2500),
    TranscriptLine(
        role="assistant", text="On its\n\nway", at=_BEGAN + 6, start_ms=3_723_004, end_ms=3_724_000, interrupted=True
    ),
    TranscriptLine(role="tool_call", text='{"id": 7}', tool="order", at=_BEGAN + 6),
)


def file(*lines: TranscriptLine, form: Format, began: float = _BEGAN) -> str:
    return export(lines, form, call_id="CA1", began=began).decode()


def test_json_has_lines_with_times_of_day() -> None:
    said = orjson.loads(file(*_SAID, form="json"))

    assert said["call_id"] == "CA1"
    assert [line["at"] for line in said["lines"]][:2] == ["2026-05-04T10:00:03.000Z", "2026-05-04T10:00:06.000Z"]


def test_json_lines_have_a_line_each() -> None:
    lines = file(*_SAID, form="jsonl").splitlines()

    assert [orjson.loads(line)["role"] for line in lines] == ["caller", "assistant", "tool_call"]


def test_text_has_a_line_each_with_its_time_if_that_is_known() -> None:
    assert file(*_SAID, form="txt") == (
        "[00:00:01.000] caller: Where is my order?\n"
        "[01:02:03.004] assistant: On its way (interrupted)\n"
        'tool_call order: {"id": 7}\n'
    )


def test_captions_have_a_cue_for_each_line() -> None:
    assert file(*_SAID[:2], form="vtt") == (
        "WEBVTT\n\n"
        "1\n00:00:01.000 --> 00:00:02.500\n<v caller>Where is my order?\n\n"
        "2\n01:02:03.004 --> 01:02:04.000\n<v assistant>On its way\n"
    )


def test_captions_say_which_times_are_estimated() -> None:
    known = TranscriptLine(role="caller", text="First", at=_BEGAN + 2, start_ms=1000, end_ms=2000)
    unknown = TranscriptLine(role="caller", text="Then", at=_BEGAN + 10)

    text = file(known, unknown, form="vtt")

    assert "NOTE\nTimes of cues marked (estimated) were not measured" in text
    assert "2 (estimated)\n00:00:09.000 --> 00:00:10.000\n<v caller>Then" in text


def test_captions_are_in_order_even_where_speakers_overlap() -> None:
    early = TranscriptLine(role="caller", text="early", start_ms=1000, end_ms=9000)
    late = TranscriptLine(role="assistant", text="late", start_ms=500, end_ms=800)

    assert file(early, late, form="vtt").index("late") < file(early, late, form="vtt").index("early")


def test_captions_hold_nothing_that_looks_like_captions() -> None:
    text = file(
        TranscriptLine(role="caller", text="<b>\r\n\r\n1\n00:00:00.000 --> 00:00:01.000 & \x00", start_ms=0), form="vtt"
    )

    assert "<v caller>&lt;b&gt; 1 00:00:00.000 --&gt; 00:00:01.000 &amp; \ufffd\n" in text


def test_nothing_said_is_an_empty_file_of_its_kind() -> None:
    assert [file(form=form) for form in ("txt", "jsonl", "vtt")] == ["", "", "WEBVTT\n"]


_TIMES = re.compile(r"(\d{2,}:\d\d:\d\d\.\d{3}) --> (\d{2,}:\d\d:\d\d\.\d{3})")
_LINES = st.lists(
    st.builds(
        TranscriptLine,
        role=st.sampled_from(["caller", "assistant", "segment"]),
        text=st.text(max_size=30),
        at=st.sampled_from([0.0, _BEGAN - 5, _BEGAN + 1, _BEGAN + 3600]),
        start_ms=st.none() | st.integers(0, 10_000_000),
        end_ms=st.none() | st.integers(0, 10_000_000),
    ),
    max_size=6,
)


@given(_LINES, st.sampled_from([0.0, _BEGAN]))
def test_captions_are_well_formed_whatever_was_said(lines: list[TranscriptLine], began: float) -> None:
    blocks = file(*lines, form="vtt", began=began).rstrip("\n").split("\n\n")
    cues = [block.split("\n") for block in blocks if not block.startswith(("WEBVTT", "NOTE"))]
    starts = [cue[1].split(" --> ")[0] for cue in cues]

    assert blocks[0] == "WEBVTT"
    assert len(cues) == sum(bool(line.text.strip()) for line in lines)
    assert all(
        len(cue) == 3 and re.fullmatch(r"(\d{2,}:\d\d:\d\d\.\d{3}) --> (\d{2,}:\d\d:\d\d\.\d{3})", cue[1])
        for cue in cues
    )
    assert starts == sorted(starts)
    assert all(cue[1].split(" --> ")[0] < cue[1].split(" --> ")[1] for cue in cues)


@pytest.mark.parametrize(
    ("call_id", "name"),
    [
        ("CA1", "call-CA1.vtt"),
        ('../x"\r\n', "call-___x___.vtt"),
        ("x" * 200, f"call-{'x' * 80}.vtt"),
        ("é", "call-_.vtt"),
    ],
)
def test_name_of_a_file_is_safe(call_id: str, name: str) -> None:
    assert file_name(call_id, "vtt") == name
