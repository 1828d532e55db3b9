"""Steering calls: begin, tell, change, end, forget."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.http.access import Access
from tests.adapters.http.served import Served, api, bearer


async def test_call_is_created_and_tells_where_it_is() -> None:
    async with api() as (client, calls, _):
        answer = await client.post("/api/v1/calls", json={"call_id": "visit:7", "metadata": {"desk": 4}})

    assert answer.status_code == 201
    assert answer.json() == {"call_id": "visit:7", "state": "listening", "status": "active"}
    assert answer.headers["location"] == "/api/v1/calls/visit%3A7"
    assert calls.known["visit:7"]["metadata"] == {"desk": 4}


async def test_call_is_created_without_a_body() -> None:
    async with api() as (client, _, _):
        answer = await client.post("/api/v1/calls")

    assert (answer.status_code, answer.json()["call_id"]) == (201, "call-1")


async def test_id_that_is_taken_is_a_conflict() -> None:
    async with api() as (client, calls, _):
        calls.add("CA1")
        answer = await client.post("/api/v1/calls", json={"call_id": "CA1"})

    assert (answer.status_code, answer.json()["detail"]) == (409, "there is a call 'CA1'")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"call_id": "active"}, "#/call_id"),
        ({"call_id": "stats"}, "#/call_id"),
        ({"call_id": "live"}, "#/call_id"),
        ({"call_id": "a/b"}, "#/call_id"),
        ({"call_id": ""}, "#/call_id"),
        ({"call_id": "CA1\n"}, "#/call_id"),
        ({"call_id": "x" * 129}, "#/call_id"),
        ({"call_id": 7}, "#/call_id"),
        ({"metadata": []}, "#/metadata"),
        ({"metadata": {"k": 1}, "bots": ""}, "#/bots"),
        ({"a/b~c": 1}, "#/a~1b~0c"),
        ([], "#"),
        ("text", "#"),
    ],
)
async def test_body_that_does_not_fit_is_refused_with_its_place(body: Any, pointer: str) -> None:
    async with api() as (client, calls, _):
        answer = await client.post("/api/v1/calls", json=body)

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert calls.known == {}


async def test_bot_that_cannot_do_without_a_carrier_is_refused() -> None:
    async with api() as (client, _, _):
        answer = await client.post("/api/v1/calls", json={"bot": "shop"})

    assert (answer.status_code, answer.json()["detail"]) == (422, "no bot is called 'shop'")


async def test_segments_are_posted_as_they_were_sent() -> None:
    async with api() as (client, calls, _):
        calls.add("CA1")
        pieces = [{"text": "Good"}, {"id": "s2", "seq": 2, "text": "day", "start_ms": 0, "end_ms": 900, "final": False}]
        answer = await client.post("/api/v1/calls/CA1/segments", json={"segments": pieces})

    assert (answer.status_code, answer.json()) == (202, {"seq": 3})
    assert calls.asked == pieces


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [{"text": "x"}] * 501,
        [{"text": "x" * 20_001}],
        [{"text": "x", "start_ms": -1}],
        [{"text": "x", "start_ms": 1e300}],
        [{"text": "x", "seq": 2**63}],
        [{"text": None}],
        [{}],
    ],
    ids=["none", "too many", "too long", "negative", "endless", "too far", "no text", "nothing"],
)
async def test_segments_that_do_not_fit_are_refused_together(pieces: list[Any]) -> None:
    async with api() as (client, calls, _):
        calls.add("CA1")
        answer = await client.post("/api/v1/calls/CA1/segments", json={"segments": [*pieces]})

    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == 1
    assert calls.said["CA1"] == []


async def test_event_is_taken_with_the_step_it_made() -> None:
    async with api() as (client, calls, _):
        calls.add("CA1")
        answer = await client.post(
            "/api/v1/calls/CA1/events", json={"event": "user.transcript", "data": {"text": "Hi"}}
        )

    assert (answer.status_code, answer.json()) == (202, {"seq": 2})


@pytest.mark.parametrize(
    ("call_id", "event", "status"),
    [("CA1", "user.laughed", 422), ("CA2", "user.transcript", 409), ("CA3", "user.transcript", 404), ("CA1", "", 422)],
)
async def test_event_that_cannot_be_taken_is_refused(call_id: str, event: str, status: int) -> None:
    async with api() as (client, calls, _):
        calls.add("CA1")
        calls.add("CA2", status="ended")
        answer = await client.post(f"/api/v1/calls/{call_id}/events", json={"event": event})

    assert answer.status_code == status


async def test_end_is_asked_for_then_told_to_be_over() -> None:
    async with api() as (client, calls, _):
        calls.add("CA1")
        first, again, unknown = [await client.post(f"/api/v1/calls/{id}/end") for id in ("CA1", "CA1", "CA2")]

    assert (first.status_code, first.json()) == (202, {"status": "ending"})
    assert (again.status_code, again.json()) == (200, {"status": "ended"})
    assert unknown.status_code == 404


async def test_post_call_work_is_done_once_the_call_is_over() -> None:
    async with api() as (client, calls, _):
        calls.add("CA1")
        calls.add("CA2", status="ended")
        live, over = [await client.post(f"/api/v1/calls/{id}/trigger-ai-pipeline") for id in ("CA1", "CA2")]

    assert live.status_code == 409
    assert (over.status_code, over.json()) == (202, {"run_id": "run-1"})


async def test_call_is_forgotten() -> None:
    async with api() as (client, calls, _):
        calls.add("CA1")
        first, again = [await client.delete("/api/v1/calls/CA1") for _ in range(2)]

    assert (first.status_code, first.content) == (204, b"")
    assert again.status_code == 404


@pytest.mark.parametrize(("query", "wait"), [("", False), ("?wait=true", True), ("?wait=false", False)])
async def test_reset_ends_every_call(query: str, wait: bool) -> None:
    async with api() as (client, calls, _):
        calls.add("CA1")
        calls.add("CA2")
        answer = await client.post(f"/api/v1/reset{query}")

    assert (answer.status_code, answer.json()) == (202, {"ending": 2})
    assert calls.asked == {"wait": wait}


# -- metadata -----------------------------------------------------------------------------------------


async def patched(served: Served, body: Any, **headers: str) -> tuple[int, Any]:
    lines = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await served.client.patch("/api/v1/calls/CA1", json=body, headers=lines)
    return answer.status_code, answer.json()


async def test_metadata_are_merged_and_numbered() -> None:
    async with api() as served:
        served.calls.add("CA1", metadata={"old": 1, "kept": 2})
        answer = await served.client.patch("/api/v1/calls/CA1", json={"metadata": {"old": None, "new": 3}})

    assert answer.json() == {"metadata": {"kept": 2, "new": 3}, "metadata_version": 1}
    assert answer.headers["etag"] == '"1"'


async def test_change_of_older_metadata_is_refused_with_the_version_that_is() -> None:
    async with api() as served:
        served.calls.add("CA1", metadata_version=4)
        by_version = await patched(served, {"metadata": {}, "version": 3})
        by_tag = await patched(served, {"metadata": {}}, if_match='"3"')

    assert (by_version[0], by_version[1]["current"]) == (409, 4)
    assert (by_tag[0], by_tag[1]["current"]) == (412, 4)


@pytest.mark.parametrize("tag", ['W/"4"', "4", '"four"', '"', '"4", "5"', '"' + "9" * 40 + '"'])
async def test_tag_that_is_none_of_ours_never_matches(tag: str) -> None:
    async with api() as served:
        served.calls.add("CA1", metadata_version=4)
        status, said = await patched(served, {"metadata": {"k": 1}}, if_match=tag)

    assert (status, said["current"]) == (412, 4)
    assert served.calls.known["CA1"]["metadata"] == {}


@pytest.mark.parametrize("tag", ['"4"', "*"])
async def test_tag_that_matches_lets_the_change_be_made(tag: str) -> None:
    async with api() as served:
        served.calls.add("CA1", metadata_version=4)
        status, said = await patched(served, {"metadata": {"k": 1}}, if_match=tag)

    assert (status, said["metadata_version"]) == (200, 5)


async def test_metadata_of_an_unknown_call_are_not_found() -> None:
    async with api() as served:
        answers = [await patched(served, {"metadata": {}}, if_match=tag) for tag in ('"1"', "guess", "*")]

    assert [status for status, _ in answers] == [404, 404, 404]


# -- bodies that nobody means well with ---------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [b"{", b"", b"\xff\xfe{}", b'{"metadata": {"k": "\\ud800"}}', b'{"metadata": {"k": NaN}}', b'{"metadata": 1e999}',
     b'{"metadata": {"k": ' + b"[" * 5000, b"\xef\xbb\xbf{}", b'{"metadata": {"k": "\xc3\x28"}}'],
    ids=["cut", "empty", "UTF-16", "surrogate", "NaN", "infinity", "endless", "mark", "not UTF-8"],
)  # fmt: skip
async def test_body_that_is_not_json_is_a_bad_request(body: bytes) -> None:
    async with api() as (client, calls, _):
        calls.add("CA1")
        answer = await client.patch("/api/v1/calls/CA1", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == (422 if body == b"" else 400)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_values_that_nest_too_deep_are_refused() -> None:
    async with api() as (client, calls, _):
        calls.add("CA1")
        answers = [
            await client.patch("/api/v1/calls/CA1", content=b'{"metadata": {"k": ' + b"[" * deep + b"]" * deep + b"}}",
                               headers={"Content-Type": "application/json"})
            for deep in (31, 32, 1000)
        ]  # fmt: skip

    assert [answer.status_code for answer in answers] == [200, 422, 422]


async def test_numbers_and_characters_of_any_kind_are_kept_or_refused_never_broken() -> None:
    body = b'{"metadata": {"huge": 123456789012345678901234567890, "nul\\u0000": "\\u0000", "": -0.0}}'
    async with api() as (client, calls, _):
        calls.add("CA1")
        changed = await client.patch("/api/v1/calls/CA1", content=body, headers={"Content-Type": "application/json"})
        shown = await client.get("/api/v1/calls/CA1")

    assert (changed.status_code, shown.status_code) == (200, 200)
    assert shown.json()["metadata"] == {"huge": 1.2345678901234568e29, "nul\0": "\0", "": 0.0}


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_body_of_another_kind_is_said_to_be_unsupported(media: str) -> None:
    async with api() as (client, _, _):
        answer = await client.post("/api/v1/calls", content=b"{}", headers={"Content-Type": media})

    assert answer.status_code == 415
    assert "application/json" in answer.json()["detail"]


async def test_who_may_not_steer_is_told_so_before_the_body_is_read() -> None:
    async with api(Access(token="steer", read_token="look")) as (client, _, _):
        nobody = await client.post("/api/v1/calls", content=b"{")
        reader = await client.post("/api/v1/calls", content=b"{", headers=bearer("look"))

    assert (nobody.status_code, reader.status_code) == (401, 403)


async def test_a_word_that_stands_in_addresses_is_no_id_and_the_answer_says_why() -> None:
    async with api() as (client, _, _):
        answer = await client.post("/api/v1/calls", json={"call_id": "active"})

    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"pointer": "#/call_id", "detail": "this word stands in addresses of the API; choose another id"}
    ]
