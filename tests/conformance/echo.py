"""A worker that sends every message back, for cases that can only be judged by an echo.

All else is the product: the handshake, the connection, and how messages leave it.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import jwt
import pytest

from dsock.command import MessageType
from dsock.worker.connection import Connection
from dsock.worker.frames import Frames
from dsock.worker.pulse import Pulse
from dsock.worker.worker import Worker
from tests.support.cluster import JWT_SECRET, node_up

LARGEST = 2**24
"""Bytes of the largest message of any case."""


class EchoWorker(Worker):
    """What a client sends is put into its outbox, as the message of a command is. It does not
    wait for its turn, as a command may: a case may break the rules right behind it."""

    def received(self, connection: Connection, message: str | bytes) -> None:
        super().received(connection, message)
        text = isinstance(message, str)
        type = MessageType.TEXT if text else MessageType.BINARY
        body = message.encode() if isinstance(message, str) else message
        self._outgoing.put(Frames(type, body, self.compress_from), (connection,))
        self._loop.call_soon(self._outgoing.flush, math.inf)


@asynccontextmanager
async def echo() -> AsyncIterator[str]:
    """A node with such a worker; gives the URL at which anybody is let in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dsock.node.Worker", EchoWorker)
        # Cases that last take a ping for an answer.
        patch.setattr(Pulse, "add", lambda *_: None)
        settings = {
            "max_client_message_size": LARGEST,
            # A case may send a thousand messages before it reads the first answer.
            "send_buffer_limit": 2**28,
            "compression_min_size": 1,
        }
        async with node_up("serve", **settings) as (_, address):
            token = jwt.encode({"sub": "autobahn", "exp": int(time.time()) + 3600}, JWT_SECRET)
            yield f"ws://{address}/connect?jwt={token}"
