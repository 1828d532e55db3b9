"""The command as a whole: help, version, usage, and what it costs to start."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from adapters.cli import handlers
from fsm.errors import CallchartError
from tests.adapters.cli.conftest import Command

COMMANDS = ("serve", "demo", "check", "simulate", "diagram", "diff", "export", "schema", "handlers")


def test_without_a_command_the_help_is_shown_and_it_is_wrong_usage(callchart: Command) -> None:
    ran = callchart()
    assert ran.code == 2
    assert all(f"\n    {name} " in ran.err for name in COMMANDS)


def test_help_lists_every_command(callchart: Command) -> None:
    ran = callchart("--help")
    assert ran.code == 0
    assert all(f"\n    {name} " in ran.out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(callchart: Command, name: str) -> None:
    ran = callchart(name, "--help")
    assert ran.code == 0
    assert ran.out.startswith(f"usage: callchart {name}")


def test_the_version_is_the_packages(callchart: Command) -> None:
    ran = callchart("--version")
    assert (ran.code, ran.out) == (0, f"callchart {version('callchart')}\n")


@pytest.mark.parametrize("arguments", [("sing",), ("export", "voice_call", "--format", "png"), ("serve", "--loud")])
def test_wrong_usage_exits_2(callchart: Command, arguments: tuple[str, ...]) -> None:
    ran = callchart(*arguments)
    assert ran.code == 2
    assert "usage: callchart" in ran.err


def test_help_imports_nothing_heavy() -> None:
    """`callchart --help` has to answer at once, so no library is imported for it."""
    source = (
        "import sys\n"
        "from adapters.cli import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit:\n    pass\n"
        "heavy = 'pydantic fastapi starlette uvicorn websockets orjson ruamel transitions twilio asyncio'.split()\n"
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)\n"
    )
    ran = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=15, check=True)
    assert ran.stderr == "[]\n"


def test_a_chart_that_does_not_exist_is_told_with_those_that_do(callchart: Command) -> None:
    ran = callchart("export", "nowhere")
    assert ran.code == 1
    assert "there is no chart 'nowhere'" in ran.err
    assert "eager, listen, voice_call" in ran.err
    assert ran.out == ""


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = [sys.executable, "-m", "adapters", "handlers", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(timeout=15) == 0


def test_handlers_of_a_users_own_are_found_in_the_working_folder(
    callchart: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = (
        "from handlers import REGISTRY as BUNDLED\n"
        "def is_rush_hour(call, trigger):\n    '''Whether everybody calls.'''\n    return True\n"
        "REGISTRY = BUNDLED.extend(guards=(is_rush_hour,))\n"
    )
    (tmp_path / "corner_shop_handlers.py").write_text(source, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", ".")])
    monkeypatch.setenv("CALLCHART_HANDLERS", "corner_shop_handlers:REGISTRY")
    ran = callchart("handlers")
    assert ran.code == 0
    assert "is_rush_hour  Whether everybody calls." in ran.out


@pytest.mark.parametrize("named", ["nothing_there:REGISTRY", "handlers:NOTHING", "handlers:__doc__"])
def test_handlers_that_cannot_be_used_name_the_setting(
    callchart: Command, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setenv("CALLCHART_HANDLERS", named)
    ran = callchart("handlers")
    assert ran.code == 2
    assert ran.err.startswith("callchart: CALLCHART_HANDLERS: ")


@pytest.mark.parametrize(("error", "code"), [(CallchartError("no luck"), 1), (KeyboardInterrupt(), 130)])
def test_what_ends_a_command_is_an_exit_code(
    callchart: Command, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    def fails(options: object) -> int:
        raise error

    monkeypatch.setattr(handlers, "run", fails)
    ran = callchart("handlers")
    assert (ran.code, ran.out) == (code, "")
    assert ran.err == (f"callchart: {error}\n" if code == 1 else "")


@pytest.mark.parametrize("error", [ZeroDivisionError(), OSError("a socket's, without a file")])
def test_a_mistake_of_ours_is_not_hidden(callchart: Command, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fails(options: object) -> int:
        raise error

    monkeypatch.setattr(handlers, "run", fails)
    with pytest.raises(type(error)):
        callchart("handlers")
