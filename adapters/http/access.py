"""Who may look at calls, and who may steer them. The same rules for requests, streams and sockets.

A token in `Authorization: Bearer` tells who asks. Where no token is set, only programs of this machine may ask, and
not through a proxy, behind which anybody may stand. A browser is on this machine too, and runs the scripts of any page:
so a page of another origin is refused unless it is allowed by name, and a name in `Host` that is not this machine's is
refused where no token protects us (DNS rebinding).
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from ipaddress import IPv6Address, ip_address
from typing import Any, NoReturn
from urllib.parse import parse_qs, urlsplit

from adapters.http.tickets import Ticket, Tickets
from fsm.errors import CallchartError

__all__ = ["Access", "Denied"]

_FORWARDING = frozenset(
    {b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip",
     b"x-forwarded-server", b"x-forwarded-port", b"cf-connecting-ip", b"true-client-ip", b"x-client-ip"}
)  # fmt: skip
_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="callchart"'}
_WRONG = {"WWW-Authenticate": 'Bearer realm="callchart", error="invalid_token"'}


class Denied(CallchartError):
    """A request is refused.

    Attributes:
        status: of HTTP, 401 (nobody has said who asks) or 403.
        title: the status in words.
        detail: why, and what to change.
        headers: that the answer has to have.
    """

    def __init__(self, status: int, title: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = dict(headers or {})
        super().__init__(detail)


class Access:
    """Admits requests, by their ASGI scope.

    Args:
        token: of those who may do everything; empty: none is set.
        read_token: of those who may look; empty: none is set.
        origins: of pages whose scripts may ask us, beside our own.
        secret: what tickets are signed with, the same on every node; empty: a random one.
        wall: seconds since the epoch.
    """

    def __init__(
        self,
        *,
        token: str = "",
        read_token: str = "",
        origins: Sequence[str] = (),
        secret: str = "",
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._control = _digest(token.encode()) if token else None
        self._read = _digest(read_token.encode()) if read_token else None
        self.origins = frozenset(origin.lower() for origin in origins)
        self._tickets = Tickets(secret, wall)

    @property
    def local_only(self) -> bool:
        """Whether no token is set, and so nobody but this machine may ask."""
        return self._control is None and self._read is None

    def check(
        self,
        scope: MutableMapping[str, Any],
        *,
        control: bool,
        call_id: str | None = None,
        tickets: bool = True,
    ) -> str | None:
        """Return if this request or socket may look (or, with `control`, steer): the only call that it may, or None.

        Args:
            scope: of ASGI, `http` or `websocket`.
            call_id: the call it is about; None: no one in particular, or all.
            tickets: whether `?ticket=` is taken in place of a token. A ticket is used up by this.

        Raises:
            Denied: it may not.
        """
        headers = _headers(scope)
        self.check_origin(scope)
        if self.local_only:
            _check_local(scope, headers)
        if tickets and (shown := _ticket(scope)) is not None:
            return self._check_ticket(shown, control=control, call_id=call_id)
        if not self.local_only:
            self._check_token(headers.get(b"authorization", b""), control=control)
        return None

    def issue(self, *, call_id: str | None, control: bool) -> str:
        """Return a ticket; whoever asks for it was checked before."""
        return self._tickets.issue(Ticket(call_id, control))

    def check_origin(self, scope: MutableMapping[str, Any]) -> None:
        """Return unless a page of another origin asks, that nobody has allowed.

        Raises:
            Denied: it does.
        """
        headers = _headers(scope)
        origin = headers.get(b"origin")
        if origin is None or self.is_allowed(origin) or _is_own(origin, headers.get(b"host", b"")):
            return
        _forbid("pages of this origin may not use the API; to let them, add it to CALLCHART_ALLOWED_ORIGINS")

    def is_allowed(self, origin: bytes) -> bool:
        """Whether this origin, not our own, stands among those whose pages may ask us."""
        return origin.decode("latin-1").lower() in self.origins

    def identity(self, scope: MutableMapping[str, Any]) -> str:
        """Return who asks, for counting: that of a token that is ours, else the address."""
        shown = _digest(_bearer(_headers(scope).get(b"authorization", b"")))
        if _same(shown, self._control):
            return "control"
        if _same(shown, self._read):
            return "read"
        return str((scope.get("client") or ("",))[0])

    # -- inside ----------------------------------------------------------------------------------

    def _check_token(self, header: bytes, *, control: bool) -> None:
        shown = _bearer(header)
        if not shown:
            what = "Authorization: Bearer, with the token of CALLCHART_API_TOKEN"
            detail = f"say who asks: {what}{'' if control else ' or CALLCHART_API_READ_TOKEN'}"
            raise Denied(401, "Unauthorized", detail, _CHALLENGE)
        digest = _digest(shown)
        may_control, may_read = _same(digest, self._control), _same(digest, self._read)
        if may_control or (may_read and not control):
            return
        if not may_read:
            raise Denied(401, "Unauthorized", "this token is none of ours", _WRONG)
        if self._control is None:
            _forbid("no token is set that may change anything; set CALLCHART_API_TOKEN")
        _forbid("this token only reads; the one of CALLCHART_API_TOKEN is needed")

    def _check_ticket(self, shown: str, *, control: bool, call_id: str | None) -> str | None:
        ticket = self._tickets.redeem(shown)
        if ticket is None:
            detail = (
                "this ticket is over, was used, or is none of ours: ask for a new one at POST /api/v1/tickets; "
                "with several nodes, set CALLCHART_TOKEN_SECRET to the same on all of them"
            )
            raise Denied(401, "Unauthorized", detail, _CHALLENGE)
        if not ticket.allows(call_id=call_id, control=control):
            _forbid("this ticket is for another call, or only for looking; ask for the right one")
        return ticket.call_id


def _check_local(scope: MutableMapping[str, Any], headers: Mapping[bytes, bytes]) -> None:
    setting = "set CALLCHART_API_TOKEN (and CALLCHART_API_READ_TOKEN for those who may only look)"
    if not _is_loopback(str((scope.get("client") or ("",))[0])):
        _forbid(f"without a token only this machine may ask; {setting}")
    if not _FORWARDING.isdisjoint(headers):
        _forbid(f"without a token nobody may ask through a proxy; {setting}")
    if not _is_local_host(headers.get(b"host", b"")):
        _forbid(f"without a token only localhost, 127.0.0.1 and [::1] are answered as Host; {setting}")


def _forbid(detail: str) -> NoReturn:
    raise Denied(403, "Forbidden", detail)


def _headers(scope: MutableMapping[str, Any]) -> dict[bytes, bytes]:
    return {name.lower(): value for name, value in scope.get("headers", ())}


def _bearer(header: bytes) -> bytes:
    kind, _, token = header.strip().partition(b" ")
    return token.strip() if kind.lower() == b"bearer" else b""


def _digest(token: bytes) -> bytes:
    """Return what is compared instead: of one length, whatever was sent."""
    return hashlib.sha256(token).digest()


def _same(shown: bytes, ours: bytes | None) -> bool:
    return ours is not None and hmac.compare_digest(shown, ours)


def _ticket(scope: MutableMapping[str, Any]) -> str | None:
    query = scope.get("query_string", b"").decode("latin-1")
    if "ticket" not in query:
        return None
    try:
        shown = parse_qs(query, keep_blank_values=True, max_num_fields=100).get("ticket")
    except ValueError:  # too many fields
        return None
    return shown[0] if shown else None


def _is_loopback(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


def _is_local_host(host: bytes) -> bool:
    name = _split(b"//" + host)[0]
    return name == "localhost" or _is_loopback(name)


def _is_own(origin: bytes, host: bytes) -> bool:
    """Whether an origin names the host that was asked; a proxy may have taken TLS away, so the scheme is not asked."""
    scheme = origin.partition(b":")[0]
    if scheme not in (b"http", b"https"):
        return False
    return bool(host) and _split(origin) == _split(scheme + b"://" + host)


def _split(url: bytes) -> tuple[str, int]:
    """Return name and port; ("", 0) if it has none."""
    try:
        parts = urlsplit(url.decode("latin-1").lower())
        return parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return "", 0
