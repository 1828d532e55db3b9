"""Who may look and who may steer: tokens, this machine, tickets, and pages of other origins."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.http.access import Access, Denied
from adapters.http.tickets import LIFETIME


def asked(
    *, client: str | None = "127.0.0.1", host: str = "localhost:8080", ticket: str | None = None, **headers: str
) -> dict[str, Any]:
    """A request as ASGI has it."""
    lines = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return {
        "type": "websocket",
        "client": None if client is None else (client, 50000),
        "query_string": b"" if ticket is None else f"after=3&ticket={ticket}".encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in lines.items()],
    }


def bearer(token: str, **more: Any) -> dict[str, Any]:
    return asked(client="192.0.2.7", host="bot.example.net", authorization=f"Bearer {token}", **more)


def refusal(access: Access, scope: dict[str, Any], *, control: bool = False, call_id: str | None = None) -> Denied:
    with pytest.raises(Denied) as denied:
        access.check(scope, control=control, call_id=call_id)
    return denied.value


class Watch:
    """Seconds since the epoch, as the test says."""

    def __init__(self) -> None:
        self.at = 1_800_000_000.0

    def __call__(self) -> float:
        return self.at


# -- no token -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST:80"])
def test_without_a_token_this_machine_may_do_everything(client: str, host: str) -> None:
    Access().check(asked(client=client, host=host), control=True)


@pytest.mark.parametrize("client", ["192.0.2.7", "10.0.0.1", "2001:db8::1", "::ffff:192.0.2.7", "testclient", None])
def test_without_a_token_another_machine_is_told_what_to_set(client: str | None) -> None:
    denied = refusal(Access(), asked(client=client))

    assert denied.status == 403
    assert "CALLCHART_API_TOKEN" in denied.detail


@pytest.mark.parametrize("header", ["x_forwarded_for", "forwarded", "x_real_ip", "via", "x_forwarded_proto"])
def test_without_a_token_nobody_may_ask_through_a_proxy(header: str) -> None:
    denied = refusal(Access(), asked(**{header: "192.0.2.7"}))

    assert denied.status == 403
    assert "proxy" in denied.detail


@pytest.mark.parametrize("host", ["rebound.example", "127.0.0.1.example", "", "localhost.example:8080", "[::1", "a:b"])
def test_without_a_token_a_name_that_is_not_this_machines_is_refused(host: str) -> None:
    assert refusal(Access(), asked(host=host)).status == 403


# -- tokens -------------------------------------------------------------------------------------------


def test_control_token_may_look_and_steer_from_anywhere() -> None:
    access = Access(token="steer", read_token="look")

    access.check(bearer("steer", x_forwarded_for="192.0.2.7"), control=True)
    access.check(bearer("steer"), control=False)


def test_read_token_may_look_only() -> None:
    access = Access(token="steer", read_token="look")

    access.check(bearer("look"), control=False)
    denied = refusal(access, bearer("look"), control=True)

    assert denied.status == 403
    assert "CALLCHART_API_TOKEN" in denied.detail


def test_where_only_a_read_token_is_set_nobody_may_steer_not_even_this_machine() -> None:
    access = Access(read_token="look")

    holder, local = refusal(access, bearer("look"), control=True), refusal(access, asked(), control=True)

    assert (holder.status, local.status) == (403, 401)
    assert "set CALLCHART_API_TOKEN" in holder.detail


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic c3RlZXI=", "steer"])
def test_missing_token_is_asked_for(header: str) -> None:
    denied = refusal(Access(token="steer"), asked(authorization=header))

    assert denied.status == 401
    assert denied.headers == {"WWW-Authenticate": 'Bearer realm="callchart"'}


@pytest.mark.parametrize("token", ["Steer", "steer ing", "stee", "\xff\xfe", "x" * 10_000])
def test_wrong_token_is_refused(token: str) -> None:
    denied = refusal(Access(token="steer"), bearer(token))

    assert denied.status == 401
    assert 'error="invalid_token"' in denied.headers["WWW-Authenticate"]
    assert token not in str(denied)


def test_scheme_is_written_in_any_case() -> None:
    Access(token="steer").check(asked(authorization="bEaReR steer"), control=True)


def test_who_asks_is_told_apart_by_token_then_by_address() -> None:
    access = Access(token="steer", read_token="look")

    who = [access.identity(scope) for scope in (bearer("steer"), bearer("look"), bearer("guess"), asked(client=None))]

    assert who == ["control", "read", "192.0.2.7", ""]


# -- origins ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:8080", "http://localhost:8080"),
        ("localhost", "http://localhost"),
        ("localhost", "http://localhost:80"),
        ("127.0.0.1:443", "https://127.0.0.1"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("localhost:8080", "https://desk.example.net"),
        ("localhost:8080", "HTTPS://Desk.Example.net"),
    ],
)
def test_own_pages_and_those_that_are_allowed_may_ask(host: str, origin: str) -> None:
    Access(origins=["https://desk.example.net"]).check(asked(host=host, origin=origin), control=True)


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://localhost:3000", "http://localhost", "null", "", "file://", "http://127.0.0.1:8080",
     "https://desk.example.net.evil.example", "http://desk.example.net", "http://[::1", "ftp://localhost:8080"],
)  # fmt: skip
def test_pages_of_other_origins_may_not_ask(origin: str) -> None:
    denied = refusal(Access(origins=["https://desk.example.net"]), asked(origin=origin))

    assert denied.status == 403
    assert "CALLCHART_ALLOWED_ORIGINS" in denied.detail


def test_page_of_another_origin_may_not_ask_even_with_a_token() -> None:
    assert refusal(Access(token="steer"), bearer("steer", origin="https://evil.example")).status == 403


# -- tickets ------------------------------------------------------------------------------------------


def test_ticket_stands_for_a_token_once() -> None:
    access = Access(token="steer")
    ticket = access.issue(call_id="CA1", control=False)

    access.check(asked(client="192.0.2.7", ticket=ticket), control=False, call_id="CA1")
    denied = refusal(access, asked(client="192.0.2.7", ticket=ticket), call_id="CA1")

    assert denied.status == 401
    assert "POST /api/v1/tickets" in denied.detail
    assert ticket not in denied.detail


@pytest.mark.parametrize(("waited", "over"), [(LIFETIME - 1, False), (LIFETIME, True)])
def test_ticket_is_over_after_a_minute(waited: float, over: bool) -> None:
    wall = Watch()
    access = Access(token="steer", wall=wall)
    ticket = access.issue(call_id=None, control=True)
    wall.at += waited

    if over:
        assert refusal(access, asked(ticket=ticket)).status == 401
    else:
        access.check(asked(ticket=ticket), control=True)


@pytest.mark.parametrize(
    ("of", "asked_of", "control"), [("CA1", "CA2", False), ("CA1", None, False), ("CA1", "CA1", True)]
)
def test_ticket_of_another_call_or_for_looking_only_does_not_do(of: str, asked_of: str | None, control: bool) -> None:
    access = Access(token="steer")
    ticket = access.issue(call_id=of, control=False)

    assert refusal(access, asked(ticket=ticket), control=control, call_id=asked_of).status == 403


def test_ticket_without_a_call_is_for_every_call() -> None:
    access = Access(token="steer")

    access.check(asked(ticket=access.issue(call_id=None, control=False)), control=False, call_id="CA1")


def test_every_node_of_one_secret_takes_a_ticket_and_no_other() -> None:
    here, there = Access(token="t", secret="shared"), Access(token="t", secret="shared")
    elsewhere, alone = Access(token="t", secret="other"), Access(token="t")
    ticket = here.issue(call_id=None, control=False)

    there.check(asked(ticket=ticket), control=False)

    assert refusal(elsewhere, asked(ticket=ticket)).status == 401
    assert "CALLCHART_TOKEN_SECRET" in refusal(alone, asked(ticket=ticket)).detail


@pytest.mark.parametrize("ticket", ["", ".", "a.b", "x" * 5000, "%00", "W10.00", "\xe9.1"])
def test_ticket_that_is_none_of_ours_is_refused(ticket: str) -> None:
    assert refusal(Access(token="steer"), asked(ticket=ticket)).status == 401


def test_ticket_that_was_altered_is_refused() -> None:
    access = Access(token="steer")
    body, signature = access.issue(call_id="CA1", control=False).split(".")

    assert refusal(access, asked(ticket=f"{body}A.{signature}"), call_id="CA1").status == 401


def test_ticket_is_not_taken_where_a_token_is_asked_for() -> None:
    access = Access(token="steer")
    scope = asked(ticket=access.issue(call_id=None, control=True))

    with pytest.raises(Denied):
        access.check(scope, control=True, tickets=False)


def test_ticket_does_not_open_a_local_api_to_others() -> None:
    access = Access()
    ticket = access.issue(call_id=None, control=False)

    assert refusal(access, asked(client="192.0.2.7", ticket=ticket)).status == 403


def test_tickets_that_are_over_are_forgotten() -> None:
    wall = Watch()
    access = Access(token="steer", wall=wall)
    for _ in range(100):
        wall.at += 6
        access.check(asked(ticket=access.issue(call_id=None, control=False)), control=False)

    assert len(access._tickets._used) == 10


def test_query_with_too_many_fields_has_no_ticket() -> None:
    scope = asked() | {"query_string": b"&".join(b"ticket=%d" % number for number in range(101))}

    assert refusal(Access(token="steer"), scope).status == 401
