"""One response at a time: the queue of requests for replies, and the life of the one that is being made.

How this works. A request waits in the queue, then takes the only slot:

    queued -> asked -> made -> ended        `asked`: `response.create` is sent; `made`: `response.created` has come
                ^  \\                       cancelled ones keep the slot until the server has ended them
                |   refused as `conversation_already_has_active_response`
                +-- blocked                 asked again after the next `response.done`, or a while, ever longer

Only what answers our own request is played. A response that the server made by itself is cancelled and ignored, and
so is whatever a response still sends after it was cancelled. Each request ends in one `ResponseEnd`, unless `cancel`
forgets it before the server has made anything of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, assert_never

from adapters.sts.contract import ResponseEnd
from adapters.sts.openai import events as e
from adapters.sts.openai.config import OpenAiConfig
from adapters.sts.openai.reports import Reports
from fsm.clock import Clock, TimerHandle
from fsm.triggers import ToolCall, Usage

__all__ = ["Responses"]

_TRIES = 3  # sessions in which one reply is asked for
_ENDED_KEPT = 64
_SLACK = 0.001  # seconds by which a timer may come early
_BLOCKED_PAUSE = 0.25  # the server may tell of an end before its slot is free; doubled each time it was too short
_TOKEN = "request"

Status = Literal["completed", "cancelled", "incomplete", "failed"]
_STATUSES: dict[str, Status] = {"completed": "completed", "cancelled": "cancelled", "incomplete": "incomplete"}


@dataclass(slots=True)
class _Reply:
    """A request, and what the server makes of it."""

    purpose: str
    instructions: str
    tries: int = 0
    token: str = ""
    event_id: str = ""
    """Of the `response.create` that is under way; empty while blocked."""
    response_id: str = ""
    refusals: int = 0
    """How often it met another active response."""
    due: float = 0.0
    """When we lose patience."""
    cancelled: bool = False
    cancel_id: str = ""
    spoken: dict[str, None] = field(default_factory=dict)
    unheard: dict[str, None] = field(default_factory=dict)
    """Items whose audio came only after the reply was cancelled."""
    calls: dict[str, ToolCall] = field(default_factory=dict)


class Responses:
    """The serial worker. `send` sends a command and returns its event id; `give_up` ends a session that stalls."""

    def __init__(
        self,
        reports: Reports,
        clock: Clock,
        config: OpenAiConfig,
        *,
        send: Callable[[e.Command], str],
        called: Callable[[ToolCall], None],
        give_up: Callable[[str], None],
    ) -> None:
        self.conversation_id = ""
        """Of the newest response of ours."""
        self._reports = reports
        self._clock = clock
        self._config = config
        self._send = send
        self._called = called
        self._give_up = give_up
        self._open = False
        self._queue: deque[_Reply] = deque()
        self._reply: _Reply | None = None
        self._timer: TimerHandle | None = None
        self._pause: TimerHandle | None = None
        self._ended: dict[str, None] = {}
        self._seen_calls: dict[str, None] = {}
        self._count = 0

    @property
    def idle(self) -> bool:
        """Whether nothing is being made or waits to be."""
        return self._reply is None and not self._queue

    @property
    def active_id(self) -> str | None:
        """The response that is being made and was not cancelled."""
        reply = self._reply
        return None if reply is None or reply.cancelled else reply.response_id or None

    # -- what the call wants ----------------------------------------------------------------------

    def request(self, purpose: str, instructions: str) -> None:
        """Queue a request for one reply."""
        self._queue.append(_Reply(purpose, instructions))
        self._next()

    def cancel(self) -> None:
        """Cancel what is being made and forget what is queued."""
        self._queue.clear()
        reply = self._reply
        if reply is None or reply.cancelled:
            return
        if not reply.event_id:
            self._free()
            return
        reply.cancelled = True
        self._cancel_now(reply)

    def opened(self) -> None:
        """A session is ready."""
        self._open = True
        self._next()

    def lost(self) -> None:
        """The session is gone. A reply whose audio never began is asked for again in the next."""
        self._open = False
        reply = self._reply
        if reply is None:
            return
        if reply.cancelled:
            self._end(reply, "cancelled", "lost")
        elif reply.spoken or reply.calls:
            self._end(reply, "incomplete", "lost")
        elif reply.tries < _TRIES:
            self._free()
            self._queue.appendleft(_Reply(reply.purpose, reply.instructions, reply.tries))
        else:
            self._end(reply, "failed", "lost")

    def close(self) -> None:
        """Forget everything; report nothing."""
        self._open = False
        self._queue.clear()
        self._free()

    # -- what the server tells --------------------------------------------------------------------

    def take(self, event: e.ResponseCreated | e.ItemDone | e.ResponseDone) -> None:
        """Follow a response through its life."""
        match event:
            case e.ResponseCreated():
                self._created(event)
            case e.ItemDone():
                self._item_done(event)
            case e.ResponseDone():
                self._done(event)
            case _:
                assert_never(event)

    def _created(self, event: e.ResponseCreated) -> None:
        """The server takes up a request, or speaks unasked."""
        reply = self._reply
        if event.response_id in self._ended or (reply is not None and event.response_id == reply.response_id):
            return
        if reply is None or not reply.event_id or reply.response_id or not _answers(event.metadata, reply.token):
            self._send(e.CancelResponse(event.response_id))
            return
        reply.response_id = event.response_id
        self.conversation_id = event.conversation_id
        if reply.cancelled:
            self._cancel_now(reply)
        else:
            self._allow(reply, self._config.stall_timeout)

    def audio(self, event: e.AudioDelta) -> str | None:
        """Return the purpose of the reply to which this audio belongs, or None: it is not to be played."""
        reply = self._made(event.response_id)
        if reply is None:
            return None
        if reply.cancelled:
            if event.item_id not in reply.spoken:
                reply.unheard[event.item_id] = None
            return None
        reply.due = self._clock.now() + self._config.stall_timeout
        reply.spoken[event.item_id] = None
        return reply.purpose

    def text(self, event: e.TextDelta) -> bool:
        """Whether these words belong to a reply that is played."""
        self.progressed(event.response_id)
        return self.active_id == event.response_id

    def progressed(self, response_id: str) -> None:
        """The response is still being made."""
        reply = self._made(response_id)
        if reply is not None and not reply.cancelled:
            reply.due = self._clock.now() + self._config.stall_timeout

    def _item_done(self, event: e.ItemDone) -> None:
        """One item is over; a function call counts only if it is whole."""
        self.progressed(event.response_id)
        reply = self._made(event.response_id)
        if reply is not None:
            self._take_call(reply, event.item, whole="completed")

    def _done(self, event: e.ResponseDone) -> None:
        """A response is over, ours or another."""
        reply = self._made(event.response_id)
        if reply is None:
            self._ask_again()
            return
        for item in event.items:
            self._take_call(reply, item, whole=item.status or event.status)
        for item_id in reply.unheard:
            self._send(e.TruncateItem(item_id, 0))
        status = _STATUSES.get(event.status, "failed")
        self._end(reply, "cancelled" if reply.cancelled else status, event.reason, event.usage)

    def refused(self, error: e.PeerError) -> bool:
        """Whether an error is about a request or a cancellation of ours, and has been seen to."""
        reply = self._reply
        if reply is None:
            return False
        if error.code == "response_cancel_not_active" and reply.cancel_id:
            if reply.response_id and error.event_id in ("", reply.cancel_id):
                self._end(reply, "cancelled", "")
            return True
        taken = error.code == "conversation_already_has_active_response"
        ours = error.event_id == reply.event_id or (taken and not error.event_id)
        if not ours or not reply.event_id or reply.response_id:
            return False
        if reply.cancelled:
            self._free()
            self._next()
        elif taken:
            reply.event_id = ""
            pause = _BLOCKED_PAUSE * 2**reply.refusals
            reply.refusals += 1
            self._pause = self._clock.call_at(self._clock.now() + pause, self._ask_again)
        else:
            self._end(reply, "failed", error.code or error.kind)
        return True

    # -- the slot ---------------------------------------------------------------------------------

    def _made(self, response_id: str) -> _Reply | None:
        reply = self._reply
        return reply if reply is not None and response_id and reply.response_id == response_id else None

    def _next(self) -> None:
        if not self._open or self._reply is not None or not self._queue:
            return
        reply = self._reply = self._queue.popleft()
        reply.tries += 1
        self._count += 1
        reply.token = f"r{self._count}"
        self._allow(reply, self._config.response_timeout)
        self._ask(reply)

    def _ask(self, reply: _Reply) -> None:
        reply.event_id = self._send(
            e.CreateResponse(reply.instructions, {"purpose": reply.purpose, _TOKEN: reply.token})
        )

    def _ask_again(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
            assert self._reply is not None
            self._ask(self._reply)

    def _cancel_now(self, reply: _Reply) -> None:
        self._allow(reply, self._config.cancel_timeout)
        reply.cancel_id = self._send(e.CancelResponse(reply.response_id))

    def _take_call(self, reply: _Reply, item: e.OutputItem, *, whole: str) -> None:
        is_call = item.kind == "function_call" and item.call_id and item.tool
        if not is_call or (item.status or whole) != "completed" or item.call_id in self._seen_calls:
            return
        _keep(self._seen_calls, item.call_id)
        call = ToolCall(call_id=item.call_id, tool=item.tool, arguments=item.arguments or "{}")
        reply.calls[item.call_id] = call
        self._called(call)

    def _end(self, reply: _Reply, status: Status, reason: str, usage: Usage | None = None) -> None:
        if reply.response_id:
            _keep(self._ended, reply.response_id)
        self._free()
        forgotten = reply.cancelled and not reply.response_id
        if not forgotten:
            self._reports.to.on_response_end(
                ResponseEnd(
                    response_id=reply.response_id,
                    purpose=reply.purpose,
                    status=status,
                    reason=reason,
                    item_ids=tuple(reply.spoken),
                    calls=tuple(reply.calls.values()),
                    usage=usage,
                )
            )
        self._next()

    def _free(self) -> None:
        self._reply = None
        for timer in (self._timer, self._pause):
            if timer is not None:
                timer.cancel()
        self._timer = self._pause = None

    # -- patience ---------------------------------------------------------------------------------

    def _allow(self, reply: _Reply, seconds: float) -> None:
        reply.due = self._clock.now() + seconds
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._clock.call_at(reply.due, lambda: self._check(reply))

    def _check(self, reply: _Reply) -> None:
        self._timer = None
        if reply.due > self._clock.now() + _SLACK:
            self._timer = self._clock.call_at(reply.due, lambda: self._check(reply))
            return
        self._open = False
        self._end(reply, "cancelled" if reply.cancelled else "failed", "stalled")
        self._give_up("stalled")


def _answers(metadata: Mapping[str, Any], token: str) -> bool:
    """Whether a response is the one asked for. A server that repeats no metadata is taken at its word."""
    return not metadata or metadata.get(_TOKEN) == token


def _keep(kept: dict[str, None], name: str) -> None:
    kept[name] = None
    if len(kept) > _ENDED_KEPT:
        del kept[next(iter(kept))]
