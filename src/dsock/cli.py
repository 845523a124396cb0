"""The command `dsock`: its parser, the nodes, and `dsock config`.

A command adds its own parser and sets `run` there: a function that is given the parsed
options and returns the exit status.
"""

from __future__ import annotations

import argparse
import difflib
import functools
import os
import socket
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from dsock import __version__
from dsock.config import default_file, show
from dsock.config.flags import add_flags, given
from dsock.config.sources import Loaded, load
from dsock.errors import StartError
from dsock.settings import Settings, flag, option_fields, variable
from dsock.terminal.commands import add_commands

if TYPE_CHECKING:
    import asyncio

    Commands = argparse._SubParsersAction[Any]

ROLES = {
    "serve": "API and worker in one process, on one port",
    "api": "only the API: takes calls from your back end",
    "worker": "only a worker: takes connections from your users",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status: 0 after a clean end, 2 when it could not
    start. The commands of the terminal have more (`dsock.terminal.failures`)."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except StartError as error:
        print(f"dsock {options.command}: {error}", file=sys.stderr)
        return 2


def _add_roles(commands: Commands) -> None:
    for role, text in ROLES.items():
        command = commands.add_parser(role, help=text, description=f"{text}.", allow_abbrev=False)
        add_flags(command, "" if role == "serve" else role)
        command.set_defaults(run=functools.partial(_run_node, role))


def _add_config(commands: Commands) -> None:
    text = "show the settings that count, and where each is from"
    command = commands.add_parser("config", help=text, description=f"{text}.", allow_abbrev=False)
    command.add_argument("--json", action="store_true", help="For programs.")
    add_flags(command)
    command.set_defaults(run=_show_config)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="dsock", description="A distributed WebSocket broker.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"dsock {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_roles(commands)
    _add_config(commands)
    add_commands(commands, parser)
    return parser


class _Parser(argparse.ArgumentParser):
    """Says no in one line, which never shows the value of a flag: it may be a secret."""

    def error(self, message: str) -> NoReturn:
        hint = f"; see {self.prog} --help" if "are required" in message else ""
        self.exit(2, f"{self.prog}: {message}{hint}\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        # The parser of a command is asked here by the one above it, and what it does not
        # know is nobody's.
        known, rest = super().parse_known_args(args, namespace)
        if rest:
            self._refuse(rest[0].partition("=")[0])
        return known, rest

    def _refuse(self, name: str) -> NoReturn:
        for option in option_fields():
            if option.metadata["secret"] and name == flag(option):
                one = variable(option)
                self.error(f"{name} is a secret: set {one}, or {one}_FILE to its file")
        if not name.startswith("-"):
            self.error("too many arguments")
        near = difflib.get_close_matches(name, self._option_string_actions, 1)
        hint = f"did you mean {near[0]}?" if near else "see --help"
        self.error(f"{name} is no option of this command; {hint}")


def _load(options: argparse.Namespace) -> Loaded:
    return load(
        os.environ,
        given(options),
        config_file=options.config_file,
        search=not options.no_config_file,
    )


def _show_config(options: argparse.Namespace) -> int:
    from dsock.terminal import output

    loaded = _load(options)
    for warning in (*loaded.warnings, *loaded.settings.warnings()):
        print(f"warning: {warning}", file=sys.stderr)
    try:
        print(show.as_json(loaded) if options.json else show.table(loaded), flush=True)
    except BrokenPipeError:
        # Who reads it has had enough, as `head` does.
        output.mute()
    return 0


def _run_node(role: Any, options: argparse.Namespace) -> int:
    loaded = _load(options)
    # What follows takes a while to import; a wrong option should not have to wait for it.
    import asyncio

    import structlog
    import uvloop

    from dsock.node import Plan, plan, run
    from dsock.observers.journal import configure
    from dsock.processes.process import Process
    from dsock.processes.start import supervise

    configure(loaded.settings.debug)
    plan_ = plan(role, loaded.settings)
    log = structlog.stdlib.get_logger("dsock")
    for warning in (*loaded.warnings, *loaded.settings.warnings()):
        log.warning(warning)
    if not (loaded.file or options.no_config_file) and (path := default_file.write()):
        log.info("config file written", path=path)

    def announce(port: int) -> None:
        if plan_.made_token:
            _show_token(plan_.settings.host, port, plan_.settings.token[0])

    def be(plan: Plan, process: Process | None = None) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.get_loop().set_exception_handler(_ignore_look_ups)
            runner.run(run(plan, announce, process))

    if plan_.processes > 1:
        return supervise(plan_, be, announce)
    be(plan_)
    return 0


def _ignore_look_ups(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # A host that was still being looked up when nobody wanted to know any more.
    if not isinstance(context.get("exception"), socket.gaierror):
        loop.default_exception_handler(context)


def _show_token(host: str, port: int, token: str) -> None:
    # The only time a token is written anywhere: it was made for this run, and is on no disk.
    everywhere = host in ("", "0.0.0.0", "::", Settings().host)  # noqa: S104 - compared only
    name = "localhost" if everywhere else f"[{host}]" if ":" in host else host
    is_default = everywhere and port == Settings().port
    url = "" if is_default else f"  export DSOCK_URL=http://{name}:{port}\n"
    print(
        f"No token is set: this one holds until dsock stops.\n\n{url}"
        f"  export DSOCK_TOKEN={token}\n"
        f'  curl -X POST "http://{name}:{port}/claim?user=1" '
        f'-H "Authorization: Bearer $DSOCK_TOKEN"\n',
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
