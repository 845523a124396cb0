"""The command `dsock`."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from dsock import __version__
from dsock.errors import StartError
from dsock.settings import default_text, load, option_fields
from dsock.terminal import commands as terminal

ROLES = {
    "serve": "API and worker in one process, on one port",
    "api": "only the API: takes calls from your back end",
    "worker": "only a worker: takes connections from your users",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 after a clean stop, 2 when it could not
    start. The commands of the terminal have more (`dsock.terminal.failures`)."""
    parser = _parser()
    options = _options(parser, sys.argv[1:] if arguments is None else arguments)
    role = options.pop("role")
    if role in terminal.COMMANDS:
        return terminal.run(role, options, parser)
    try:
        return _run(role, options)
    except StartError as error:
        print(f"dsock {role}: {error}", file=sys.stderr)
        return 2


def _options(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> dict[str, Any]:
    known, rest = parser.parse_known_args(arguments)
    if rest and known.role in terminal.COMMANDS:
        terminal.refuse(known.role, rest, parser)
    for argument in rest:
        # Without values, which may be secrets.
        name = argument.partition("=")[0]
        option = name.removeprefix("--").replace("-", "_")
        if option in {one.name for one in option_fields() if one.metadata["secret"]}:
            variable = f"DSOCK_{option.upper()}"
            parser.error(f"{name} is a secret: set {variable}, or {variable}_FILE to its file")
        if name.startswith("-"):
            flags = [f"--{one.name.replace('_', '-')}" for one in option_fields()]
            near = difflib.get_close_matches(name, flags, 1)
            hint = f"did you mean {near[0]}?" if near else "see --help"
            parser.error(f"{name} is no option of {known.role}; {hint}")
    if rest:
        parser.error("too many arguments")
    return vars(known)


def _run(role: Any, flags: dict[str, str | None]) -> int:
    settings = load(os.environ, flags)
    # What follows takes a while to import; a wrong option should not have to wait for it.
    import asyncio

    import uvloop

    from dsock.node import plan, run
    from dsock.observers.journal import configure

    configure(settings.debug)
    plan_ = plan(role, settings)

    def announce(port: int) -> None:
        if plan_.made_token:
            _show_token(port, plan_.settings.token[0])

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(plan_, announce))
    return 0


def _show_token(port: int, token: str) -> None:
    # The only time a token is written anywhere: it was made for this run, and is on no disk.
    print(
        f"No token is set: this one holds until dsock stops.\n\n"
        f"  export DSOCK_TOKEN={token}\n"
        f'  curl -X POST "http://localhost:{port}/claim?user=1" '
        f'-H "Authorization: Bearer $DSOCK_TOKEN"\n',
        flush=True,
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="dsock", description="A distributed WebSocket broker.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"dsock {__version__}")
    commands = parser.add_subparsers(dest="role", required=True, metavar="COMMAND")
    for role, text in ROLES.items():
        command = commands.add_parser(
            role,
            help=text,
            description=f"{text}.",
            allow_abbrev=False,
            epilog="Every option can also be set as DSOCK_NAME. Secrets have no flag: "
            f"{', '.join(_secrets())}, or each with _FILE for a file that holds it "
            "(DSOCK_NAME_FILE).",
        )
        for option in option_fields():
            if option.metadata["only"] in ("", role) or role == "serve":
                _add(command, option)
    terminal.add_commands(commands)
    return parser


def _secrets() -> list[str]:
    return [f"DSOCK_{one.name.upper()}" for one in option_fields() if one.metadata["secret"]]


def _add(command: argparse.ArgumentParser, option: Any) -> None:
    if option.metadata["secret"]:
        # Other users of a machine can read the flags of its processes.
        return
    shown = default_text(option).replace("%", "%%")
    switch = option.type == "bool"
    command.add_argument(
        f"--{option.name.replace('_', '-')}",
        dest=option.name,
        metavar="true|false" if switch else "VALUE",
        nargs="?" if switch else None,
        const="true" if switch else None,
        help=option.metadata["help"] + (f" Default: {shown}." if shown else ""),
    )


if __name__ == "__main__":
    sys.exit(main())
