"""What the project says about itself is so: its commands, settings, examples and locks."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from adapters.settings import Settings, read_settings
from fsm.bots import load_bots
from fsm.compile import compile_chart
from fsm.lint import lint
from fsm.load import load_chart
from fsm.registry import Registry
from fsm.schema import chart_schema
from fsm.simulate import simulate

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
COMMITTED = subprocess.run(
    ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
).stdout.split("\0")[:-1]
"""Empty where the project did not come by git, or git does not trust the folder."""
by_git = pytest.mark.skipif(not COMMITTED, reason="git does not list the project's files here")


def texts() -> dict[str, str]:
    """Return every committed text file by its name."""
    found = {}
    for name in COMMITTED:
        content = (ROOT / name).read_bytes() if (ROOT / name).is_file() else b"\0"
        if b"\0" not in content and Path(name).suffix not in (".ulaw", ".wav"):
            found[name] = content.decode("utf-8")
    return found


def blocks(language: str) -> list[str]:
    """Return the README's examples in `language`, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))


def example_settings() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_make_target_that_is_told_of_exists(page: str) -> None:
    told = set(
        re.findall(r"\bmake ([a-z]+)", " ".join(re.findall(r"`make [^`]*`|^    make .*$", texts_of(page), re.M)))
    )

    assert told
    assert told <= targets()


def texts_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def test_every_command_of_the_readme_is_one() -> None:
    from adapters.cli import _COMMANDS

    told = set(re.findall(r"\| `callchart ([a-z]+)", README))

    assert told == set(_COMMANDS)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/api.md", "docs/live.md", "docs/operations.md"])
def test_every_link_of_a_page_leads_to_a_file(page: str) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", texts_of(page))

    assert [link for link in links if not (ROOT / page).parent.joinpath(link).exists()] == []


@pytest.mark.parametrize("page", ["docs/api.md", "docs/operations.md"])
def test_every_setting_of_a_page_is_one(page: str) -> None:
    named = set(re.findall(r"`((?:[A-Z]+_)+[A-Z]+)[=`]", texts_of(page))) | {"RETENTION"}

    assert named - set(example_settings()) - {"REDIS_"} == set()


def test_every_file_that_a_page_names_exists() -> None:
    named = re.findall(
        r"`((?:fsm|handlers|adapters|tests|diagrams)/[\w/]+\.\w+)`", README + texts_of("CONTRIBUTING.md")
    )

    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_readme_shows_the_chart_as_it_is() -> None:
    excerpt = blocks("yaml")[0]

    assert excerpt in (ROOT / "fsm/charts/voice_call.yaml").read_text(encoding="utf-8")


def readers_files(folder: Path) -> Registry:
    """Write the README's chart and bots file as a reader would save them; return the registry of its `shop.py`."""
    _, chart, bots = blocks("yaml")
    (folder / "shop_call.yaml").write_text(chart, encoding="utf-8")
    (folder / "bots.yaml").write_text(bots, encoding="utf-8")
    namespace: dict[str, object] = {}
    exec(blocks("python")[0], namespace)
    registry = namespace["REGISTRY"]
    assert isinstance(registry, Registry)
    return registry


def test_the_readmes_own_chart_handlers_and_bot_work(tmp_path: Path) -> None:
    registry = readers_files(tmp_path)

    shop = load_bots(tmp_path / "bots.yaml", registry).find(called="0043 1 5550100")

    assert shop.name == "shop"
    assert shop.chart.delays["agent"] == 120.0
    assert lint(load_chart(tmp_path / "shop_call.yaml", registry=registry), registry) == []
    Draft202012Validator(chart_schema(registry)).validate(YAML(typ="safe").load(tmp_path / "shop_call.yaml"))


def test_the_readmes_case_runs_as_the_readme_says(tmp_path: Path) -> None:
    registry = readers_files(tmp_path)
    chart = load_chart(tmp_path / "shop_call.yaml", registry=registry)
    (case,) = re.findall(r"^    echo '(.*)' \|$", README, re.MULTILINE)

    (line,) = simulate(compile_chart(chart), [case], registry=registry)

    assert json.loads(line) == json.loads(blocks("json")[0])


def test_the_example_of_the_environment_names_every_setting_with_its_default() -> None:
    example = example_settings()

    assert read_settings(example) == Settings()
    named = {name.removeprefix("CALLCHART_").removeprefix("DELAY_").lower() for name in example}
    renamed = {"openai_url": "openai_realtime_url", "openai_model": "openai_realtime_model", "delays": "resume_window"}
    aliases = {"session_storage_type"}  # of `store`
    assert {renamed.get(field.name, field.name) for field in fields(Settings)} == named - aliases


def test_the_example_of_the_environment_has_every_name_that_is_read() -> None:
    source = texts_of("adapters/settings.py")
    read = set(re.findall(r'read\("([A-Z_]+)"', source)) | {"CALLCHART_DELAY_RESUME_WINDOW"}

    assert set(example_settings()) == read


def test_the_readme_names_every_setting() -> None:
    missing = [name for name in example_settings() if f"`{name}`" not in README and "DELAY" not in name]

    assert missing == []
    assert "`CALLCHART_DELAY_<NAME>`" in README


def test_the_locks_hold_every_dependency_with_hashes_and_agree() -> None:
    runtime, everything = (locked(name) for name in ("requirements.lock", "requirements-dev.lock"))
    project = texts_of("pyproject.toml")
    wanted = {
        name.lower().replace(".", "-")
        for name in re.findall(r'^  "([\w.\-]+)>=', project.partition("[project.optional-dependencies]")[0], re.M)
    }
    tools = set(re.findall(r'^  "([\w\-]+)>=', project, re.M))

    assert wanted
    assert wanted <= set(runtime)
    assert {tool.lower() for tool in tools} - {"ruamel"} <= set(everything)
    assert {name: everything.get(name) for name in runtime} == runtime


def locked(name: str) -> dict[str, str]:
    """Return each requirement of a lock, with its version, marker and hashes, by name."""
    entries = texts_of(name).replace("\\\n", " ").splitlines()
    assert all("--hash=sha256:" in entry for entry in entries)
    return {entry.partition("==")[0]: entry for entry in entries}


@by_git
def test_no_file_names_a_registry() -> None:
    hosts = ["py" + "pi.org", "python" + "hosted.org", "registry.npm" + "js", "npm" + "mirror", "deb." + "debian.org"]
    options = ["--extra-index" + "-url", "find-links" + "=", "index" + "-url="]

    found = [(name, word) for name, text in texts().items() for word in hosts + options if word in text]

    assert found == []


def test_no_file_of_the_product_is_longer_than_400_lines() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for folder in ("fsm", "handlers", "adapters")
        for path in (ROOT / folder).rglob("*.py")
    }

    assert {name: length for name, length in lengths.items() if length > 400} == {}


@by_git
def test_nothing_is_left_to_be_done() -> None:
    marks = ["TO" + "DO", "FIX" + "ME", "X" * 3 + ":", "Not" + "ImplementedError"]

    assert [(name, mark) for name, text in texts().items() for mark in marks if mark in text] == []


def test_compose_runs_callchart_beside_what_it_may_need() -> None:
    services = YAML(typ="safe").load(texts_of("compose.yaml"))["services"]

    assert set(services) == {"callchart", "redis", "jaeger"}


def test_the_scripts_may_be_run() -> None:
    scripts = [ROOT / ".ci/run", *(ROOT / "scripts").iterdir()]

    assert [script.name for script in scripts if not script.stat().st_mode & 0o100] == []


@pytest.mark.real_time
def test_the_help_of_the_makefile_lists_every_target() -> None:
    shown = subprocess.run(
        ["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=10
    ).stdout

    assert {line.split()[1] for line in shown.splitlines()} == targets()


def test_the_oldest_python_is_said_once_for_all() -> None:
    assert 'requires-python = ">=3.11"' in texts_of("pyproject.toml")
    assert "(3, 11)" in texts_of("scripts/make-venv")
    assert "--python-version 3.11" in MAKEFILE
    assert sys.version_info >= (3, 11)
