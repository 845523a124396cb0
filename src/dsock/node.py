"""The parts list: an API, a worker, or both, put together and taken apart.

Nothing below knows the whole. What starts last stops first, by nesting.
"""

from __future__ import annotations

import asyncio
import functools
import secrets
from collections.abc import AsyncIterator, Callable
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
from dsock.events import Event, Notify
from dsock.http.app import application
from dsock.http.health import internal_routes, ping_route
from dsock.http.protocol import Rules
from dsock.http.server import StopSignals, bind, raise_file_limit, serving
from dsock.observers.journal import Journal
from dsock.observers.metrics import Metrics
from dsock.settings import Settings, mistake_about_redis
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
    if direct and not settings.token and not settings.insecure_no_token:
        # Also serve, which makes one where it is alone.
        raise StartError("messaging_method=direct needs a token for all nodes: set DSOCK_TOKEN")
    made = False
    if role != "worker" and not settings.token and not settings.insecure_no_token:
        if role == "api":
            raise StartError("the API needs a token: set DSOCK_TOKEN")
        settings, made = replace(settings, token=(secrets.token_urlsafe(24),)), True
    return Plan(role, settings, "memory" if backend == "memory" else "redis", made)


async def run(plan: Plan, announce: Callable[[int], None]) -> None:
    """Be this node until a signal says stop. `announce` is called with the port once the
    node answers. Raises `StartError` when it cannot start."""
    raise_file_limit()
    for warning in plan.settings.warnings():
        log.warning(warning)
    with StopSignals() as stop:
        async with up(plan) as (node, port):
            log.info(
                "listening",
                role=plan.role,
                host=plan.settings.host or "*",
                port=port,
                backend=plan.backend,
                version=__version__,
            )
            announce(port)
            await stop.wait()
            await node.drain()
    log.info("stopped", role=plan.role)


@asynccontextmanager
async def up(plan: Plan) -> AsyncIterator[tuple[Node, int]]:
    """A node that answers, and its port."""
    settings, internal = plan.settings, None
    async with AsyncExitStack() as stack:
        listening = stack.enter_context(bind(settings.host, settings.port))
        if settings.internal_port is not None:
            internal = stack.enter_context(bind(settings.host, settings.internal_port))
        node = Node(plan, direct_port=(internal or listening).getsockname()[1])
        await stack.enter_async_context(node.running())
        if internal:
            app = node.application([ping_route(), *node.internal_routes()])
            await stack.enter_async_context(serving(app, internal, Rules()))
        app = node.application(node.routes(with_internal=internal is None))
        await stack.enter_async_context(serving(app, listening, node.rules()))
        yield node, listening.getsockname()[1]


class Node:
    """The parts of one node and how they hang together. `direct_port` is where APIs find it
    if it takes direct messages and nothing else is set."""

    def __init__(self, plan: Plan, direct_port: int) -> None:
        self._plan = plan
        self._direct_port = direct_port
        self._settings = plan.settings
        self._metrics = Metrics()
        journal = Journal(log_requests=plan.settings.log_requests)
        self._notify: Notify = functools.partial(_tell, (self._metrics, journal))
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
            self.admission = Admission(backend, worker, policy)
            self._metrics.watch(worker.registry.sizes)
            async with self._membership as membership:
                await membership.enter_async_context(worker.member_of(backend))
                yield

    def routes(self, with_internal: bool) -> list[BaseRoute]:
        """What answers on the public port."""
        assert self.backend
        settings = self._settings
        routes = [ping_route()]
        if self._plan.role != "worker":
            handlers = Handlers(self.backend, self._notify, settings.max_message_size)
            tokens = None if settings.insecure_no_token else settings.token
            routes += api_routes(handlers, tokens)
        if self.admission:
            self._connect = ConnectApp(self.admission, self._notify)
            routes += self._connect.routes()
        if with_internal:
            routes += self.internal_routes()
        return routes

    def internal_routes(self) -> list[BaseRoute]:
        """What answers on the internal port, or on the public one when there is none."""
        routes = internal_routes(self._readiness, self._metrics.expose)
        return routes + self._direct_routes

    def application(self, routes: list[BaseRoute]) -> object:
        return application(routes, self._notify)

    def rules(self) -> Rules:
        if not self.admission:
            return Rules()
        return Rules(on_upgrade=self._connect.on_upgrade, upgrade_paths=frozenset((CONNECT,)))

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

    def _readiness(self) -> DsockError | None:
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

            address = own_address(settings, self._direct_port)
        async with RedisBackend.open(
            settings, self._notify, publishes=role != "worker", address=address
        ) as backend:
            if backend.reception:
                self._direct_routes = backend.reception.routes()
            yield backend


def _tell(listeners: tuple[Notify, ...], event: Event) -> None:
    for listener in listeners:
        listener(event)
