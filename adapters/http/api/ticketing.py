"""The route that gives a browser's socket something to show."""

from __future__ import annotations

from fastapi import Request, Response

from adapters.http.api.guarded import Looking, api_of, documented, json_answer, router
from adapters.http.api.shapes import TicketGiven, TicketWanted
from adapters.http.tickets import LIFETIME

__all__ = ["ticketing"]

ticketing = router(route_class=Looking, tag="look")


@ticketing.post(
    "/tickets", response_model=None, status_code=201, responses=documented(TicketGiven, 400, 413, 415, 422, status=201)
)
async def give_ticket(request: Request, wanted: TicketWanted | None = None) -> Response:
    """Give a ticket for one socket or stream, to be shown as `?ticket=`; for no more than whoever asks may do."""
    wanted = wanted or TicketWanted()
    access = api_of(request).access
    if wanted.control:
        access.check(request.scope, control=True, call_id=wanted.call_id, tickets=False)
    ticket = access.issue(call_id=wanted.call_id, control=wanted.control)
    return json_answer({"ticket": ticket, "expires_in": LIFETIME}, 201)
