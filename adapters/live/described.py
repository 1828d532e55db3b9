"""How the streams of server-sent events stand in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.http.problems import problems

__all__ = ["ALL_CALLS", "ONE_CALL", "STREAMS"]

ONE_CALL = "/api/v1/calls/{call_id}/live"
ALL_CALLS = "/api/v1/calls/live"
_TEXT = {"type": "string"}
_RESUMING: list[dict[str, Any]] = [
    {
        "name": "Last-Event-ID", "in": "header", "required": False, "schema": _TEXT,
        "description": "The id that was heard last: what came after it is told. A browser sends it by itself.",
    },
    {
        "name": "after", "in": "query", "required": False, "schema": _TEXT,
        "description": "The same, for who cannot send a header.",
    },
    {
        "name": "ticket", "in": "query", "required": False, "schema": _TEXT,
        "description": "In place of a token; from `POST /api/v1/tickets`.",
    },
]  # fmt: skip
_CALL_ID = {"name": "call_id", "in": "path", "required": True, "schema": _TEXT}


def _stream(name: str, description: str, *statuses: int, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    answers: dict[int | str, dict[str, Any]] = {
        200: {
            "description": "Server-sent events: the `data` of each is a JSON object `{type, call_id, data}`",
            "content": {"text/event-stream": {"schema": _TEXT}},
        },
        **problems(401, 403, *statuses, 429, 500, 503),
    }
    return {
        "tags": ["look"],
        "summary": name,
        "description": f"{description} The same address takes a WebSocket, with the same messages (docs/live.md).",
        "operationId": name.lower().replace(" ", "_"),
        "parameters": parameters,
        "responses": {str(status): answer for status, answer in answers.items()},
    }


_ONE = _stream(
    "Watch one call",
    "Tell how a call is, then everything that happens in it, until it is over.",
    404,
    parameters=[_CALL_ID, *_RESUMING],
)
_ONE["responses"]["204"] = {"description": "It is over, and all was told: do not come again"}

STREAMS: Mapping[str, Mapping[str, Any]] = {
    ALL_CALLS: _stream(
        "Watch all calls", "Tell which calls there are, then everything that happens in them.", parameters=_RESUMING
    ),
    ONE_CALL: _ONE,
}
"""What GET does, by the path of a route."""
