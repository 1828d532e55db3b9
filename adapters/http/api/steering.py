"""Routes that begin, tell, change, end and forget calls."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import quote

from fastapi import Header, Query, Response

from adapters.calls.contract import BadEvent, Stale
from adapters.http.api.guarded import TheCalls, documented, json_answer, router
from adapters.http.api.shapes import (
    CreatedCall,
    Ending,
    Event,
    Metadata,
    NewCall,
    PatchedMetadata,
    PipelineRun,
    Resetting,
    Segments,
    Taken,
)
from adapters.http.problems import problem, problems

__all__ = ["steering"]

steering = router(tag="steer")
_BODY = (400, 413, 415, 422)
_NONE = -1


@steering.post(
    "/calls", response_model=None, status_code=201, responses=documented(CreatedCall, *_BODY, 409, status=201)
)
async def create_call(calls: TheCalls, wanted: NewCall | None = None) -> Response:
    """Begin a call without a carrier, whose segments come by API. 409: there is, or was, one of that id."""
    wanted = wanted or NewCall()
    made = await calls.create(call_id=wanted.call_id or "", bot=wanted.bot, metadata=wanted.metadata)
    headers = {"Location": f"/api/v1/calls/{quote(made.call_id, safe='')}"}
    return json_answer({"call_id": made.call_id, "state": made.state, "status": made.status}, 201, headers)


@steering.post(
    "/calls/{call_id:call}/segments",
    response_model=None,
    status_code=202,
    responses=documented(Taken, *_BODY, 404, 409, status=202),
)
async def post_segments(call_id: str, body: Segments, calls: TheCalls) -> Response:
    """Post pieces of transcript, all or none. 409: the call has ended."""
    seq = await calls.add_segments(call_id, [piece.model_dump(exclude_unset=True) for piece in body.segments])
    return json_answer({"seq": seq}, 202)


@steering.post(
    "/calls/{call_id:call}/events",
    response_model=None,
    status_code=202,
    responses=documented(Taken, *_BODY, 404, 409, status=202),
)
async def post_event(call_id: str, body: Event, calls: TheCalls) -> Response:
    """Tell a call what happened. 409: it has ended; 422: there is no such event, or its data do not fit."""
    return json_answer({"seq": await calls.post(call_id, body.event, body.data)}, 202)


@steering.post(
    "/calls/{call_id:call}/end",
    response_model=None,
    status_code=202,
    responses=documented(Ending, 404, status=202) | documented(Ending, description="It had ended already"),
)
async def end_call(call_id: str, calls: TheCalls) -> Response:
    """Ask for the end of a call, wherever it runs."""
    if await calls.end(call_id) == "over":
        return json_answer({"status": "ended"})
    return json_answer({"status": "ending"}, 202)


@steering.post(
    "/calls/{call_id:call}/trigger-ai-pipeline",
    response_model=None,
    status_code=202,
    responses=documented(PipelineRun, 404, 409, status=202),
)
async def trigger_pipeline(call_id: str, calls: TheCalls) -> Response:
    """Have the post-call work done, again if it was done. 409: the call is not over."""
    try:
        run = await calls.run_pipeline(call_id)
    except BadEvent as not_over:
        return problem(409, str(not_over))
    return json_answer({"run_id": run}, 202)


@steering.patch(
    "/calls/{call_id:call}", response_model=None, responses=documented(PatchedMetadata, *_BODY, 404, 409, 412)
)
async def patch_call(
    call_id: str,
    body: Metadata,
    calls: TheCalls,
    if_match: Annotated[str | None, Header(description="The ETag that this is based on.")] = None,
) -> Response:
    """Change a call's metadata by a merge patch. 409 (`version`) or 412 (`If-Match`): they have changed since."""
    if if_match is None:
        return _patched(await calls.patch(call_id, body.metadata, version=body.version))
    version = body.version if if_match.strip() == "*" else _version_of(if_match)
    if version == _NONE:
        current = (await calls.get(call_id))["metadata_version"]
        return problem(412, "If-Match names none of our tags", current=current)
    try:
        return _patched(await calls.patch(call_id, body.metadata, version=version))
    except Stale as stale:
        return problem(412, str(stale), current=stale.current)


def _version_of(tag: str) -> int:
    """Return the version that a strong entity tag of ours names (RFC 9110 section 8.8.3)."""
    found = re.fullmatch(r'\s*"([0-9]{1,16})"\s*', tag)
    return int(found[1]) if found else _NONE


def _patched(metadata: dict[str, object]) -> Response:
    return json_answer(metadata, headers={"ETag": f'"{metadata["metadata_version"]}"'})


@steering.delete(
    "/calls/{call_id:call}", response_model=None, status_code=204, response_class=Response, responses=problems(404)
)
async def erase_call(call_id: str, calls: TheCalls) -> Response:
    """Forget a call: document, journal, files and results. One that lives is ended first."""
    await calls.erase(call_id)
    return Response(status_code=204)


@steering.post("/reset", response_model=None, status_code=202, responses=documented(Resetting, 422, status=202))
async def reset_calls(
    calls: TheCalls, wait: Annotated[bool, Query(description="Answer once they have settled.")] = False
) -> Response:
    """End every call of every node properly."""
    return json_answer({"ending": await calls.reset(wait=wait)}, 202)
