"""What Twilio asks over HTTP: what to do with a call, and what became of it. Answers TwiML; decides nothing else.

The `action` URL of our `<Connect>` is where a call goes when its stream has ended, for whatever reason. It is how we
hang up, transfer, and get a call back whose socket broke. Twilio repeats a webhook whose answer it missed: every
answer here may be asked for twice.

The address of the voice webhook may carry `?front_token=…`, which Twilio signs with it: whoever places a call with this
address names the browser front that waits for it (`live/fronts.py`). It goes on as a parameter of the stream.

Sources: Twilio, TwiML Voice: `<Connect>` and `<Stream>`; Call status callbacks; PROTOCOLS 1.1, 1.5, 1.6.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias, assert_never
from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from adapters.carriers.contract import CallDesk
from adapters.carriers.twilio import twiml
from adapters.carriers.twilio.calls import TwilioCalls
from adapters.carriers.twilio.codec import CALL_SID
from adapters.carriers.twilio.config import TwilioConfig
from adapters.carriers.twilio.signature import Request, base_url, is_signed
from adapters.carriers.twilio.translate import CARRIER, status_trigger
from fsm.errors import PortError
from fsm.triggers import CallEnded, CallTransferred

__all__ = ["STATUS_PATH", "VOICE_PATHS", "routes"]

VOICE_PATHS = ("/twilio/voice", "/incoming-call", "/twiml")
STATUS_PATH = "/twilio/status"

_MAX_BODY = 65_536
_MAX_FIELDS = 200
_FRONT_TOKEN = "front_token"
_SUITABLE_TOKEN = re.compile(r"[A-Za-z0-9._~:@=/-]{16,128}")
_log = logging.getLogger(__name__)

Fields: TypeAlias = Mapping[str, str]
Answer: TypeAlias = Callable[[str, Fields, str], Awaitable[Response]]


class _RefusedError(Exception):
    """A request that we do not serve."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.message = message
        super().__init__(message)


class _Webhooks:
    """The endpoints. `calls` is shared with the media socket of the same process."""

    def __init__(self, config: TwilioConfig, desk: CallDesk, calls: TwilioCalls) -> None:
        self._config = config
        self._desk = desk
        self._calls = calls

    def endpoint(self, answer: Answer) -> Callable[[HttpRequest], Awaitable[Response]]:
        """Return an endpoint that checks a request before `answer(call id, fields, our base URL)` sees it."""

        async def endpoint(http: HttpRequest) -> Response:
            try:
                call_id, fields, base = await self._checked(http)
            except _RefusedError as refused:
                _log.info("webhook_refused", extra={"carrier": CARRIER, "path": http.url.path, "why": refused.message})
                return PlainTextResponse(refused.message + "\n", status_code=refused.status)
            return await answer(call_id, fields, base)

        return endpoint

    async def voice(self, call_id: str, fields: Fields, base: str) -> Response:
        """A call comes in."""
        if self._calls.is_over(call_id):
            return _twiml(twiml.hang_up())
        caller, called = fields.get("From", ""), fields.get("To", "")
        match await self._desk.announce(call_id, carrier=CARRIER, caller=caller, called=called):
            case "busy":
                return _twiml(twiml.busy())
            case "over":
                return _twiml(twiml.hang_up())
            case "welcome":
                self._calls.see(call_id, caller=caller, called=called)
                return self._connect(call_id, base, caller, called, **{_FRONT_TOKEN: fields[_FRONT_TOKEN]})
            case other:
                assert_never(other)

    async def after_stream(self, call_id: str, fields: Fields, base: str) -> Response:
        """The stream of a call has ended: what now?"""
        if (ended := status_trigger(fields.get("CallStatus", ""))) is not None:
            return await self._ended(call_id, ended)
        call = self._calls.get(call_id)
        if call is None and (target := await self._asked_elsewhere(call_id)):
            call = self._calls.see(call_id)
            call.transfer_target = target
        if call is not None and call.transfer_target:
            if not call.transferred:
                call.transferred = True
                await self._desk.post(call_id, CallTransferred())
            return _twiml(twiml.dial(call.transfer_target))
        leaving = self._calls.is_over(call_id) or (call is not None and call.hanging_up)
        if not leaving and await self._desk.is_live(call_id):
            call = self._calls.see(call_id, caller=fields.get("From", ""), called=fields.get("To", ""))
            return self._connect(call_id, base, call.caller, call.called, again="1")
        return _twiml(twiml.hang_up())

    async def status(self, call_id: str, fields: Fields, base: str) -> Response:
        """A call has another status. May come before its socket, after its end, or about a call we do not know."""
        if (ended := status_trigger(fields.get("CallStatus", ""))) is not None:
            await self._ended(call_id, ended)
        return Response(status_code=204)

    async def _ended(self, call_id: str, ended: CallEnded) -> Response:
        self._calls.end(call_id)  # first: a socket that comes meanwhile is late
        await self._desk.post(call_id, ended)
        return _twiml(twiml.hang_up())

    async def _asked_elsewhere(self, call_id: str) -> str:
        """Return whom the node that has the call wants dialled; empty if it wants nobody, or nobody that can be."""
        try:
            return twiml.dialable(await self._desk.transfer_target(call_id))
        except PortError:
            return ""

    async def stream_status(self, call_id: str, fields: Fields, base: str) -> Response:
        """A stream started, stopped or failed. Its socket says the same; only why it failed is said nowhere else."""
        if fields.get("StreamEvent") == "stream-error":
            _log.warning(
                "stream_error",
                extra={"carrier": CARRIER, "call_id": call_id, "why": fields.get("StreamError", "")[:200]},
            )
        return Response(status_code=204)

    def _connect(self, call_id: str, base: str, caller: str, called: str, **more: str) -> Response:
        token = self._calls.token(call_id)
        return _twiml(twiml.connect(base, {"token": token, "caller": caller, "called": called, **more}))

    async def _checked(self, http: HttpRequest) -> tuple[str, Fields, str]:
        request = Request(http.scope)
        fields, signed = await _fields(http, request)
        if self._config.auth_token and not is_signed(self._config, request, signed):
            raise _RefusedError(403, "The request is not signed by Twilio: X-Twilio-Signature is missing or wrong.")
        call_id = fields.get("CallSid", "")
        if not CALL_SID.fullmatch(call_id):
            raise _RefusedError(400, "CallSid is missing or malformed: this address is for Twilio's voice webhooks.")
        base = base_url(self._config, request)
        if base is None:
            raise _RefusedError(400, "The request names no host.")
        return call_id, {**fields, _FRONT_TOKEN: _front_token(call_id, request.query)}, base


def routes(config: TwilioConfig, desk: CallDesk, calls: TwilioCalls) -> list[Route]:
    """Return every webhook of Twilio. Twilio posts by default; GET, which may be configured, is served alike."""
    hooks = _Webhooks(config, desk, calls)
    answers: list[tuple[str, Answer]] = [
        *((path, hooks.voice) for path in VOICE_PATHS),
        (twiml.AFTER_STREAM_PATH, hooks.after_stream),
        (STATUS_PATH, hooks.status),
        (twiml.STREAM_STATUS_PATH, hooks.stream_status),
    ]
    return [Route(path, hooks.endpoint(answer), methods=["POST", "GET"]) for path, answer in answers]


async def _fields(http: HttpRequest, request: Request) -> tuple[dict[str, str], list[tuple[str, str]] | str]:
    """Return what the request says, and what of it is signed beside its URL."""
    if http.method != "POST":
        return dict(_pairs(request.query)), []
    body = await _body(http)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json":
        return _json_fields(body), body
    pairs = _pairs(body)
    return dict(pairs), pairs


def _front_token(call_id: str, query: str) -> str:
    """Return the token of the front that waits for this call; a call is not refused because of one that is none."""
    shown = dict(_pairs(query)).get(_FRONT_TOKEN, "")
    if not shown or _SUITABLE_TOKEN.fullmatch(shown):
        return shown
    _log.warning("front_token_unsuitable", extra={"carrier": CARRIER, "call_id": call_id, "length": len(shown)})
    return ""


async def _body(http: HttpRequest) -> str:
    body = bytearray()
    async for chunk in http.stream():
        body += chunk
        if len(body) > _MAX_BODY:
            raise _RefusedError(413, f"The body is longer than {_MAX_BODY} bytes.")
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise _RefusedError(400, "The body is not UTF-8.") from None


def _pairs(form: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(form, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise _RefusedError(400, f"The form has more than {_MAX_FIELDS} fields.") from None


def _json_fields(body: str) -> dict[str, str]:
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise _RefusedError(400, "The body is not JSON.") from None
    if not isinstance(fields, dict):
        raise _RefusedError(400, "The body is not a JSON object.")
    return {name: value for name, value in fields.items() if isinstance(value, str)}


def _twiml(document: str) -> Response:
    return Response(document, media_type="text/xml")
