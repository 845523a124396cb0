"""The log: how lines look, and what events are worth one."""

from __future__ import annotations

import logging
import os
import sys

import structlog

from dsock import events
from dsock.events import Event


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


class Journal:
    """Writes down the events that an operator would want to find."""

    def __init__(self, log_requests: bool = False) -> None:
        self._log_requests = log_requests
        self._log = structlog.stdlib.get_logger("dsock")

    def __call__(self, event: Event) -> None:
        match event:
            case events.RequestAnswered() if self._log_requests:
                self._log.info(
                    "request",
                    method=event.method,
                    path=event.path,
                    status=event.status,
                    ms=round(event.seconds * 1000, 2),
                    client=event.client,
                    request_id=event.request_id,
                )
            case events.BackendReached(True, why):
                self._log.info("backend in reach", why=why)
            case events.BackendReached(False, why):
                self._log.error("backend out of reach", why=why)
            case events.WorkerGone(worker):
                self._log.warning("worker declared gone", worker=worker)
            case events.MethodsDiffer(here, there, worker):
                self._log.warning(
                    "an API and a worker are set to different messaging methods",
                    here=here,
                    there=there,
                    worker=worker,
                )
            case events.ConnectionOpened(id, user):
                self._log.debug("connection opened", connection=id, user=user)
            case events.ConnectionClosed(id, user, goodbye):
                self._log.debug(
                    "connection closed", connection=id, user=user, reason=goodbye.name.lower()
                )
            case events.PayloadDropped():
                self._log.warning("unreadable payload dropped")
