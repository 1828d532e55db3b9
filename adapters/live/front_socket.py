"""One browser front on `/logs`: it hears a call, and says how the call is to be conducted.

Two things go on at once: what the front says is taken in turn, and what it hears follows its binding, from one call to
the next. Whatever it says that cannot be done is answered with an `error`; only what is no conversation any more closes
the socket.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import aclosing
from typing import Any, Literal, NamedTuple, assert_never

from adapters.calls.contract import Calls, UnknownCall, Unreachable
from adapters.live.fronts import By, Fronts, Key, TooMany
from adapters.live.hub import Hub, Lagged
from adapters.live.messages import Bind, Configure, Ping, SessionUpdate
from adapters.live.sockets import AGAIN
from adapters.live.watching import HEARTBEAT, OneCall
from adapters.live.wire import BadMessage, Close, Gone, Wire, together
from fsm.errors import CallchartError

__all__ = ["CLEARED", "FrontSocket"]

CLEARED = 4001
"""Close code: all calls were reset; begin anew."""


class _Binding(NamedTuple):
    """What a front is bound to; `call_id` is empty while it waits for the call of `key`."""

    key: Key
    call_id: str = ""
    expected: bool = False


class FrontSocket:
    """A `Front` (see `fronts.py`) over one WebSocket.

    Args:
        only: the one call that it may turn to; None: any.
    """

    def __init__(self, wire: Wire, hub: Hub, calls: Calls, fronts: Fronts, *, only: str | None = None) -> None:
        self._only = only
        self._wire = wire
        self._hub = hub
        self._calls = calls
        self._fronts = fronts
        self._binding = _Binding(Key("token", secrets.token_urlsafe(18)))
        self._watcher: OneCall | None = None
        self._after = ""
        self._changed = asyncio.Event()
        self._dropped: list[Literal["expired", "replaced"]] = []
        self._cleared = False

    async def serve(self, key: Key | None, after: str = "") -> None:
        """Serve the front until it leaves.

        Args:
            key: what it named when it connected; None: it gets a token of its own.
            after: the id of the last event that it heard of the call, if it has been here before.
        """
        self._after = after
        try:
            await self._bind(key or self._binding.key)
            await together(self._tell(), self._wire.serve(self._take))
        except Gone:
            pass
        except Close as close:
            await self._wire.close(close.code, str(close))
        except CallchartError as error:
            known = isinstance(error, Lagged | TooMany)
            await self._wire.close(AGAIN, str(error) if known else "connect again, after the last id")
        finally:
            self._fronts.leave(self, self._binding.key)
            if self._watcher is not None:
                self._watcher.close()

    # -- Front -----------------------------------------------------------------------------------

    def bound(self, call_id: str, by: By) -> None:
        self._turn_to(_Binding(self._binding.key, call_id, expected=True))

    def dropped(self, why: Literal["expired", "replaced"]) -> None:
        self._dropped.append(why)
        self._changed.set()

    def cleared(self) -> None:
        self._cleared = True
        self._changed.set()

    # -- what it hears ---------------------------------------------------------------------------

    async def _tell(self) -> None:
        while True:
            self._changed.clear()
            if self._cleared:
                raise Close(CLEARED, "all calls were reset; begin anew")
            while self._dropped:
                await self._wire.say("configuration.dropped", None, {"why": self._dropped.pop(0)})
            binding = self._binding
            if binding.call_id and self._watcher is None:
                await self._follow(binding)
            else:
                await self._pause()

    async def _pause(self) -> None:
        """Wait until something has changed."""
        try:
            async with asyncio.timeout(HEARTBEAT):
                await self._changed.wait()
        except TimeoutError:
            await self._wire.beat()

    async def _follow(self, binding: _Binding) -> None:
        """Tell of a call until it is over, or the front turns to another."""
        call_id, after, self._after = binding.call_id, self._after, ""
        await self._wire.say("bound", call_id, {"by": binding.key.by})
        watcher = self._watcher = OneCall(self._hub, self._calls, call_id, after, expected=binding.expected)
        try:
            if await watcher.start():
                async with aclosing(watcher.messages()) as messages:
                    async for told in messages:
                        await self._wire.send(told.text)
        except CallchartError as error:
            if isinstance(error, Gone) or self._binding is binding:
                raise
            return  # it has turned to another call
        finally:
            watcher.close()
        if self._binding is binding and binding.key.by == "called":
            await self._bind(binding.key)  # the next call to that number, from a clean state

    # -- what it says ----------------------------------------------------------------------------

    async def _take(self, said: Configure | SessionUpdate | Bind | Ping) -> None:
        try:
            await self._do(said)
        except (Unreachable, TooMany) as error:
            raise BadMessage("try_again", str(error)) from error

    async def _do(self, said: Configure | SessionUpdate | Bind | Ping) -> None:
        match said:
            case Ping():
                await self._wire.beat(self._binding.call_id or None)
            case Bind():
                await self._bind(_key_of(said))
            case Configure():
                await self._configure(said.call_id, said.data.model_dump(exclude_none=True), [])
            case SessionUpdate():
                job, ignored = _job_of(said)
                await self._configure(said.call_id, job, ignored)
            case _:
                assert_never(said)

    async def _configure(self, call_id: str | None, job: dict[str, Any], ignored: list[str]) -> None:
        if not any(job.values()):
            raise BadMessage("empty", "say at least one of instructions, voice, language, metadata")
        if call_id is not None and call_id not in (self._binding.call_id, self._binding.key.value):
            await self._bind(Key("call_id", call_id))
        binding = self._binding
        if binding.call_id:
            data = await self._post(binding.call_id, job)
        else:
            data = {"applied": False, "expires_in": self._fronts.configure(self, binding.key, job)}
        await self._wire.say("configured", binding.call_id or None, {**data, "ignored": ignored})

    async def _post(self, call_id: str, job: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"applied": True, "seq": await self._calls.post(call_id, "session.configured", job)}
        except UnknownCall:  # it is being opened: what waits is asked for again when its socket comes
            return {"applied": False, "expires_in": self._fronts.configure(self, Key("call_id", call_id), job)}
        except CallchartError as error:
            code = {"CallOver": "call_over", "Unreachable": "try_again"}.get(type(error).__name__, "refused")
            raise BadMessage(
                code, f'{error}; bind to another call with {{"type": "bind", ...}}, or try again'
            ) from error

    # -- which call ------------------------------------------------------------------------------

    async def _bind(self, key: Key) -> None:
        """Turn to the call of `key`: wait first, then look, so that it cannot come unseen in between."""
        if self._only is not None and key != Key("call_id", self._only):
            raise BadMessage("refused", "this connection's ticket is for one call; connect with a ticket for the other")
        self._fronts.leave(self, self._binding.key)
        self._fronts.wait(self, key)
        waiting = _Binding(key)
        self._turn_to(waiting)
        if key.by == "call_id" and await self._is_known(key.value):
            if self._binding is waiting:
                self._fronts.leave(self, key)
                self._turn_to(_Binding(key, key.value))
        elif self._binding is waiting:
            await self._wire.say("waiting", None, {"by": key.by, "value": key.value})

    async def _is_known(self, call_id: str) -> bool:
        try:
            await self._calls.get(call_id)
        except UnknownCall:
            return False
        return True

    def _turn_to(self, binding: _Binding) -> None:
        self._binding = binding
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None
        self._changed.set()


def _key_of(said: Bind) -> Key:
    wanted = (
        Key("call_id", said.call_id or said.data.call_id or ""),
        Key("called", said.data.called or ""),
        Key("token", said.data.token or ""),
    )
    named = [key for key in wanted if key.value]
    if len(named) != 1:
        raise BadMessage("invalid", "bind: name one of call_id, called, token")
    return named[0]


def _job_of(said: SessionUpdate) -> tuple[dict[str, Any], list[str]]:
    """Return what can be used of a session as the model's own API has it, and the names of what cannot."""
    session = said.session
    job = {"instructions": session.instructions, "voice": session.voice}
    return {name: value for name, value in job.items() if value is not None}, sorted(session.model_extra or ())
