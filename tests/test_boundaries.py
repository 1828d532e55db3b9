"""What each part may know of the others, read from its source: handlers, the machine, and its pure core."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fsm.compile import compile_chart
from fsm.load import load_chart
from handlers import REGISTRY

ROOT = Path(__file__).parents[1]
HANDLERS = sorted((ROOT / "handlers").glob("**/*.py"))
MACHINE = sorted((ROOT / "fsm").glob("**/*.py"))
STATES = {node.name for node in compile_chart(load_chart("voice_call", registry=REGISTRY), REGISTRY).nodes}
ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "read_settings", "read_text", "__import__"}
IMPURE = {"asyncio", "time", "datetime", "random", "secrets", "uuid", "os", "logging", "threading", "socket"}


def imports(source: Path) -> Iterator[str]:
    """Yield every module that is imported, wherever: at the top, in a function, for types only."""
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source}: a relative import"
            yield node.module or ""


def packages(source: Path) -> set[str]:
    return {module.partition(".")[0] for module in imports(source)}


def parsed(source: Path) -> ast.Module:
    return ast.parse(source.read_text(encoding="utf-8"))


def called(tree: ast.AST) -> set[str]:
    """Return the last part of every name that is used."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return names | {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def words(tree: ast.AST) -> set[str]:
    """Return every text of the code but for its docstrings."""
    docs = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docs)
    return {node.value for node in constants if isinstance(node.value, str)}


def compared_with_the_state(tree: ast.AST) -> list[int]:
    """Return the lines that ask for `.state` or `.snapshot`: where a call stands is the chart's to know."""
    return [n.lineno for n in ast.walk(tree) if isinstance(n, ast.Attribute) and n.attr in ("state", "snapshot")]


def test_there_are_handlers_and_states_to_look_at() -> None:
    assert len(HANDLERS) > 5
    assert len(MACHINE) > 20
    assert {"created", "live", "listening", "closed"} <= STATES


@pytest.mark.parametrize("source", HANDLERS, ids=lambda path: path.name)
def test_handlers_import_the_machine_and_the_standard_library_only(source: Path) -> None:
    assert packages(source) <= {"fsm", "handlers"} | sys.stdlib_module_names


@pytest.mark.parametrize("source", HANDLERS, ids=lambda path: path.name)
def test_handlers_name_no_state(source: Path) -> None:
    tree = parsed(source)

    # A bot's agents, and purposes of replies, have names of their own: only what asks for a state can mean one.
    assert compared_with_the_state(tree) == []
    assert words(tree) & (STATES - {"greeting"}) == set()


@pytest.mark.parametrize("source", HANDLERS, ids=lambda path: path.name)
def test_handlers_read_no_environment_and_no_file(source: Path) -> None:
    tree = parsed(source)

    assert called(tree) & ENVIRONMENT == set()
    assert [n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "open"] == []
    assert packages(source).isdisjoint({"os", "sys", "dotenv", "socket", "subprocess"})


@pytest.mark.parametrize("source", MACHINE, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_machine_imports_nothing_else(source: Path) -> None:
    assert packages(source) <= {"fsm", "pydantic", "transitions", "ruamel"} | sys.stdlib_module_names


@pytest.mark.parametrize("name", ["step.py", "context.py", "history.py", "carried.py", "triggers.py"])
def test_a_step_has_no_clock_log_random_or_environment(name: str) -> None:
    source = ROOT / "fsm" / name
    waits = (ast.Await, ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith)

    assert packages(source) & IMPURE <= {"asyncio"}
    assert [node for node in ast.walk(parsed(source)) if isinstance(node, waits)] == []
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "asyncio":
            assert [alias.name for alias in node.names] == ["CancelledError"]
        assert not (isinstance(node, ast.Import) and node.names[0].name == "asyncio")


@pytest.mark.parametrize("name", ["guards.py", "reducers.py"])
def test_what_runs_inside_a_step_has_none_either(name: str) -> None:
    source = ROOT / "handlers" / name

    assert packages(source).isdisjoint(IMPURE)
    assert [node for node in ast.walk(parsed(source)) if isinstance(node, ast.AsyncFunctionDef | ast.Await)] == []


def test_all_calls_share_one_machine_without_models() -> None:
    machine = compile_chart(load_chart("voice_call", registry=REGISTRY), REGISTRY)

    assert machine.declared.models == []
    assert [source for source in MACHINE if "add_model" in called(parsed(source))] == []
    assert not any("AsyncMachine" in called(parsed(source)) for source in MACHINE)
