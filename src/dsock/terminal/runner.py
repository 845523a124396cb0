"""Running a command: its parts, and the one place where a failure becomes an exit status."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping

from dsock.terminal import output, verbs
from dsock.terminal.access import access
from dsock.terminal.call import Api, reading
from dsock.terminal.failures import INTERRUPTED, OK, REFUSED, Failure

_VERBS = {
    "claim": verbs.claim,
    "send": verbs.send,
    "disconnect": verbs.disconnect,
    "info": verbs.info,
    "subscribe": verbs.subscribe,
    "unsubscribe": verbs.unsubscribe,
}


def run_command(
    name: str, options: Namespace, parser: ArgumentParser, environment: Mapping[str, str]
) -> int:
    """Run a command; returns the exit status."""
    output.prepare()
    try:
        try:
            return _run(name, options, parser, environment)
        except Failure as failure:
            if failure.answer and options.json:
                output.hand_on(failure.answer.body)
            else:
                output.aside(f"dsock {name}: {failure}")
            return failure.status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Who reads the output has had enough of it, as `head` does.
        output.mute()
        return OK
    except OSError as error:
        output.mute()
        output.aside(f"dsock {name}: cannot write: {error.strerror}")
        return REFUSED


def _run(
    name: str, options: Namespace, parser: ArgumentParser, environment: Mapping[str, str]
) -> int:
    if name == "completion":
        from dsock.terminal.completion import script

        sys.stdout.write(script(options.shell, parser))
        sys.stdout.flush()
        return OK
    reached = access(options.url, options.token_file, environment)
    if name == "listen":
        from dsock.terminal.listen import listen

        return listen(options, environment, reached)
    with reading(reached.url):
        told = _VERBS[name](Api(reached), options)
    if options.json:
        output.hand_on(told.answer.body)
        return OK
    output.say(told.text)
    if told.aside:
        output.aside(told.aside)
    return OK
