"""`callchart simulate` and files that are not what they should be, byte by byte."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from adapters.cli import main

CREATED = '{"trace": [{"state": "created", "actions": []}]}\n'


def test_a_line_that_is_not_utf_8_is_named_and_those_before_it_are_answered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "cases.jsonl"
    file.write_bytes(b'[]\n[]\n[{"event": "call.\xff"}]\n[]\n')

    assert main(["simulate", "voice_call", "--events", str(file), "--json"]) == 2

    out, err = capsys.readouterr()
    assert out == CREATED * 2
    assert err.startswith(f"callchart: {file}: line 3: not JSON: ")


def test_only_a_newline_ends_a_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    text = '[]\r\n[\r]\n[{"event": "call.dtmf", "data": {"digits": "1\u2028\x85"}}]\n'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    assert main(["simulate", "voice_call", "--events", "-", "--json"]) == 0

    assert capsys.readouterr().out.count("\n") == 3
