"""Letting a client in: `docs/trips.md` tells why the steps come in this order."""

from __future__ import annotations

import zlib
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from time import monotonic, time
from typing import NamedTuple
from uuid import uuid4

from websockets.exceptions import InvalidHandshake as ExtensionRefused
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.headers import parse_extension
from websockets.utils import accept_key

from dsock import names
from dsock.backends.base import Backend, Membership
from dsock.claim import Claim
from dsock.close import Goodbye
from dsock.errors import (
    DsockError,
    ErrorGettingClaim,
    ErrorGettingConnection,
    ExpiredClaim,
    InvalidHandshake,
    InvalidJwt,
    MissingClaim,
    NotReady,
    OriginRefused,
    ShuttingDown,
    TooManyFailures,
    Unavailable,
    UpgradeRequired,
)
from dsock.http.upgrade import Upgrade
from dsock.limits import Failures, Room
from dsock.origin import origin_allowed
from dsock.worker.connection import Connection
from dsock.worker.credentials import Credential, find_credential, select_protocol
from dsock.worker.signature import Signatures
from dsock.worker.worker import Worker

TRIES = 5
"""How often a claim may change under a client's hands before we give up."""

_DEFLATE_SERVER = ServerPerMessageDeflateFactory(
    server_no_context_takeover=True, client_no_context_takeover=True
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Who may come in, and what everybody joins."""

    jwt_secret: tuple[str, ...] = ()
    default_channels: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ("*",)


class Admission:
    """The door of a worker. `open` is false once the node drains."""

    def __init__(
        self, backend: Backend, worker: Worker, policy: Policy, room: Room, failures: Failures
    ) -> None:
        self.open = True
        self.backend = backend
        self._worker = worker
        self._policy = policy
        self._room = room
        self._failures = failures
        self._signatures = Signatures(policy.jwt_secret)

    @property
    def ready(self) -> bool:
        """Whether a client that comes now would be reachable."""
        membership = self._worker.membership
        return self.open and membership is not None and membership.ready

    async def admit(self, upgrade: Upgrade, request_id: str) -> None:
        """Let the client of a handshake in. Raises any `DsockError` that refuses it; then
        nothing of the client is left behind."""
        self._membership()
        registry = self._worker.registry
        if self._room.is_limited:
            # Whoever has to go for want of room goes before anything was done for him.
            self._room.look(len(registry), monotonic())
        key = _handshake_key(upgrade)
        # No browser sends two; of whoever does, none may be a page that is not allowed.
        origins: Sequence[str | None] = upgrade.header(b"origin") or (None,)
        if not all(origin_allowed(one, self._policy.allowed_origins) for one in origins):
            raise OriginRefused
        protocols = upgrade.tokens(b"sec-websocket-protocol")
        protocol = select_protocol(protocols)
        deflate = _negotiate_deflate(tuple(upgrade.header(b"sec-websocket-extensions")))
        claim = await self._read(
            find_credential(upgrade.query, upgrade.header(b"authorization"), protocols),
            upgrade.client,
        )
        # It may have begun to drain, or lost its lease, while the claim was read.
        membership = self._membership()
        compresses = self._worker.compress_from is not None and deflate.full_window
        connection = self._connection(claim, deflates=compresses)
        upgrade.on_lost = lambda: connection.close(Goodbye.CLIENT_LEFT)
        if upgrade.transport.is_closing():
            raise MissingClaim  # nobody will read this
        if self._room.is_limited:
            # Others may have come in while the claim was read. From here to `add` nobody can.
            self._room.enter(len(registry), registry.count_of(claim.user), monotonic())
        registry.add(connection)
        try:
            await self._enter(membership, connection, claim)
        except BaseException:
            connection.close(Goodbye.FAILED)
            raise
        early = upgrade.hand_over(connection)
        head = _switching(key, protocol, deflate.answer, request_id)
        connection.opened(upgrade.transport, head, deflate.inflate_bits)
        self._worker.opened(connection)
        if early:
            connection.data_received(early)

    async def check(
        self, query: Sequence[tuple[str, str]], authorization: Sequence[str], client: str
    ) -> DsockError:
        """What a request without a WebSocket is answered; its claim stays as it is."""
        try:
            self._membership()
            await self._read(find_credential(query, authorization, ()), client)
        except DsockError as error:
            return error
        return UpgradeRequired()

    def _membership(self) -> Membership:
        membership = self._worker.membership
        if not self.open:
            raise ShuttingDown
        if membership is None or not membership.ready:
            raise NotReady
        return membership

    async def _read(self, credential: Credential, client: str) -> Claim:
        over = self._failures.over(client, monotonic())
        try:
            # It is known by itself: a good one passes, whoever else is at its address.
            if credential.claim is None:
                return self._signatures.claim_of(credential.jwt or "", time())
            # For this one the backend has to be asked: that is what the limit is for.
            if over:
                raise TooManyFailures
            return await self._stored(credential.claim)
        except (MissingClaim, ExpiredClaim, InvalidJwt):
            if over:
                raise TooManyFailures from None
            self._failures.add(client, monotonic())
            raise

    async def _stored(self, id: str) -> Claim:
        try:
            id.encode()
        except UnicodeEncodeError:
            raise MissingClaim from None  # No backend has a key that is no text.
        try:
            claim = await self.backend.read_claim(id)
        except Unavailable:
            raise ErrorGettingClaim from None
        if claim is None:
            raise MissingClaim
        return claim

    def _connection(self, claim: Claim, deflates: bool) -> Connection:
        channels = names.merged(claim.channels, self._policy.default_channels)
        return Connection(self._worker, str(uuid4()), claim.user, claim.session, channels, deflates)

    async def _enter(self, membership: Membership, connection: Connection, claim: Claim) -> None:
        """From pending to recorded. Routes open before the claim is taken, so that whoever
        voids or changes claims finds either the claim or this connection."""
        failed = ErrorGettingClaim if claim.id else ErrorGettingConnection
        try:
            await membership.open_routes(connection)
            if claim.id:
                await self._take(membership, connection, claim)
            _require_alive(connection)
            await membership.record(connection)
        except (NotReady, ShuttingDown):
            raise
        except Unavailable:
            raise failed from None
        # A command may have doomed it while it was being recorded.
        _require_alive(connection)

    async def _take(self, membership: Membership, connection: Connection, claim: Claim) -> None:
        for _ in range(TRIES):
            _require_alive(connection)
            now = await membership.take(claim)
            if now is True:
                return
            # One that reads as before, and yet is not it, has a name that is no text.
            if now is False or now == claim:
                raise MissingClaim
            if (now.user, now.session) != (claim.user, claim.session):
                raise MissingClaim
            # Subscribed or unsubscribed since it was read: catch up, and try again.
            for channel in now.channels:
                if channel not in claim.channels:
                    self._worker.subscribe(connection, channel)
            kept = {*now.channels, *self._policy.default_channels}
            left = [one for one in claim.channels if one in connection.channels and one not in kept]
            if left and connection.outbox:
                # What waits for its 101 may have been sent to a channel that it had left by then.
                raise ErrorGettingClaim
            for channel in left:
                self._worker.unsubscribe(connection, channel)
            claim = now
        raise ErrorGettingClaim


def _require_alive(connection: Connection) -> None:
    # A Disconnect has found it, or it is too slow, or the client has left.
    if connection.goodbye is Goodbye.SHUTTING_DOWN:
        raise ShuttingDown
    if connection.goodbye in (Goodbye.DISCONNECTED, Goodbye.CLIENT_LEFT):
        raise MissingClaim
    if connection.goodbye is not None:
        raise NotReady


def _handshake_key(upgrade: Upgrade) -> str:
    """The key of a handshake that is one (RFC 6455, section 4.2.1)."""
    keys = upgrade.header(b"sec-websocket-key")
    versions = upgrade.header(b"sec-websocket-version")
    if len(keys) != 1 or versions != ["13"]:
        raise InvalidHandshake
    try:
        valid = len(b64decode(keys[0], validate=True)) == 16
    except ValueError:
        valid = False
    if not valid:
        raise InvalidHandshake
    return keys[0]


class _Agreed(NamedTuple):
    """What was agreed about permessage-deflate (RFC 7692): `answer` is the header's value,
    `inflate_bits` the client's window, `full_window` whether it takes messages that were
    compressed with the largest, which all such clients share."""

    answer: str | None = None
    inflate_bits: int = 0
    full_window: bool = False


@lru_cache(maxsize=128)
def _negotiate_deflate(offers: tuple[str, ...]) -> _Agreed:
    """The answer to an offer of permessage-deflate, if there is one. Browsers know but few
    ways to offer it."""
    try:
        for name, parameters in (offer for line in offers for offer in parse_extension(line)):
            if name == _DEFLATE_SERVER.name:
                try:
                    agreed, extension = _DEFLATE_SERVER.process_request_params(parameters, [])
                except ExtensionRefused:
                    continue
                text = "; ".join(
                    key if value is None else f"{key}={value}" for key, value in agreed
                )
                return _Agreed(
                    answer=f"{name}; {text}" if text else name,
                    inflate_bits=extension.remote_max_window_bits,
                    full_window=extension.local_max_window_bits == zlib.MAX_WBITS,
                )
    except ExtensionRefused:
        raise InvalidHandshake from None
    return _Agreed()


def _switching(key: str, protocol: str | None, extension: str | None, request_id: str) -> bytes:
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_key(key)}",
        f"X-Request-ID: {request_id}",
    ]
    if protocol:
        lines.append(f"Sec-WebSocket-Protocol: {protocol}")
    if extension:
        lines.append(f"Sec-WebSocket-Extensions: {extension}")
    return "\r\n".join((*lines, "", "")).encode("latin-1")
