"""The connection to Redis: one server, one that sentinels watch, or a cluster. Nothing else imports the client.

The client's own defaults would wait for the better part of a minute for a server that is stalled, and try again by
themselves. Here nothing waits for longer than a deadline, nothing is repeated, and a breaker keeps others from waiting
for what has just failed. A connection on which a reply is outstanding is never used again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import hiredis
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.connection import AbstractConnection, ConnectionPool, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisClusterException, RedisError, ResponseError

from adapters.stores.breaker import Breaker
from adapters.stores.contract import CallRefused, StoreAway
from adapters.stores.redis_errors import LOST, as_away, as_refused, why_unfit, wrong_setting
from adapters.stores.redis_scripts import load_scripts
from fsm.errors import SettingError

__all__ = ["Command", "Link", "Target"]

log = logging.getLogger(__name__)
Command: TypeAlias = tuple[Any, ...]
"""Name and arguments: bytes, text or numbers. Of a script: EVALSHA, its sha, the number of keys, the keys …"""
_AT_ONCE = 32  # exchanges that are under way at most, each on a connection of its own
_STRIDE = 32  # commands that are sent before others may run; the server works on them meanwhile
_QUIET = 5.0  # seconds without a message until a server that we listen to is asked whether it is there
_SHAS = 2  # how often a server may forget its scripts while we load them


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Which Redis, and how long it may take. Durations are seconds.

    Attributes:
        password, db: empty and 0: what the URL says.
        connect_within: for a TCP connection.
        answer_within: for the answer to whatever is sent at once.
    """

    url: str = field(default="redis://localhost:6379", repr=False)
    password: str = field(default="", repr=False)
    db: int = 0
    sentinels: tuple[tuple[str, int], ...] = ()
    sentinel_service: str = "mymaster"
    cluster: bool = False
    connect_within: float = 0.5
    answer_within: float = 1.0


class Link:
    """Carries commands to Redis and replies back.

    Args:
        keeps: whether calls are kept there: then it must not evict, and is given our scripts.

    Attributes:
        scripts: by name.
    """

    def __init__(self, target: Target, *, keeps: bool = True, breaker: Breaker | None = None) -> None:
        self.target = target
        self.scripts = load_scripts()
        self._breaker = breaker or Breaker()
        self._client = _client(target)
        self._within = target.connect_within + target.answer_within
        self._permits = asyncio.Semaphore(_AT_ONCE)
        self._is_checked = not keeps

    @property
    def away(self) -> bool:
        """Whether Redis did not answer when it was last asked, or must not be used."""
        return self._breaker.away

    @property
    def reason(self) -> str:
        """Return why it is away; empty if it is not."""
        return self._breaker.reason

    async def start(self) -> None:
        """Look whether it may be used; returns if it cannot be reached.

        Raises:
            SettingError: it evicts, takes neither our password nor our database, or is no cluster, or one.
        """
        wrong: SettingError | None = None
        try:
            with self._breaker.attempt():
                try:
                    await self._check()
                except SettingError as error:
                    wrong = error
                    raise StoreAway(str(error)) from error
        except StoreAway as away:
            log.warning("redis_away", extra={"reason": str(away)})
        if wrong is not None:
            raise wrong

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()
        pool = getattr(self._client, "connection_pool", None)
        if isinstance(pool, SentinelConnectionPool):
            await asyncio.gather(*(sentinel.aclose() for sentinel in pool.sentinel_manager.sentinels))

    def script(self, name: str, keys: Sequence[bytes], *args: Any) -> Command:
        """Return the command that runs a script."""
        return ("EVALSHA", self.scripts[name].sha, len(keys), *keys, *args)

    async def run(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands at once, and return their replies.

        Raises:
            StoreAway: one of them was not answered, or refused; each may have been carried out all the same.
            CallRefused: so was one because of what lies under its keys; the others were carried out.
        """
        replies = await self.run_each(commands)
        for reply in replies:
            if isinstance(reply, CallRefused):
                raise reply
        return replies

    async def run_each(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands at once; the reply to one that is refused because of what lies under its keys is CallRefused.

        Raises:
            StoreAway: see `run`.
        """
        if not commands:
            return []
        async with self._permits:
            with self._breaker.attempt():
                if not self._is_checked:
                    await self._first_contact()
                return await self._run(commands)

    @asynccontextmanager
    async def subscribed(self, *channels: bytes) -> AsyncIterator[AsyncIterator[tuple[bytes, bytes]]]:
        """Listen to channels; yield what gives (channel, message), for as long as the server is there.

        Raises:
            StoreAway: it cannot be reached, or is gone.
        """
        if isinstance(self._client, RedisCluster):
            raise TypeError("a message to one node of a cluster reaches all: listen to one of them")
        pool, connection = self._client.connection_pool, None
        try:
            async with asyncio.timeout(self._within):
                connection = await pool.get_connection()  # type: ignore[no-untyped-call]
                await connection.send_command("SUBSCRIBE", *channels)
                for _ in channels:
                    await connection.read_response()
            yield self._messages(connection)
        except LOST as error:
            raise as_away(error) from error
        finally:
            if connection is not None:
                await connection.disconnect(nowait=True)
                await pool.release(connection)

    async def _messages(self, connection: AbstractConnection) -> AsyncIterator[tuple[bytes, bytes]]:
        waits = _QUIET
        while True:
            said = await connection.read_response(timeout=waits)
            if said is None:
                if waits != _QUIET:
                    raise TimeoutError
                await connection.send_command("PING")
                waits = self._within
                continue
            waits = _QUIET
            if said[0] == b"message":
                yield said[1], said[2]

    async def scan(self, pattern: bytes) -> AsyncIterator[bytes]:
        """Yield every key that matches, on whatever server; one may come twice.

        Raises:
            StoreAway
        """
        found = self._client.scan_iter(match=pattern, count=1000)
        while True:
            try:
                async with asyncio.timeout(self._within):
                    key = await anext(found)
            except StopAsyncIteration:
                return
            except LOST as error:
                raise as_away(error) from error
            yield key

    # -- inside ----------------------------------------------------------------------------------

    async def _run(self, commands: Sequence[Command]) -> list[Any]:
        replies = await self._exchange(commands)
        for _ in range(_SHAS):
            again = _to_repeat(commands, replies)
            if not again:
                break
            await self._load_scripts()
            for index, reply in zip(again, await self._exchange([commands[i] for i in again]), strict=True):
                replies[index] = reply
        for index, reply in enumerate(replies):
            if isinstance(reply, Exception):
                if (refused := as_refused(reply)) is None:
                    raise as_away(reply) from reply
                replies[index] = refused
        return replies

    async def _exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Return replies, errors of the server among them.

        Raises:
            StoreAway: there was no connection, or no answer.
        """
        try:
            async with asyncio.timeout(self._within):
                if isinstance(self._client, RedisCluster):
                    return await self._over_nodes(self._client, commands)
                return await self._over_one(self._client.connection_pool, commands)
        except LOST as error:
            if isinstance(self._client, RedisCluster):
                await self._client.aclose()  # its view of the nodes may be out of date; it is asked for anew
            raise as_away(error) from error

    async def _over_one(self, pool: ConnectionPool, commands: Sequence[Command]) -> list[Any]:
        connection: AbstractConnection = await pool.get_connection()  # type: ignore[no-untyped-call]
        try:
            await _send(connection, commands)
            return [await _reply(connection) for _ in commands]
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        finally:
            await pool.release(connection)

    async def _over_nodes(self, client: RedisCluster, commands: Sequence[Command]) -> list[Any]:
        pipeline = client.pipeline()
        for command in commands:
            pipeline.execute_command(*command)
        return await pipeline.execute(raise_on_error=False)

    async def _load_scripts(self) -> None:
        loads = [("SCRIPT", "LOAD", script.source) for script in self.scripts.values()]
        for reply in await self._on_each(*loads):
            if isinstance(reply, Exception):
                raise as_away(reply) from reply

    async def _on_each(self, *commands: Command) -> list[Any]:
        """Run commands on every primary, or on the one server there is; return replies, errors among them."""
        client = self._client
        if not isinstance(client, RedisCluster):
            return await self._exchange(commands)
        try:
            async with asyncio.timeout(self._within):
                await client.initialize()
                asked = (_of_node(client, node, command) for node in client.get_primaries() for command in commands)
                return await asyncio.gather(*asked)
        except LOST as error:
            await client.aclose()
            raise as_away(error) from error

    # -- first contact ---------------------------------------------------------------------------

    async def _first_contact(self) -> None:
        try:
            await self._check()
        except SettingError as error:
            if self._breaker.reason != str(error):
                log.error("redis must not be used", extra={"reason": str(error)})  # noqa: TRY400  # the reason is all
            raise StoreAway(str(error)) from error

    async def _check(self) -> None:
        """See that this Redis may be used, and give it our scripts.

        Raises:
            SettingError: it may not.
            StoreAway: it cannot be reached.
        """
        try:
            said = await self._on_each(("CONFIG", "GET", "maxmemory-policy"), ("INFO", "cluster"))
            if any(isinstance(reply, ResponseError) for reply in said):  # a hosted one does not tell its configuration
                said += await self._on_each(("INFO", "memory"))
            await self._load_scripts()
        except StoreAway as away:
            if wrong := wrong_setting(away.__cause__):
                raise SettingError(wrong) from away.__cause__
            raise
        if why := why_unfit(said, cluster=self.target.cluster):
            raise SettingError(why)
        self._is_checked = True


async def _send(connection: AbstractConnection, commands: Sequence[Command]) -> None:
    """Send some commands after the other: a batch of documents in one go would hold up the calls of this process."""
    for first in range(0, len(commands), _STRIDE):
        # the client's own packing takes twice as long
        packed = [hiredis.pack_command(command) for command in commands[first : first + _STRIDE]]
        try:
            await connection.send_packed_command(packed)
        except RuntimeError:  # uvloop's: it was lost while nobody used it, and nothing has been sent
            if first:
                raise
            await connection.disconnect(nowait=True)
            await connection.connect()  # type: ignore[no-untyped-call]
            await connection.send_packed_command(packed)
        if len(commands) > _STRIDE:
            await asyncio.sleep(0)


async def _reply(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


async def _of_node(client: RedisCluster, node: Any, command: Command) -> Any:
    try:
        return await client.execute_command(*command, target_nodes=node)
    except (RedisError, RedisClusterException) as error:
        return error


def _to_repeat(commands: Sequence[Command], replies: Sequence[Any]) -> list[int]:
    """Return which commands the server had no script for, and those behind them that are of the same key."""
    keys: set[Any] = set()
    found = []
    for index, (command, reply) in enumerate(zip(commands, replies, strict=True)):
        key = command[3] if command[0] == "EVALSHA" else None
        if isinstance(reply, NoScriptError) or (key is not None and key in keys):
            found.append(index)
            keys.add(key)
    return found


def _client(target: Target) -> Redis | RedisCluster:
    try:
        said = dict(parse_url(target.url))
    except ValueError:
        raise SettingError(
            "REDIS_URL: cannot be read; it looks like redis://user:password@host:6379/0, and what is special in a URL "
            "is written with % in a password"
        ) from None  # the cause may show the password
    said |= {"password": target.password} if target.password else {}
    said |= {"db": target.db} if target.db else {}
    options: dict[str, Any] = {
        "protocol": 2,  # RESP 3 costs a round trip at connecting
        "driver_info": None,  # and so does saying who we are
        "retry": Retry(NoBackoff(), 0),
        "socket_connect_timeout": target.connect_within,
        "socket_timeout": None,  # the link has a deadline of its own, for all replies together
    }
    if target.cluster:
        return _cluster(said, options)
    if target.sentinels:
        return _watched(target, said, options)
    if "path" in said:
        del options["socket_connect_timeout"]
    return Redis.from_pool(ConnectionPool(**options | said))


def _cluster(said: dict[str, Any], options: dict[str, Any]) -> RedisCluster:
    if said.pop("db", 0):
        raise SettingError("REDIS_DB: a Redis Cluster has database 0 only; leave it out, also in REDIS_URL")
    if "path" in said:
        raise SettingError("REDIS_URL: a Redis Cluster is not reached by a unix socket; use redis:// or rediss://")
    kind = said.pop("connection_class", None)
    return RedisCluster(**options | said, ssl=kind is SSLConnection)


def _watched(target: Target, said: dict[str, Any], options: dict[str, Any]) -> Redis:
    for name in ("host", "port", "path"):
        said.pop(name, None)
    kind = said.pop("connection_class", None)
    watchers = Sentinel(  # type: ignore[no-untyped-call]
        list(target.sentinels),
        sentinel_kwargs={**options, "socket_timeout": target.connect_within},
    )
    master: Redis = watchers.master_for(target.sentinel_service, **options | said, ssl=kind is SSLConnection)
    return master
