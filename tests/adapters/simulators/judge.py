"""Judges events by the types of the `openai` package: strictly, and with no field that they do not know."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator
from typing import Any

from openai.types.realtime.realtime_client_event import RealtimeClientEvent
from openai.types.realtime.realtime_server_event import RealtimeServerEvent
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

# On the wire, and in OpenAI's description of the session resource, but not in the package's type of the event.
KNOWN_EXTRAS = {"session.object", "session.id", "session.expires_at"}


def _adapter(alias: Any) -> TypeAdapter[BaseModel]:
    members = typing.get_args(typing.get_args(alias)[0])
    union: Any = typing.Annotated[typing.Union[members], Field(discriminator="type")]  # noqa: UP007
    return TypeAdapter(union)


_SERVER, _CLIENT = _adapter(RealtimeServerEvent), _adapter(RealtimeClientEvent)


def faults_of_server_event(event: dict[str, Any]) -> list[str]:
    """Return what is wrong with an event of the model, as lines."""
    return _faults(_SERVER, event)


def faults_of_client_event(event: dict[str, Any]) -> list[str]:
    """Return what is wrong with an event for the model, as lines."""
    return _faults(_CLIENT, event)


def _faults(adapter: TypeAdapter[BaseModel], event: dict[str, Any]) -> list[str]:
    try:
        judged = adapter.validate_json(json.dumps(event), strict=True)
    except ValidationError as errors:
        return [f"{event.get('type')}: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in errors.errors()]
    return [f"{event['type']}: {path}: not a field" for path in _extras(judged, "") if path not in KNOWN_EXTRAS]


def _extras(value: Any, path: str) -> Iterator[str]:
    match value:
        case BaseModel():
            yield from (f"{path}{name}" for name in value.model_extra or {})
            for name in type(value).model_fields:
                yield from _extras(getattr(value, name), f"{path}{name}.")
        case list():
            for one in value:
                yield from _extras(one, path)
        case _:
            pass
