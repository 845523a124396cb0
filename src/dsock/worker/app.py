"""`/connect`: handshakes go to admission, everything else is told what it should be."""

from __future__ import annotations

import asyncio
import time

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dsock.errors import DsockError, ShuttingDown, TooManyConnections, TooManyConnects
from dsock.events import ConnectRefused, Notify, RequestAnswered
from dsock.http.answers import failure, request_id
from dsock.http.request import address_of
from dsock.http.upgrade import Upgrade, parse_query
from dsock.worker.admission import Admission

CONNECT = "/connect"

_MEANT = (ShuttingDown, TooManyConnections, TooManyConnects)
"""Refusals that somebody wanted, and of which there may be very many: nothing to be woken by."""

log = structlog.stdlib.get_logger("dsock.worker")


class ConnectApp:
    """The HTTP side of a worker."""

    def __init__(self, admission: Admission, notify: Notify) -> None:
        self._admission = admission
        self._notify = notify
        self._tasks: set[asyncio.Task[None]] = set()

    def routes(self) -> list[BaseRoute]:
        return [Route(CONNECT, self._plain, methods=["GET"])]

    def on_upgrade(self, upgrade: Upgrade) -> None:
        """Take a WebSocket handshake. The task lives until the client is in or refused."""
        task = asyncio.get_running_loop().create_task(self._admit(upgrade))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _admit(self, upgrade: Upgrade) -> None:
        start = time.perf_counter()
        given = upgrade.header(b"x-request-id")
        id = request_id(given[0] if given else None)
        refusal = await self._refusal(upgrade, id)
        if refusal is not None:
            ours = refusal.status >= 500 and not isinstance(refusal, _MEANT)
            level = log.error if ours else log.debug
            level("connect refused", code=refusal.code, request_id=id)
            self._notify(ConnectRefused(refusal.code))
            upgrade.refuse(failure(refusal, id))
        event = RequestAnswered(
            route=CONNECT,
            status=refusal.status if refusal else 101,
            seconds=time.perf_counter() - start,
            method="GET",
            path=CONNECT,
            client=upgrade.client,
            request_id=id,
        )
        self._notify(event)

    async def _refusal(self, upgrade: Upgrade, id: str) -> DsockError | None:
        try:
            await self._admission.admit(upgrade, id)
        except DsockError as error:
            return error
        except Exception:
            log.exception("connect failed", request_id=id)
            return DsockError()
        return None

    async def _plain(self, request: Request) -> Response:
        error = await self._admission.check(
            parse_query(request.scope["query_string"]),
            request.headers.getlist("authorization"),
            address_of(request),
        )
        self._notify(ConnectRefused(error.code))
        raise error
