"""A node of several processes, put together: what they share is made here, before the fork."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

import structlog

from dsock import __version__
from dsock.http.server import Sockets
from dsock.node import Plan
from dsock.observers.journal import configure
from dsock.observers.totals import Totals
from dsock.processes.board import Board
from dsock.processes.ports import Ports
from dsock.processes.process import Process
from dsock.processes.supervisor import Supervisor

log = structlog.stdlib.get_logger("dsock.processes")


def supervise(
    plan: Plan, be: Callable[[Plan, Process], None], announce: Callable[[int], None]
) -> int:
    """Be the parent of a node's processes until a signal says stop; returns the exit status.
    `be` is a process after the fork. `announce` is called with the port once all answer.
    Raises `StartError`."""
    settings = plan.settings
    direct = settings.messaging_method == "direct" and plan.role != "api"
    # What all need is loaded once, and is there at once when one is started again.
    importlib.import_module("dsock.backends.redis.backend")
    if settings.messaging_method == "direct" and plan.role != "worker":
        importlib.import_module("dsock.backends.redis.direct.couriers")
    board = Board(plan.processes)
    with ExitStack() as stack:
        ports = stack.enter_context(Ports(settings, plan.processes, direct))
        totals = stack.enter_context(Totals.open(board, holds_clients=plan.role != "api"))

        def live(index: int, lifeline: int) -> None:
            configure(settings.debug, process=index)
            sockets = ports.keep(index)
            totals.begin(index)
            try:
                be(_own(plan, sockets), Process(index, sockets, board, totals, lifeline))
            finally:
                if os.getppid() != board.parent:
                    totals.remove()

        def all_up() -> None:
            log.info(
                "all processes are up",
                role=plan.role,
                processes=plan.processes,
                port=ports.public,
                version=__version__,
            )
            announce(ports.public)

        status = Supervisor(board, ports, live, all_up).run()
    log.info("all processes have ended", role=plan.role)
    return status


def _own(plan: Plan, sockets: Sockets) -> Plan:
    """The plan of the process that has these sockets: APIs must find it and no other."""
    if not sockets.direct:
        return plan
    settings = replace(plan.settings, direct_message_port=sockets.direct_port)
    return replace(plan, settings=settings)
