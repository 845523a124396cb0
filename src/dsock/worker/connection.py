"""One client's open socket.

Sending is writing a ready frame to the transport, nothing more. What clients send is read
by `websockets`' Sans-I/O protocol, which is made when the first byte arrives that is not a
plain pong: a client that only listens costs no parser.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import OPEN

from dsock.close import Goodbye
from dsock.http.incoming import Incoming
from dsock.worker.reader import FrameReader

CLOSE_TIMEOUT = 0.9
"""Seconds after a close frame until the socket is cut, whatever the peer does."""

PING = Frame(Opcode.PING, b"").serialize(mask=False)

PIECE = 512
"""Bytes that are read at once: of the smallest frames some 80, which take under 0.5 ms."""

_PONG_SIZE = 6
_PONG = b"\x8a\x80"
"""How the answer to `PING` begins; the rest of it is a mask for nothing (RFC 6455, section
5.2)."""

_FAULTS: dict[int, Goodbye] = {
    CloseCode.PROTOCOL_ERROR: Goodbye.PROTOCOL_ERROR,
    CloseCode.INVALID_DATA: Goodbye.NOT_TEXT,
    CloseCode.MESSAGE_TOO_BIG: Goodbye.TOO_BIG,
    CloseCode.INTERNAL_ERROR: Goodbye.FAILED,
}


def _fault(reader: FrameReader) -> Goodbye | None:
    """Why the reader has given up, if it has."""
    if reader.parser_exc is None or reader.close_sent is None:
        return None
    return _FAULTS.get(reader.close_sent.code)


class Owner(Protocol):
    """Who a connection belongs to."""

    send_buffer_limit: int
    max_client_message_size: int
    incoming: Incoming

    def left(self, connection: Connection) -> None:
        """The connection is no longer open or pending. Called once."""

    def gone(self, connection: Connection) -> None:
        """The socket of a connection that was open is no more."""

    def heard(self, connection: Connection) -> None:
        """The client has answered or sent a ping."""

    def received(self, connection: Connection, message: str | bytes) -> None:
        """The client has sent a message."""


class Connection(asyncio.Protocol):
    """A connection is pending, then open, then has said `goodbye`; or skips the middle.

    Frames wait in its `outbox`: for the end of the turn, or while it is pending for the 101.
    `flowing` means that it takes more of them: it is open, and no more than
    `send_buffer_limit` waits in `transport`.
    """

    __slots__ = (
        "_closing",
        "_inflate_bits",
        "_message",
        "_owner",
        "_queued",
        "_reader",
        "_text",
        "_unread",
        "_waiting_size",
        "channels",
        "deflates",
        "flowing",
        "goodbye",
        "id",
        "last_ping",
        "outbox",
        "ping_slot",
        "pinged_at",
        "session",
        "transport",
        "user",
        "was_open",
    )

    transport: asyncio.Transport
    """Set once the connection is open."""

    def __init__(
        self,
        owner: Owner,
        id: str,
        user: str,
        session: str | None,
        channels: tuple[str, ...],
        deflates: bool = False,
    ) -> None:
        self.id = id
        self.user = user
        self.session = session
        self.channels = dict.fromkeys(channels)
        """In the order in which they were joined."""
        self.last_ping = time.time()
        """Seconds from epoch at which the client was last heard."""
        self.deflates = deflates
        """Whether the client takes messages that are compressed."""
        self.flowing = False
        self.outbox: list[bytes] = []
        self.was_open = False
        """Whether the client ever had its 101."""
        self.goodbye: Goodbye | None = None
        self.pinged_at: float | None = None
        """When the ping went out that was not answered yet, by the loop's clock."""
        self.ping_slot = -1
        self._owner = owner
        self._waiting_size = 0
        self._inflate_bits = 0
        self._reader: FrameReader | None = None
        self._message: bytearray | None = None
        self._text = False
        self._unread: bytearray | None = None
        self._queued = False
        self._closing: asyncio.TimerHandle | None = None

    # --- what the worker does ------------------------------------------------------------

    @property
    def pending(self) -> bool:
        """Whether this is between its claim and its 101."""
        return not self.was_open and self.goodbye is None

    @property
    def is_open(self) -> bool:
        """Whether the client has its 101 and nobody has said goodbye."""
        return self.was_open and self.goodbye is None

    def opened(self, transport: asyncio.Transport, head: bytes, inflate_bits: int) -> None:
        """The client is in: write the 101 and the frames that waited. `inflate_bits` is the
        window of permessage-deflate, 0 when it was not negotiated (RFC 7692)."""
        self.transport = transport
        self._inflate_bits = inflate_bits
        limit = self._owner.send_buffer_limit
        transport.set_write_buffer_limits(high=limit, low=limit)
        self.flowing = self.was_open = True
        self.outbox.insert(0, head)
        self.flush()

    def flush(self) -> int:
        """Write what waits in the outbox; says how many bytes that were."""
        frames = self.outbox
        if not frames:
            return 0
        # One is the usual number, and joining would copy it.
        data = frames[0] if len(frames) == 1 else b"".join(frames)
        frames.clear()
        self.transport.write(data)
        return len(data)

    def hold(self, frame: bytes) -> bool:
        """Take a frame while not `flowing`: it waits for the 101, or the client is too slow
        and is closed. Says whether the frame was refused for that."""
        if self.goodbye is not None:
            return False
        if not self.was_open and self._waiting_size <= self._owner.send_buffer_limit:
            self.outbox.append(frame)
            self._waiting_size += len(frame)
            return False
        self.close(Goodbye.TOO_SLOW)
        return True

    def ping(self, now: float) -> None:
        """Ask whether the client is there."""
        self.pinged_at = now
        self.transport.write(PING)

    def close(self, goodbye: Goodbye) -> None:
        """Say goodbye; the socket is gone within a second. Harmless when said before."""
        if self.goodbye is not None:
            return
        self._leave(goodbye)
        if not self.was_open:
            return
        reader = self._ensure_reader()
        if reader.state is OPEN:
            if goodbye is not Goodbye.CLIENT_LEFT:  # has no code to send
                reader.send_close(goodbye.code, goodbye.reason)
            self._flush(reader)
        self._closing = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self.transport.abort)
        # Reading may have stopped with writing; the answer to the close frame is to be read.
        self._read_on()

    # --- what the transport says ---------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._unread is not None:
            self._unread += data
        elif (read := self._read_piece(data)) < len(data) and not self.transport.is_closing():
            # Nothing more is taken in before this is read.
            self.transport.pause_reading()
            self._unread = bytearray(data[read:])
            self._read_on()

    def read_piece(self) -> bool:
        """Read the next of what has come in; says whether there is more, and it is wanted."""
        unread = self._unread
        if unread is None or self.transport.is_closing():
            self._unread, self._queued = None, False
            return False
        del unread[: self._read_piece(unread)]
        # Who does not read gets no more answers to its pings either.
        self._queued = wanted = self.flowing or self.goodbye is not None
        if not unread:
            self._unread, self._queued = None, False
            if wanted:
                self.transport.resume_reading()
        return self._queued

    def _read_piece(self, data: bytes | bytearray) -> int:
        """Read the beginning of this; says how much of it that was."""
        self._read(bytes(data[:PIECE]))
        if len(data) <= PIECE or self._reader is None:
            return min(len(data), PIECE)
        # However long the rest of a frame is, it is read in one go.
        end = PIECE + self._reader.lacking
        if end > PIECE:
            self._read(bytes(data[PIECE:end]))
        return min(len(data), end)

    def _read(self, data: bytes) -> None:
        if self._reader is None and len(data) == _PONG_SIZE and data.startswith(_PONG):
            self._heard(Opcode.PONG)
            return
        reader = self._ensure_reader()
        is_over = self.goodbye is not None
        reader.receive_data(data)
        for frame in reader.events_received():
            if isinstance(frame, Frame):
                self._frame_received(frame)
        if reader.state is not OPEN and self.goodbye is None:
            self._leave(_fault(reader) or Goodbye.CLIENT_LEFT)
            self._closing = asyncio.get_running_loop().call_later(
                CLOSE_TIMEOUT, self.transport.abort
            )
        self._flush(reader, only_end=is_over)

    def pause_writing(self) -> None:
        self.flowing = False
        # Who does not read gets no more answers to its pings either.
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.goodbye is None:
            self.flowing = True
            self._read_on()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
        self._unread = None
        self._leave(Goodbye.CLIENT_LEFT)
        self._owner.gone(self)

    # --- inside --------------------------------------------------------------------------

    def _leave(self, goodbye: Goodbye) -> None:
        # The one door through which everybody leaves.
        if self.goodbye is None:
            self.goodbye = goodbye
            self.flowing = False
            # What was taken leaves before the close frame, behind which nothing may come.
            if self.was_open and not self.transport.is_closing():
                self.flush()
            self.outbox.clear()
            self._owner.left(self)

    def _read_on(self) -> None:
        # What has come in already goes first.
        if self._unread is None:
            self.transport.resume_reading()
        elif not self._queued:
            self._queued = True
            self._owner.incoming.add(self)

    def _ensure_reader(self) -> FrameReader:
        reader = self._reader
        if reader is None:
            limit = self._owner.max_client_message_size
            self._reader = reader = FrameReader(limit)
            if self._inflate_bits:
                # Without context takeover on either side nothing is kept between messages.
                reader.extensions = [PerMessageDeflate(True, True, self._inflate_bits, 15)]
        return reader

    def _flush(self, reader: FrameReader, only_end: bool = False) -> None:
        parts = reader.data_to_send()
        if not parts:
            return
        # Behind a goodbye no ping is answered: who sends them may read nothing.
        if not only_end and (data := b"".join(parts)):
            self.transport.write(data)
        if not parts[-1]:  # which stands for the end
            self.transport.close()

    def _frame_received(self, frame: Frame) -> None:
        if self.goodbye is not None:
            return
        opcode = frame.opcode
        if opcode is Opcode.PONG or opcode is Opcode.PING:
            self._heard(opcode)
        elif opcode is not Opcode.CLOSE:
            self._data_frame_received(frame)

    def _heard(self, opcode: Opcode) -> None:
        self.last_ping = time.time()
        if opcode is Opcode.PONG:
            self.pinged_at = None
        self._owner.heard(self)

    def _data_frame_received(self, frame: Frame) -> None:
        if frame.opcode is not Opcode.CONT:
            self._text = frame.opcode is Opcode.TEXT
            self._message = bytearray()
        if self._message is None:
            return
        # One buffer, not a list: fragments may be empty, and without end.
        self._message += frame.data
        if len(self._message) > self._owner.max_client_message_size:
            # zlib gives out what it held back of a full message when the next fragment comes,
            # be that empty, and the reader does not count it.
            self._message = None
            self.close(Goodbye.TOO_BIG)
            return
        if not frame.fin:
            return
        body, self._message = bytes(self._message), None
        if not self._text:
            self._owner.received(self, body)
            return
        try:
            text = body.decode()
        except UnicodeDecodeError:
            self.close(Goodbye.NOT_TEXT)
            return
        self._owner.received(self, text)
