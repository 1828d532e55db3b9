"""`callchart handlers`: what a chart may name."""

from __future__ import annotations

import argparse
import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from adapters.cli.common import registry

if TYPE_CHECKING:
    from fsm.registry import Handler
    from fsm.triggers import Trigger

__all__ = ["arguments", "run"]

_KINDS = {"guard": "Guards", "reducer": "Reducers", "action": "Actions", "service": "Services"}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for a machine to read")


def run(options: argparse.Namespace) -> int:
    known = registry()
    if options.json:
        everything = [_described(handler) for handler in known.all()]
        everything += [_described_event(name, trigger) for name, trigger in known.triggers.items()]
        print(json.dumps(everything, indent=2, ensure_ascii=False))
        return 0
    for kind, title in _KINDS.items():
        print(f"{title}:")
        for handler in sorted((h for h in known.all() if h.kind == kind), key=lambda h: h.name):
            print(f"  {handler.name}{_signature(handler)}  {handler.doc.splitlines()[0] if handler.doc else ''}")
        print()
    print("Events:")
    for name, trigger in known.triggers.items():
        print(f"  {name}  {(trigger.__doc__ or '').splitlines()[0]}")
    return 0


def _described(handler: Handler) -> dict[str, Any]:
    described: dict[str, Any] = {
        "kind": handler.kind,
        "name": handler.name,
        "doc": handler.doc,
        "params": handler.params.model_json_schema().get("properties", {}),
        "triggers": [t.name or "*" for t in handler.trigger_types],
    }
    if handler.kind == "action":
        described |= {"deadline": handler.deadline, "async": handler.is_async}
        described |= {"opens": handler.opens, "closes": handler.closes, "needs": handler.needs}
    if handler.kind == "service":
        described |= {"produces": [t.name for t in handler.produces]}
    return described


def _described_event(name: str, trigger: type[Trigger]) -> dict[str, Any]:
    known = {field.name: str(field.type) for field in fields(trigger)}
    return {"kind": "event", "name": name, "doc": trigger.__doc__ or "", "fields": known}


def _signature(handler: Handler) -> str:
    params = handler.params.model_fields
    if not params:
        return ""
    shown = (f"{name}" if param.is_required() else f"{name}={param.default!r}" for name, param in params.items())
    return f"({', '.join(shown)})"
