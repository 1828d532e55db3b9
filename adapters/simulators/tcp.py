"""Breaking a connection the way networks do."""

from __future__ import annotations

import asyncio
import socket
import struct

__all__ = ["reset"]

_NO_LINGER = struct.pack("ii", 1, 0)  # struct linger: on, 0 s: closing sends RST (tcp(7), SO_LINGER)


def reset(transport: asyncio.Transport) -> None:
    """Reset the TCP connection: no close frame, no FIN. No harm if it is closed."""
    if not transport.is_closing():
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        transport.abort()
