"""What really happened to a command."""

from __future__ import annotations

from typing import NamedTuple


class Outcome(NamedTuple):
    """What one worker did with one command.

    `connections`: for a send, those in whose outgoing buffer the message was put;
    otherwise those that matched. `dropped`: those that refused it because too much was
    already waiting.
    """

    connections: int = 0
    dropped: int = 0


class Report(NamedTuple):
    """The answer to a command, added up over its workers.

    `workers` were told. `unanswered` of them did not confirm.
    """

    workers: int = 0
    connections: int = 0
    dropped: int = 0
    unanswered: int = 0

    def answered(self, outcome: Outcome) -> Report:
        """This report with one more worker's outcome in it."""
        workers, connections, dropped, unanswered = self
        return Report(
            workers, connections + outcome.connections, dropped + outcome.dropped, unanswered
        )
