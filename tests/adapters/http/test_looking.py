"""Looking at calls: lists, documents, what was said, files, the journal."""

from __future__ import annotations

import orjson
import pytest

from adapters.calls.contract import TranscriptLine
from tests.adapters.http.fake_calls import BEGAN
from tests.adapters.http.served import api

_SAID = (
    TranscriptLine(role="caller", text="Where is my order?", id="i1", at=BEGAN + 3, start_ms=1000, end_ms=2500, seq=2),
    TranscriptLine(role="segment", text="It is\non <its> way & near", id="s1", at=BEGAN + 9, seq=3),
)


async def test_active_calls_are_listed() -> None:
    async with api() as (client, calls, _):
        calls.add("CA1")
        calls.add("CA2", status="ended")
        answer = await client.get("/api/v1/calls/active")

    assert answer.json() == {
        "calls": [
            {
                "call_id": "CA1",
                "start_time": "2026-05-04T10:00:00.000Z",
                "last_activity": "2026-05-04T10:00:05.000Z",
                "cumulative_transcript": "",
                "total_audio_duration": 0.0,
                "segment_count": 0,
                "status": "active",
                "state": "listening",
            }
        ],
        "next_cursor": None,
    }
    assert answer.headers["cache-control"] == "no-store"


async def test_calls_that_are_not_over_are_counted() -> None:
    async with api() as (client, calls, _):
        calls.add("CA1")
        answer = await client.get("/api/v1/calls/stats")

    assert answer.json() == {
        "active_sessions": 1,
        "total_audio_duration": 2.5,
        "total_segments": 0,
        "average_duration_per_session": 5.0,
        "session_list": ["CA1"],
    }


async def test_calls_are_found_page_by_page() -> None:
    async with api() as (client, calls, _):
        for number in range(3):
            calls.add(f"CA{number}")
        first = (await client.get("/api/v1/calls", params={"limit": 2})).json()
        second = (await client.get("/api/v1/calls", params={"limit": 2, "cursor": first["next_cursor"]})).json()

    assert [call["call_id"] for call in first["calls"] + second["calls"]] == ["CA0", "CA1", "CA2"]
    assert second["next_cursor"] is None


async def test_what_to_find_is_handed_on() -> None:
    async with api() as (client, calls, _):
        await client.get("/api/v1/calls?state=listening&q=%2B1555&live=true")

    assert calls.asked == {"live": True, "state": "listening", "q": "+1555", "cursor": "", "limit": 50}


async def test_cursor_that_is_none_of_ours_is_a_bad_request() -> None:
    async with api() as (client, _, _):
        answer = await client.get("/api/v1/calls?cursor=guess")

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert "cursor" in answer.json()["detail"]


async def test_call_is_shown_with_the_version_of_its_metadata() -> None:
    async with api() as (client, calls, _):
        calls.add("CA1", metadata_version=3)
        answer = await client.get("/api/v1/calls/CA1")

    assert answer.json()["call_id"] == "CA1"
    assert answer.headers["etag"] == '"3"'


async def test_transcript_is_text_and_lines() -> None:
    async with api() as (client, calls, _):
        calls.add("CA1", *_SAID)
        said = (await client.get("/api/v1/calls/CA1/transcript")).json()

    assert said["call_id"] == "CA1"
    assert said["text"] == "Where is my order?\nIt is\non <its> way & near"
    assert said["lines"][0] == {
        "role": "caller",
        "text": "Where is my order?",
        "id": "i1",
        "at": "2026-05-04T10:00:03.000Z",
        "start_ms": 1000,
        "end_ms": 2500,
        "seq": 2,
        "interrupted": False,
        "final": True,
        "tool": "",
    }


async def test_segments_are_listed() -> None:
    async with api() as (client, calls, _):
        calls.add("CA1", *_SAID)
        found = (await client.get("/api/v1/calls/CA1/segments")).json()

    assert [segment["id"] for segment in found["segments"]] == ["s1"]


async def test_journal_is_read_from_where_one_stopped() -> None:
    async with api() as (client, calls, _):
        calls.add("CA1", seq=5)
        first = (await client.get("/api/v1/calls/CA1/journal?after=1&limit=2")).json()
        rest = (await client.get(f"/api/v1/calls/CA1/journal?after={first['next_after']}")).json()

    assert [record["version"] for record in first["records"] + rest["records"]] == [2, 3, 4, 5]
    assert (first["next_after"], rest["next_after"]) == (3, None)


@pytest.mark.parametrize(
    ("form", "media"),
    [
        ("json", "application/json"),
        ("txt", "text/plain; charset=utf-8"),
        ("vtt", "text/vtt; charset=utf-8"),
        ("jsonl", "application/x-ndjson"),
    ],
)
async def test_export_is_a_file(form: str, media: str) -> None:
    async with api() as (client, calls, _):
        calls.add("CA1", *_SAID)
        answer = await client.get("/api/v1/calls/CA1/export", params={"format": form})

    assert answer.headers["content-type"] == media
    assert answer.headers["content-disposition"] == f'attachment; filename="call-CA1.{form}"'
    assert "Where is my order?" in answer.text


async def test_export_of_json_lines_has_one_for_each_thing_said() -> None:
    async with api() as (client, calls, _):
        calls.add("CA1", *_SAID)
        answer = await client.get("/api/v1/calls/CA1/export?format=jsonl")

    assert [orjson.loads(line)["seq"] for line in answer.content.splitlines()] == [2, 3]


async def test_export_in_another_format_is_refused() -> None:
    async with api() as (client, calls, _):
        calls.add("CA1")
        answer = await client.get("/api/v1/calls/CA1/export?format=pdf")

    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"parameter": "format", "detail": "Input should be 'json', 'txt', 'vtt' or 'jsonl'"}
    ]


@pytest.mark.parametrize(
    ("call_id", "told"),
    [("CA1", {"valid": True, "reason": ""}), ("CA2", {"valid": False, "reason": "ended"}),
     ("CA3", {"valid": False, "reason": "unknown"})],
)  # fmt: skip
async def test_it_is_told_whether_a_call_may_be_resumed(call_id: str, told: dict[str, object]) -> None:
    async with api() as (client, calls, _):
        calls.add("CA1")
        calls.add("CA2", status="ended")
        answer = await client.get(f"/api/v1/calls/{call_id}/validate")

    assert (answer.status_code, answer.json()) == (200, told)


async def test_journal_tells_its_times_as_everything_else_does() -> None:
    async with api() as (client, calls, _):
        calls.add("CA1", seq=2)
        calls.records = [
            {"seq": 1, "at": BEGAN + 0.25, "event": "init", "call": {"bot": "shop", "created_at": BEGAN}},
            {"seq": 1, "effects": []},
        ]
        first, second = (await client.get("/api/v1/calls/CA1/journal")).json()["records"]

    assert (first["at"], first["call"]) == (
        "2026-05-04T10:00:00.250Z",
        {"bot": "shop", "created_at": "2026-05-04T10:00:00.000Z"},
    )
    assert second == {"version": 2, "seq": 1, "effects": []}


@pytest.mark.parametrize("what", ["", "/transcript", "/export", "/journal", "/segments"])
@pytest.mark.parametrize(
    "call_id", ["nobody", "..", "%00", "%FF%FE", "caf%C3%A9", "a%2Fb", "%2F", "x" * 5000, "%22%0D%0A"]
)
async def test_unknown_call_is_not_found_whatever_its_id(what: str, call_id: str) -> None:
    async with api() as (client, _, _):
        answer = await client.get(f"/api/v1/calls/{call_id}{what}")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_id_with_odd_characters_is_found() -> None:
    async with api() as (client, calls, _):
        calls.add('é "x"\r\n?#')
        answer = await client.get("/api/v1/calls/%C3%A9%20%22x%22%0D%0A%3F%23/export")

    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == 'attachment; filename="call-___x_____.json"'


@pytest.mark.parametrize("what", ["", "/active", "/stats"])
async def test_lists_say_when_they_are_of_this_node_only(what: str) -> None:
    async with api() as (client, calls, _):
        calls.add("CA1")
        whole = await client.get(f"/api/v1/calls{what}")
        calls.away = True
        partly = await client.get(f"/api/v1/calls{what}")

    assert "complete" not in whole.json()
    assert partly.json() == {**whole.json(), "complete": False}


async def test_store_that_is_away_is_told_with_when_to_come_again() -> None:
    async with api() as (client, calls, _):
        calls.away = True
        answers = [await client.get(f"/api/v1/calls/{what}") for what in ("CA1/journal", "CA1", "CA1/transcript")]

    assert [answer.status_code for answer in answers] == [503, 503, 503]
    assert [answer.headers["retry-after"] for answer in answers] == ["2", "2", "2"]
    assert answers[0].json()["detail"] == "the store does not answer; try again"
