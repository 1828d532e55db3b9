"""The API described: the OpenAPI document, and a page that shows it without any script."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from html import escape
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.routing import Route

from adapters.http.api.guarded import api_of, json_answer
from adapters.http.problems import PROBLEM_SCHEMA
from adapters.live.described import STREAMS

__all__ = ["described", "document_of"]

_METHODS = ("get", "post", "patch", "put", "delete")
_OPEN = frozenset({"/livez", "/readyz"})
_ACCESS = (
    "The token of CALLCHART_API_TOKEN, or for looking that of CALLCHART_API_READ_TOKEN. Where none is set, only "
    "programs of the same machine may ask, without a token."
)
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
:root { color-scheme: light dark }
code { font: 14px ui-monospace, monospace }
dt { margin-top: 1rem }
dd { margin: 0.2rem 0 0 1rem }
"""


def described() -> APIRouter:
    """Return the routes of document and page, for those who may look; a browser shows `?ticket=`."""
    routes = APIRouter()

    @routes.get("/api/openapi.json", include_in_schema=False)
    async def openapi(request: Request) -> Response:
        api_of(request).access.check(request.scope, control=False)
        return json_answer(document_of(request.app))

    @routes.get("/api/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        api_of(request).access.check(request.scope, control=False)
        headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
        return Response(_page(document_of(request.app)), headers=headers, media_type="text/html")

    return routes


def document_of(api: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document; made once."""
    if api.openapi_schema is None:
        document = api.openapi()
        served = {route.path for route in api.routes if isinstance(route, Route)}
        document["paths"] |= {path: {"get": deepcopy(told)} for path, told in STREAMS.items() if path in served}
        components = document.setdefault("components", {})
        schemas = components.setdefault("schemas", {})
        schemas["Problem"] = PROBLEM_SCHEMA
        for framework in ("HTTPValidationError", "ValidationError"):
            schemas.pop(framework, None)
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer", "description": _ACCESS}}
        for path, _, operation in _operations(document):
            operation["security"] = [] if path in _OPEN else [{"token": []}, {}]
            if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                del operation["responses"]["422"]  # the framework's own: there is nothing here that may not fit
    return api.openapi_schema or {}


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                yield path, method, methods[method]


def _page(document: Mapping[str, Any]) -> str:
    """Return the document as a page. It loads nothing: it is read where there is no network, too."""
    shown = "".join(
        f"<dt><code>{method.upper()} {escape(path)}</code></dt><dd>"
        f"{escape(operation.get('description') or operation.get('summary', ''))}{_parameters(operation)}"
        f"<br>answers {', '.join(sorted(operation['responses']))}</dd>"
        for path, method, operation in _operations(document)
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>callchart API</title><style>{_STYLE}</style>'
        f'<h1>callchart API</h1><p>{escape(_ACCESS)}</p><p>All of it, for programs: <a href="openapi.json">'
        f"openapi.json</a> (OpenAPI {escape(document['openapi'])}).</p><dl>{shown}</dl></html>"
    )


def _parameters(operation: Mapping[str, Any]) -> str:
    named = [parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "query"]
    return f"<br>query: <code>{escape(', '.join(named))}</code>" if named else ""
