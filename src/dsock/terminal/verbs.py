"""The verbs of the API: what each asks for, and how its answer reads."""

from __future__ import annotations

import os
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from dsock.duration import parse_duration
from dsock.terminal import words
from dsock.terminal.call import Api
from dsock.terminal.failures import Answer, Misused
from dsock.terminal.output import aside


class Told(NamedTuple):
    """An answer, its words for a person, and what is written beside them."""

    answer: Answer
    text: str
    aside: str = ""


def claim(api: Api, options: Namespace) -> Told:
    answer = api.call(
        "POST",
        "/claim",
        {
            "user": options.user,
            "session": options.session,
            "channels": options.channels,
            "duration": _whole_seconds(options.duration),
            "expiration": options.expiration,
            "id": options.id,
        },
    )
    made = answer.content["claim"]
    parts = [f"user {made['user']}"]
    if made.get("session"):
        parts.append(f"session {made['session']}")
    if made.get("channels"):
        parts.append(f"channels {','.join(made['channels'])}")
    parts.append(f"expires {words.when(made['expiration'], time.time())}")
    return Told(answer, made["id"], ", ".join(parts) if options.verbose else "")


def send(api: Api, options: Namespace) -> Told:
    body = _message(options.message, options.file)
    parameters = _target(options) | {
        "type": "binary" if options.binary else "text",
        "report": "false" if options.no_report else None,
    }
    answer = api.call("POST", "/send", parameters, body)
    return Told(answer, words.told(answer.content["report"], "sent to"))


def disconnect(api: Api, options: Namespace) -> Told:
    keep = options.keep_claims
    parameters = _target(options) | {"keepClaims": "true" if keep else None}
    answer = api.call("POST", "/disconnect", parameters)
    done = words.told(answer.content["report"], "disconnected")
    # By the id of a connection no claims are meant.
    alone = keep or options.id is not None
    return Told(answer, done if alone else f"{done}; claims that were not used yet are void")


def subscribe(api: Api, options: Namespace) -> Told:
    return _move(api, options, "subscribe", "subscribed", "are in")


def unsubscribe(api: Api, options: Namespace) -> Told:
    return _move(api, options, "unsubscribe", "unsubscribed", "are out")


def info(api: Api, options: Namespace) -> Told:
    answer = api.call("GET", "/info", _target(options))
    return Told(answer, words.info(answer.content, time.time()))


def _move(api: Api, options: Namespace, verb: str, done: str, outcome: str) -> Told:
    ignore = options.ignore_claims
    parameters = _target(options) | {"ignoreClaims": "true" if ignore else None}
    name = quote(options.name, safe="", errors="surrogateescape")
    answer = api.call("POST", f"/channel/{verb}/{name}", parameters)
    text = f"{options.name}: {words.told(answer.content['report'], done)}"
    alone = ignore or options.id is not None
    return Told(answer, text if alone else f"{text}; claims that were not used yet {outcome} too")


def _target(options: Namespace) -> dict[str, str | None]:
    if options.session is not None and options.user is None:
        raise Misused("--session goes with --user")
    if options.id is not None:
        return {"id": options.id}
    if options.channel is not None:
        return {"channel": options.channel}
    return {"user": options.user, "session": options.session}


def _whole_seconds(duration: str | None) -> str | None:
    """The duration as the API takes it: whole seconds."""
    if duration is None or duration.lstrip("+-").isdigit():
        return duration
    try:
        seconds = parse_duration(duration)
    except ValueError as error:
        raise Misused(f"--duration: {error}") from None
    if seconds != int(seconds):
        raise Misused(f"--duration: not whole seconds: {duration}")
    return str(int(seconds))


def _message(message: str | None, file: str | None) -> bytes:
    """The bytes to send, unchanged, wherever they come from."""
    if file is not None:
        if message is not None:
            raise Misused("a message and --file exclude each other")
        try:
            return Path(file).read_bytes()
        except OSError as error:
            raise Misused(f"--file: {file}: {error.strerror}") from None
    if message is None or message == "-":
        return _standard_input()
    return os.fsencode(message)


def _standard_input() -> bytes:
    # It is None when whoever started us has closed it.
    if sys.stdin is None:
        raise Misused("there is no message, and standard input is closed")
    if sys.stdin.isatty():
        aside("type the message; Ctrl-D on a line of its own sends it")
    try:
        return sys.stdin.buffer.read()
    except OSError as error:
        raise Misused(f"standard input: {error.strerror}") from None
