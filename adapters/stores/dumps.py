"""JSON of whatever a call has gathered. What came from outside may be no JSON: no commit is lost by that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import orjson

__all__ = ["dumps", "plain"]

_DEEPEST = 64  # levels that are kept; orjson takes 254
_LARGEST = 2**63


def dumps(value: Any) -> bytes:
    """Return `value` as JSON; what JSON cannot say is written as the text nearest to it."""
    try:
        return orjson.dumps(value, default=_plain_scalar, option=orjson.OPT_NON_STR_KEYS)
    except (TypeError, ValueError, RecursionError):  # half a surrogate pair, an integer beyond 64 bits, too deep
        return orjson.dumps(plain(value))


def plain(value: Any, depth: int = 0) -> Any:
    """Return `value` made of dicts, lists, text, numbers, booleans and None that JSON takes."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -_LARGEST <= value < _LARGEST else str(value)
    if depth > _DEEPEST:
        return "…"
    if is_dataclass(value) and not isinstance(value, type):
        value = {f.name: getattr(value, f.name) for f in fields(value)}
    if isinstance(value, Mapping):
        return {_text(str(key)): plain(each, depth + 1) for key, each in value.items()}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str | bytes | bytearray):
        return [plain(each, depth + 1) for each in value]
    return _plain_scalar(value)


def _plain_scalar(value: Any) -> Any:
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "replace")
    if isinstance(value, set | frozenset):
        return list(value)
    return _text(str(value))


def _text(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
