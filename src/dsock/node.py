"""The parts list: an API, a worker, or both, put together and taken apart.

Nothing below knows the whole. What starts last stops first, by nesting.
"""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Literal

import structlog
from starlette.routing import BaseRoute

from dsock import __version__
from dsock.api.app import api_routes
from dsock.api.handlers import Handlers
from dsock.backends.base import Backend
from dsock.backends.memory import MemoryBackend
from dsock.errors import DsockError, NotReady, ShuttingDown, StartError
from dsock.events import FailuresLimited, RequestRefused, telling
from dsock.http.app import application
from dsock.http.gate import gate_of
from dsock.http.health import internal_routes, ping_route
from dsock.http.rules import Rules
from dsock.http.server import Sockets, StopSignals, listening, raise_file_limit, serving
from dsock.limits import Failures, Room
from dsock.observers.journal import Journal
from dsock.observers.metrics import Metrics
from dsock.processes.process import Process, State
from dsock.proxies import Proxies
from dsock.settings import Settings, mistake_about_redis
from dsock.values import AUTO
from dsock.worker.admission import Admission, Policy
from dsock.worker.app import CONNECT, ConnectApp
from dsock.worker.worker import Worker

Role = Literal["serve", "api", "worker"]

log = structlog.stdlib.get_logger("dsock")


@dataclass(frozen=True, slots=True)
class Plan:
    """What this node is: settings in which nothing is left open."""

    role: Role
    settings: Settings
    backend: Literal["memory", "redis"]
    made_token: bool
    """Whether the token was made here, and has to be shown once."""
    processes: int = 1


def plan(role: Role, settings: Settings) -> Plan:
    """Decide what the settings leave open. Raises `StartError`."""
    direct = settings.messaging_method == "direct"
    alone = role == "serve" and not settings.names_redis and not direct
    backend = settings.backend or ("memory" if alone else "redis")
    if backend == "memory" and settings.names_redis:
        raise StartError("the memory backend uses no Redis: leave out backend, or what names one")
    if backend != "memory" and (mistake := mistake_about_redis(settings)):
        raise StartError(mistake)
    if backend == "memory" and role != "serve":
        raise StartError("the memory backend lives in one process: use `dsock serve`, or redis")
    if backend == "memory" and direct:
        raise StartError("messaging_method=direct needs the redis backend")
    cores = len(os.sched_getaffinity(0))
    processes = cores if settings.processes == AUTO else int(settings.processes)
    if backend == "memory" and processes > 1:
        raise StartError(
            f"{processes} processes need Redis between them: set redis_host, or leave out processes"
        )
    if direct and not settings.token and not settings.insecure_no_token:
        # Also serve, which makes one where it is alone.
        raise StartError("messaging_method=direct needs a token for all nodes: set DSOCK_TOKEN")
    made = False
    if role != "worker" and not settings.token and not settings.insecure_no_token:
        if role == "api":
            raise StartError("the API needs a token: set DSOCK_TOKEN")
        settings, made = replace(settings, token=(secrets.token_urlsafe(24),)), True
    return Plan(role, settings, "memory" if backend == "memory" else "redis", made, processes)


async def run(plan: Plan, announce: Callable[[int], None], process: Process | None = None) -> None:
    """Be this node, or one of its processes, until it has to stop. `announce` is called with
    the port once it answers. Raises `StartError` when it cannot start."""
    raise_file_limit()
    with process.orders() if process else StopSignals() as stop:
        async with up(plan, process) as (node, port):
            log.info(
                "listening",
                role=plan.role,
                host=plan.settings.host or "*",
                port=port,
                backend=plan.backend,
                version=__version__,
            )
            # What is there by now stays, and need not be looked at by the collector again.
            gc.freeze()
            process.is_up(node.state()) if process else announce(port)
            await stop.wait()
            await node.drain()
    log.info("stopped", role=plan.role)


@asynccontextmanager
async def up(plan: Plan, process: Process | None = None) -> AsyncIterator[tuple[Node, int]]:
    """A node that answers, or one of its processes, and its port."""
    at = plan.settings.host, plan.settings.port, plan.settings.internal_port
    async with AsyncExitStack() as stack:
        sockets = process.sockets if process else stack.enter_context(listening(*at))
        node = Node(plan, sockets, process)
        if process:
            await stack.enter_async_context(process.beating(node.state))
        await stack.enter_async_context(node.running())
        for sock, routes, rules in node.doors():
            await stack.enter_async_context(serving(node.application(routes), sock, rules))
        yield node, sockets.public.getsockname()[1]


class Node:
    """The parts of one node, or of one of its processes, and how they hang together."""

    def __init__(self, plan: Plan, sockets: Sockets, process: Process | None) -> None:
        self._plan = plan
        self._sockets = sockets
        self._process = process
        self._settings = plan.settings
        self._metrics = Metrics(
            lambda: self._trouble() is None, process.totals if process else None
        )
        journal = Journal(log_requests=plan.settings.log_requests)
        self._notify = telling(self._metrics.interests(), journal.interests())
        self._draining = False
        self._direct_routes: list[BaseRoute] = []
        self._membership = AsyncExitStack()
        self.backend: Backend | None = None
        self.worker: Worker | None = None
        self.admission: Admission | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Backend and worker are up inside this context."""
        settings = self._settings
        async with self._open_backend() as backend:
            self.backend = backend
            if self._plan.role == "api":
                yield
                return
            self.worker = worker = Worker(
                self._notify,
                send_buffer_limit=settings.send_buffer_limit,
                max_client_message_size=settings.max_client_message_size,
                compress_from=settings.compression_min_size if settings.compression else None,
                ping_interval=settings.ping_interval,
                ping_timeout=settings.ping_timeout,
                send_timeout=settings.send_timeout,
            )
            policy = Policy(
                jwt_secret=settings.jwt_secret,
                default_channels=settings.default_channels,
                allowed_origins=settings.allowed_origins,
            )
            room = Room(
                max_connections=settings.max_connections,
                max_of_user=settings.max_connections_per_user,
                max_per_second=settings.max_connects_per_second,
            )
            failures = Failures(settings.max_connect_failures, self._credentials_failed)
            self.admission = Admission(backend, worker, policy, room, failures)
            self._metrics.watch(worker.registry.sizes)
            async with self._membership as membership:
                await membership.enter_async_context(worker.member_of(backend))
                yield

    def doors(self) -> Iterator[tuple[socket.socket, list[BaseRoute], Rules]]:
        """Each socket and what answers there; where clients come in is last."""
        sockets = self._sockets
        if sockets.direct:
            yield sockets.direct, [ping_route(), *self._direct_routes], self._inner_rules()
        if sockets.internal:
            yield sockets.internal, [ping_route(), *self.internal_routes()], self._inner_rules()
        yield sockets.public, self.routes(with_internal=not sockets.internal), self.rules()

    def routes(self, with_internal: bool) -> list[BaseRoute]:
        """What answers on the public port."""
        assert self.backend
        settings = self._settings
        routes = [ping_route()]
        if self._plan.role != "worker":
            handlers = Handlers(self.backend, self._notify, settings.max_message_size)
            routes += api_routes(handlers, gate_of(settings, self._notify))
        if self.admission:
            self._connect = ConnectApp(self.admission, self._notify)
            routes += self._connect.routes()
        if with_internal:
            routes += self.internal_routes()
        return routes

    def internal_routes(self) -> list[BaseRoute]:
        """What answers on the internal port, or on the public one when there is none."""
        routes = internal_routes(self._readiness, self._metrics.expose)
        return routes if self._sockets.direct else routes + self._direct_routes

    def application(self, routes: list[BaseRoute]) -> object:
        return application(routes, self._notify)

    def rules(self) -> Rules:
        """What a request may be where clients come in."""
        rules = self._inner_rules()
        if not self.admission:
            return rules
        connect = self._connect.on_upgrade
        return replace(rules, on_upgrade=connect, upgrade_paths=frozenset((CONNECT,)))

    def _inner_rules(self) -> Rules:
        trusted = self._settings.trusted_proxies
        return Rules(
            on_refused=lambda error: self._notify(RequestRefused(error.code)),
            proxies=Proxies(trusted) if trusted else None,
        )

    def _credentials_failed(self, client: str) -> None:
        self._notify(FailuresLimited(client, "credentials"))

    async def drain(self) -> None:
        """Go on for `drain_delay`, then let nobody in, close the clients, and leave the
        cluster: while this node still answers, so that nobody waits for it in vain."""
        self._draining = True
        log.info("draining")
        await asyncio.sleep(self._settings.drain_delay)
        if self.admission and self.worker:
            self.admission.open = False
            await self.worker.drain(self._settings.drain_duration)
            await self._membership.aclose()

    def state(self) -> State:
        """What the other processes of this node may know."""
        ready = self._trouble() is None
        return State(ready, self.worker.registry.sizes()) if self.worker else State(ready)

    def _readiness(self) -> DsockError | None:
        trouble = self._trouble()
        return self._process.readiness(self.state(), trouble) if self._process else trouble

    def _trouble(self) -> DsockError | None:
        if self._draining:
            return ShuttingDown()
        if self._plan.role != "worker" and not (self.backend and self.backend.ready):
            return NotReady("The backend is out of reach, or does not take what it is told.")
        if self.admission and not self.admission.ready:
            return NotReady("The worker does not hear commands, or is not yet known to all.")
        return None

    @asynccontextmanager
    async def _open_backend(self) -> AsyncIterator[Backend]:
        if self._plan.backend == "memory":
            yield MemoryBackend()
            return
        # Only who uses Redis waits for its library to load.
        from dsock.backends.redis.backend import RedisBackend

        settings, role, address = self._settings, self._plan.role, ""
        if settings.messaging_method == "direct" and role != "api":
            from dsock.backends.redis.direct.address import own_address

            address = own_address(settings, self._sockets.direct_port)
        async with RedisBackend.open(
            settings, self._notify, publishes=role != "worker", address=address
        ) as backend:
            if backend.reception:
                self._direct_routes = backend.reception.routes()
            yield backend
