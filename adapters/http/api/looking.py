"""Routes that look at calls."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Query, Response

from adapters.calls.contract import CallsPage
from adapters.calls.export import MEDIA_TYPES, Format, export, file_name, line_json
from adapters.calls.lines import cumulative
from adapters.http.api.guarded import TheCalls, documented, json_answer, router
from adapters.http.api.shapes import (
    ActiveCalls,
    Call,
    CallList,
    JournalPage,
    SegmentList,
    Stats,
    Transcript,
    Validity,
)
from adapters.http.problems import problem, problems
from fsm.document import iso, timestamp

__all__ = ["looking"]

looking = router(tag="look")
_Text = Annotated[str, Query(max_length=128)]
_FILES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A file",
        "content": {kind.partition(";")[0]: {"schema": {"type": "string"}} for kind in MEDIA_TYPES.values()}
        | {"application/json": {"schema": {"type": "object"}}},
    },
}


@looking.get("/calls/active", response_model=None, responses=documented(ActiveCalls))
async def active_calls(calls: TheCalls) -> Response:
    """Tell of every call that is not over, of all nodes."""
    return _page(await calls.active())


@looking.get("/calls/stats", response_model=None, responses=documented(Stats))
async def stats_of_calls(calls: TheCalls) -> Response:
    """Count the calls that are not over, of all nodes. Durations are seconds."""
    totals = asdict(await calls.totals())
    return json_answer(_marked(totals, complete=totals.pop("complete")))


@looking.get("/calls", response_model=None, responses=documented(CallList, 400, 422))
async def find_calls(
    calls: TheCalls,
    live: Annotated[bool | None, Query(description="Only those that are not over, or that are.")] = None,
    state: Annotated[_Text, Query(description="Only those in this state of their chart.")] = "",
    q: Annotated[_Text, Query(description="That of this id, or those whose caller or called begins so.")] = "",
    cursor: Annotated[str, Query(max_length=512, description="`next_cursor` of the page before.")] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Find calls, newest first."""
    try:
        page = await calls.find(live=live, state=state, q=q, cursor=cursor, limit=limit)
    except ValueError:
        return problem(400, "this cursor is none of ours; begin again without one")
    return _page(page)


@looking.get("/calls/{call_id:call}", response_model=None, responses=documented(Call, 404))
async def get_call(call_id: str, calls: TheCalls) -> Response:
    """Return a call's document. Its ETag is the version of its metadata, for `If-Match` of PATCH."""
    found = await calls.get(call_id)
    return json_answer(found, headers={"ETag": f'"{found["metadata_version"]}"'})


@looking.get("/calls/{call_id:call}/transcript", response_model=None, responses=documented(Transcript, 404))
async def get_transcript(call_id: str, calls: TheCalls) -> Response:
    """Return everything that was said, in order."""
    lines = await calls.lines(call_id)
    return json_answer({"call_id": call_id, "text": cumulative(lines), "lines": [line_json(line) for line in lines]})


@looking.get(
    "/calls/{call_id:call}/export",
    response_model=None,
    response_class=Response,
    responses={**_FILES, **problems(404, 422)},
)
async def export_call(
    call_id: str, calls: TheCalls, form: Annotated[Format, Query(alias="format")] = "json"
) -> Response:
    """Return what was said as a file: JSON, text, WebVTT or JSON lines."""
    lines = await calls.lines(call_id)
    began = timestamp((await calls.get(call_id)).get("created_at"))
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="{file_name(call_id, form)}"',
        "X-Content-Type-Options": "nosniff",
    }
    return Response(export(lines, form, call_id=call_id, began=began), headers=headers, media_type=MEDIA_TYPES[form])


@looking.get("/calls/{call_id:call}/segments", response_model=None, responses=documented(SegmentList, 404))
async def get_segments(call_id: str, calls: TheCalls) -> Response:
    """Return the pieces of transcript that were posted, by their `seq`, each once."""
    segments = [line_json(line) for line in await calls.segments(call_id)]
    return json_answer({"call_id": call_id, "segments": segments})


@looking.get("/calls/{call_id:call}/journal", response_model=None, responses=documented(JournalPage, 404, 422))
async def get_journal(
    call_id: str,
    calls: TheCalls,
    after: Annotated[int, Query(ge=0, le=2**53, description="The last version that is known already.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 500,
) -> Response:
    """Return what happened, step by step."""
    records, following = await calls.journal(call_id, after=after, limit=limit)
    return json_answer(
        {"call_id": call_id, "records": [_record(record) for record in records], "next_after": following}
    )


@looking.get("/calls/{call_id:call}/validate", response_model=None, responses=documented(Validity, 404))
async def validate_call(call_id: str, calls: TheCalls) -> Response:
    """Tell whether a call may be resumed, and if not, why: unknown, ended, expired or not_answered."""
    validity = await calls.validate(call_id)
    return json_answer({"valid": validity.valid, "reason": validity.reason})


def _page(page: CallsPage) -> Response:
    return json_answer(_marked({"calls": page.calls, "next_cursor": page.next_cursor}, complete=page.complete))


def _marked(said: dict[str, Any], *, complete: bool) -> dict[str, Any]:
    """Return what is answered, with a mark if it is of this node only."""
    return said if complete else {**said, "complete": False}


def _record(record: dict[str, Any]) -> dict[str, Any]:
    """Return a journal record as it is shown: with its times in ISO 8601, as everywhere in the API."""
    shown = {**record, "at": iso(record["at"])} if "at" in record else record
    call = record.get("call")
    return shown if call is None else {**shown, "call": {**call, "created_at": iso(call["created_at"])}}
