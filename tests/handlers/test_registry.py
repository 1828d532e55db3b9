"""What the bundled charts name exists, takes what happens there, and keeps its promises to lint and sessions."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import fsm
from handlers import REGISTRY

CHARTS = [
    YAML(typ="safe").load((Path(fsm.__file__).parent / "charts" / f"{name}.yaml").read_text(encoding="utf-8"))
    for name in ("voice_call", "eager", "listen")
]


def named(node: Any, key: str = "") -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield (kind, name, parameters) of all that a part of the chart names."""
    if isinstance(node, dict):
        for inner, value in node.items():
            if inner in ("guard", "actions", "entry", "exit", "src"):
                for item in value if isinstance(value, list) else [value]:
                    yield from refs(item, {"guard": "guard", "src": "service"}.get(inner, "action"))
            else:
                yield from named(value, str(inner))
    elif isinstance(node, list):
        for item in node:
            yield from named(item, key)


def refs(item: Any, kind: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    if isinstance(item, str):
        yield kind, item, {}
    elif "not" in item:
        yield from refs(item["not"], kind)
    else:
        yield kind, item["type"], item.get("params", {})


NAMED = [entry for chart in CHARTS for entry in named(chart)]


@pytest.mark.parametrize(("kind", "name"), sorted({(kind, name) for kind, name, _ in NAMED}))
def test_everything_the_chart_names_is_registered(kind: str, name: str) -> None:
    handler = REGISTRY.get(kind, name) or REGISTRY.get("reducer", name)  # type: ignore[arg-type]  # a kind, as text

    assert handler is not None


@pytest.mark.parametrize(("kind", "name", "params"), [entry for entry in NAMED if entry[2]], ids=str)
def test_parameters_of_the_chart_are_accepted(kind: str, name: str, params: dict[str, Any]) -> None:
    handler = REGISTRY.get(kind, name) or REGISTRY.get("reducer", name)  # type: ignore[arg-type]  # a kind, as text
    assert handler is not None

    assert handler.params.model_validate(params)


def test_nothing_is_registered_that_the_chart_does_not_use() -> None:
    assert {handler.name for handler in REGISTRY.all()} == {name for _, name, _ in NAMED}


@pytest.mark.parametrize("handler", REGISTRY.all(), ids=lambda handler: handler.name)
def test_handler_is_short_and_explains_itself(handler: Any) -> None:
    assert handler.doc.splitlines()[0].endswith((".", ";", ":")) or len(handler.doc.splitlines()) > 1
    assert len(inspect.getsource(handler.function).splitlines()) <= 22


def test_every_resource_that_is_opened_can_be_closed() -> None:
    opened = {resource for handler in REGISTRY.all() for resource in handler.opens}
    closed = {resource for handler in REGISTRY.all() for resource in handler.closes}

    assert opened == {"sts", "listeners"}
    assert closed == {"sts", "listeners", "carrier"}


def test_only_what_must_wait_is_asynchronous() -> None:
    assert {h.name: h.deadline for h in REGISTRY.all("action") if h.is_async} == {"transfer": 5.0, "hang_up": 5.0}
    assert all(service.is_async for service in REGISTRY.all("service"))


def test_services_declare_what_they_post() -> None:
    assert {h.name: [t.name for t in h.produces] for h in REGISTRY.all("service")} == {
        "detect_intent": ["intent.detected"],
        "run_agent": ["agent.needs_info", "agent.progress", "agent.said", "agent.completed", "agent.failed"],
        "say_farewell": [],
    }
