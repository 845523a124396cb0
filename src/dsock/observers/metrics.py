"""Prometheus metrics, made by listening to events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from dsock import __version__, events
from dsock.close import Goodbye
from dsock.events import Interests
from dsock.observers.totals import Totals

_LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

_VERBS = ("send", "disconnect", "subscribe", "unsubscribe")


class Metrics:
    """What has happened on this node, for `/metrics`: here, or with `totals` in all of its
    processes. `ready` says whether this one is."""

    def __init__(self, ready: Callable[[], bool], totals: Totals | None = None) -> None:
        self._totals = totals
        self._registry = registry = CollectorRegistry()
        self._shown = totals.registry() if totals else registry
        Info("dsock", "Version", registry=self._shown).info({"version": __version__})

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"dsock_{name}", text, labels, registry=registry)

        self._opened = counter("connections_opened", "Clients that were let in")
        self._closed = counter("connections_closed", "Open connections that left", "reason")
        self._refused = counter("connects_refused", "Clients that were not let in", "code")
        self._broken = counter("requests_refused", "Refused before they were whole", "code")
        self._delivered = counter("deliveries", "Messages or moves applied to connections")
        self._dropped = counter("drops", "Messages refused, since too much waited already")
        self._commands = counter("commands", "Commands answered by the API", "verb")
        self._unanswered = counter("unanswered", "Workers that did not confirm", "verb")
        self._received = counter("client_messages", "Messages from clients")
        self._received_bytes = counter("client_bytes", "Bytes of messages from clients")
        self._unreadable = counter("unreadable_payloads", "Payloads that were no command")
        self._missed = counter("mailbox_gaps", "Commands that were published and did not arrive")
        self._limited = counter("failures_limited", "Addresses not listened to", "what")
        self._workers_gone = counter("workers_gone", "Workers declared gone after their lease")
        self._methods_differ = counter(
            "methods_differ", "Times an API and a worker were set to different messaging methods"
        )
        if totals:
            self._reach: Callable[[bool], None] = totals.reached
        else:
            ProcessCollector(registry=registry)
            text = "Whether the backend is in reach"
            self._reach = Gauge("dsock_backend_reached", text, registry=registry).set
            ready_here = Gauge("dsock_ready", "Whether this node is ready", registry=registry)
            ready_here.set_function(ready)
        self._reach(True)
        self._requests = Histogram(
            "dsock_request_seconds",
            "HTTP requests",
            ("route", "status"),
            buckets=_LATENCY_BUCKETS,
            registry=registry,
        )
        # What begins at 1 has not grown, as far as Prometheus can see: the first would be missed.
        for goodbye in Goodbye:
            self._closed.labels(goodbye.name.lower())
        for verb in _VERBS:
            self._commands.labels(verb)
            self._unanswered.labels(verb)
        for what in ("tokens", "credentials"):
            self._limited.labels(what)
        self._commands_by_verb = _Children(self._commands.labels)
        self._requests_by_end = _Children(lambda labels: self._requests.labels(*labels))

    def watch(self, sizes: Callable[[], tuple[int, int, int]]) -> None:
        """Show how many connections, users and channels a worker has."""
        if self._totals:
            return  # They have it from all processes.

        def show(index: int, name: str) -> None:
            gauge = Gauge(f"dsock_{name}", f"{name.capitalize()} here", registry=self._registry)
            gauge.set_function(lambda: sizes()[index])

        for index, name in enumerate(("connections", "users", "channels")):
            show(index, name)

    def expose(self) -> tuple[bytes, str]:
        """The metrics as text, and its content type."""
        return generate_latest(self._shown), CONTENT_TYPE_LATEST

    def interests(self) -> Interests:
        """What is counted, and how."""
        return {
            events.ConnectionOpened: lambda _: self._opened.inc(),
            events.ConnectionClosed: lambda event: self._closed.labels(
                event.goodbye.name.lower()
            ).inc(),
            events.ConnectRefused: lambda event: self._refused.labels(event.code).inc(),
            events.CommandApplied: self._command_applied,
            events.CommandAnswered: self._command_answered,
            events.MessageReceived: self._message_received,
            events.RequestAnswered: self._request_answered,
            events.FailuresLimited: lambda event: self._limited.labels(event.what).inc(),
            events.RequestRefused: lambda event: self._broken.labels(event.code).inc(),
            events.PayloadDropped: lambda _: self._unreadable.inc(),
            events.LettersMissed: lambda event: self._missed.inc(event.letters),
            events.BackendReached: lambda event: self._reach(event.reached),
            events.WorkerGone: lambda _: self._workers_gone.inc(),
            events.MethodsDiffer: lambda _: self._methods_differ.inc(),
        }

    def _command_applied(self, event: events.CommandApplied) -> None:
        self._delivered.inc(event.connections)
        if event.dropped:
            self._dropped.inc(event.dropped)

    def _command_answered(self, event: events.CommandAnswered) -> None:
        self._commands_by_verb[event.verb].inc()
        if event.unanswered:
            self._unanswered.labels(event.verb).inc(event.unanswered)

    def _message_received(self, event: events.MessageReceived) -> None:
        self._received.inc()
        self._received_bytes.inc(event.size)

    def _request_answered(self, event: events.RequestAnswered) -> None:
        self._requests_by_end[event.route, event.status].observe(event.seconds)


class _Children(dict[Any, Any]):
    """The series of a metric by their labels: to ask the metric takes longer than to count."""

    def __init__(self, of: Callable[[Any], Any]) -> None:
        self._of = of

    def __missing__(self, labels: Any) -> Any:
        child = self[labels] = self._of(labels)
        return child
