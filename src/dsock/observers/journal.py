"""The log: how lines look, and what events are worth one."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import structlog

from dsock import events
from dsock.events import Event, Interests


def configure(debug: bool, process: int | None = None) -> None:
    """Log to standard error as `time level event key=value`, this program and its libraries
    alike. The lines of one of several processes say which (`process`)."""
    named = {} if process is None else {"process": process, "pid": os.getpid()}
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.DEBUG if debug else logging.INFO
        ),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                # Here, since loggers that were used before the fork know no newer step.
                lambda logger, method, line: {**named, **line},
                structlog.processors.LogfmtRenderer(
                    key_order=["timestamp", "level", "event", *named], bool_as_flag=False
                ),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("dsock").setLevel(logging.DEBUG if debug else logging.INFO)
    # What a broken client sent is the client's affair.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)


DROPPED_EVERY = 1.0
"""Seconds between two lines about payloads that cannot be read; the metric counts them all."""


class Journal:
    """Writes down the events that an operator would want to find."""

    def __init__(self, log_requests: bool = False) -> None:
        self._log_requests = log_requests
        self._log = structlog.stdlib.get_logger("dsock")
        self._silent_until = 0.0

    def interests(self) -> Interests:
        """What is worth a line."""
        interests: dict[type[Event], Callable[[Any], None]] = {
            events.BackendReached: self._backend_reached,
            events.WorkerGone: self._worker_gone,
            events.MethodsDiffer: self._methods_differ,
            events.FailuresLimited: self._failures_limited,
            events.ConnectionOpened: self._connection_opened,
            events.ConnectionClosed: self._connection_closed,
            events.PayloadDropped: self._payload_dropped,
            events.LettersMissed: self._letters_missed,
        }
        if self._log_requests:
            interests[events.RequestAnswered] = self._request_answered
        return interests

    def _request_answered(self, event: events.RequestAnswered) -> None:
        self._log.info(
            "request",
            method=event.method,
            path=event.path,
            status=event.status,
            ms=round(event.seconds * 1000, 2),
            client=event.client,
            request_id=event.request_id,
        )

    def _backend_reached(self, event: events.BackendReached) -> None:
        if event.reached:
            self._log.info("backend in reach", why=event.why)
        else:
            self._log.error("backend out of reach", why=event.why)

    def _worker_gone(self, event: events.WorkerGone) -> None:
        self._log.warning("worker declared gone", worker=event.worker)

    def _methods_differ(self, event: events.MethodsDiffer) -> None:
        self._log.warning(
            "an API and a worker are set to different messaging methods",
            here=event.here,
            there=event.there,
            worker=event.worker,
        )

    def _failures_limited(self, event: events.FailuresLimited) -> None:
        self._log.warning(f"too many wrong {event.what} from one address", client=event.client)

    def _connection_opened(self, event: events.ConnectionOpened) -> None:
        self._log.debug("connection opened", connection=event.id, user=event.user)

    def _connection_closed(self, event: events.ConnectionClosed) -> None:
        reason = event.goodbye.name.lower()
        self._log.debug("connection closed", connection=event.id, user=event.user, reason=reason)

    def _letters_missed(self, event: events.LettersMissed) -> None:
        self._log.warning("commands did not arrive", count=event.letters)

    def _payload_dropped(self, _: events.PayloadDropped) -> None:
        # A line each would be the greater part of what a flood of them costs.
        now = time.monotonic()
        if now >= self._silent_until:
            self._silent_until = now + DROPPED_EVERY
            self._log.warning("unreadable payload dropped")
