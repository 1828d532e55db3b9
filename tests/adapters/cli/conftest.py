"""The command, called in this process or as one of its own, with nothing of the user's environment."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import pytest

from adapters.cli import main

_OURS = ("CALLCHART_", "OPENAI_", "TWILIO_", "LOG_LEVEL", "MAX_CALLS", "DRAIN_", "PORT", "NO_COLOR")


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run of the command came to."""

    code: int
    out: str
    err: str


Command: TypeAlias = Callable[..., Ran]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(_OURS):
            monkeypatch.delenv(name)


@pytest.fixture
def callchart(capsys: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """Runs the command in this process; usage errors, too, end as an exit code."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def run(*arguments: str) -> Ran:
        try:
            code = main(arguments)
        except SystemExit as left:
            code = int(left.code or 0)
        told = capsys.readouterr()
        return Ran(code, told.out, told.err)

    yield run
    root.handlers[:] = handlers
    root.setLevel(level)
