"""Whether an event is one of OpenAI's, by the `openai` package's own types: strictly, and with no field they lack."""

from __future__ import annotations

import typing
from typing import Annotated, Any

from openai.types.realtime.realtime_client_event import RealtimeClientEvent
from openai.types.realtime.realtime_server_event import RealtimeServerEvent
from pydantic import BaseModel, Field, TypeAdapter

__all__ = ["judge_client_event", "judge_server_event"]


def _adapter(alias: Any) -> TypeAdapter[Any]:
    annotated: Any = Annotated  # made at run time, which type checkers do not follow
    members = typing.get_args(typing.get_args(alias)[0])
    return TypeAdapter(annotated[typing.Union[members], Field(discriminator="type")])  # noqa: UP007  # a union of a tuple


_CLIENT = _adapter(RealtimeClientEvent)
_SERVER = _adapter(RealtimeServerEvent)


def judge_client_event(message: str) -> None:
    """Raise `ValueError` unless `message` is a client event that the types know in every field."""
    _refuse_extras(_CLIENT.validate_json(message, strict=True), "")


def judge_server_event(message: str) -> None:
    """Raise `ValueError` unless `message` is a server event that the types know in every field."""
    _refuse_extras(_SERVER.validate_json(message, strict=True), "")


def _refuse_extras(value: Any, path: str) -> None:
    if isinstance(value, BaseModel):
        if value.model_extra:
            raise ValueError(f"unknown fields at {path or 'the event'}: {sorted(value.model_extra)}")
        for name in type(value).model_fields:
            _refuse_extras(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, list):
        for index, one in enumerate(value):
            _refuse_extras(one, f"{path}[{index}]")
