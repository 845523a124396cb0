"""What the other side of a connection has taken of what was written to it."""

from __future__ import annotations

import asyncio
import socket
import struct

# tcpi_bytes_acked in struct tcp_info of Linux's <linux/tcp.h>.
_BYTES_ACKED = 120


def bytes_taken(transport: asyncio.WriteTransport) -> int:
    """How much the peer's system has acknowledged; where that is not known (not TCP), how
    little waits, as a number that grows with progress."""
    sock = transport.get_extra_info("socket")
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED + 8)
        return int(struct.unpack_from("=Q", info, _BYTES_ACKED)[0])
    except (OSError, AttributeError, struct.error):
        return -transport.get_write_buffer_size()


class Taking:
    """For how long a peer has taken nothing of what waits for it, as seen by who looks now
    and then. Times in seconds of the loop's clock."""

    def __init__(self, transport: asyncio.WriteTransport, now: float) -> None:
        self._transport = transport
        self._taken = -1
        self._since = now

    def stalled(self, now: float) -> float:
        """Seconds without progress; 0 when nothing waits."""
        if self._transport.get_write_buffer_size() == 0:
            self._since = now
        elif (taken := bytes_taken(self._transport)) != self._taken:
            self._taken, self._since = taken, now
        return now - self._since
