"""How a command of the terminal can end badly, and the exit status of each way."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

from dsock.terminal.words import counted

OK = 0
REFUSED = 1
MISUSED = 2
UNREACHED = 3
INTERRUPTED = 130
"""What shells give for a command that Ctrl-C has ended."""


class Answer(NamedTuple):
    """What an API or a worker has said: the status, the body as it came, and its content."""

    status: int
    body: bytes
    content: dict[str, Any]


class Failure(Exception):
    """The argument is the line for a person; it holds no secret."""

    status: ClassVar[int] = REFUSED
    passing = False
    """Whether the same may well succeed a little later."""

    answer: Answer | None = None
    """What was answered, if anything was."""


class Misused(Failure):
    """The command was called in a way that makes no sense."""

    status = MISUSED


class Unreached(Failure):
    """Nobody answered, or somebody who is no dSock."""

    status = UNREACHED
    passing = True


class Closed(Failure):
    """The connection has ended, and not because the listener wanted it."""


class Refused(Failure):
    """dSock has answered that it will not, or cannot."""

    def __init__(self, answer: Answer, hint: str = "") -> None:
        content = answer.content
        lines = [str(content.get("error") or f"refused with status {answer.status}")]
        if isinstance(report := content.get("report"), dict):
            lines.append(
                f"told {counted(report.get('workers', 0), 'worker')}, "
                f"{report.get('unanswered', 0)} did not answer, "
                f"{counted(report.get('connections', 0), 'connection')} matched"
            )
        named = [str(content["errorCode"])] if content.get("errorCode") else []
        named += [f"request {content['requestId']}"] if content.get("requestId") else []
        lines += [", ".join(named), hint]
        super().__init__("\n".join(line for line in lines if line))
        self.answer = answer
        self.passing = answer.status >= 500 or answer.status == 429
