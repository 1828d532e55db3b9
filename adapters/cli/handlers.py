"""`callchart handlers`: what a chart may name."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from adapters.cli.common import registry

if TYPE_CHECKING:
    from fsm.registry import Handler

__all__ = ["arguments", "run"]

_KINDS = {"guard": "Guards", "reducer": "Reducers", "action": "Actions", "service": "Services"}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for a machine to read")


def run(options: argparse.Namespace) -> int:
    known = registry()
    if options.json:
        print(json.dumps([_described(handler) for handler in known.all()], indent=2, ensure_ascii=False))
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


def _signature(handler: Handler) -> str:
    fields = handler.params.model_fields
    if not fields:
        return ""
    shown = (f"{name}" if field.is_required() else f"{name}={field.default!r}" for name, field in fields.items())
    return f"({', '.join(shown)})"
