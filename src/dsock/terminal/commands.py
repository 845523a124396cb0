"""The commands of the terminal: their arguments, and what each ends with.

Only this module is imported by every `dsock`; what a command needs is imported when it runs.
"""

from __future__ import annotations

import argparse
import functools
import os
from typing import Any

SHELLS = ("bash", "zsh", "tcsh")

COMMANDS = {
    "claim": "make a claim, and print its id",
    "send": "send a message",
    "disconnect": "close connections, and void claims that were not used yet",
    "info": "show connections, and claims that were not used yet",
    "subscribe": "put connections and claims into a channel",
    "unsubscribe": "take connections and claims out of a channel",
    "listen": "connect as a client, and print every message",
    "completion": "print the completion script of a shell",
}

_ENDS = """\
environment:
  DSOCK_URL         address of the API (default: http://localhost:6241)
  DSOCK_TOKEN       its token; of several, comma-separated, the first is sent
  DSOCK_TOKEN_FILE  a file that holds the token, instead

exit status:
  0  done
  1  dSock said no, or could not
  2  called wrongly
  3  dSock was not reached
"""

_EXTRA = {
    "claim": "Standard output has the claim's id and nothing else, so that $(dsock claim 42)\n"
    "is one. -v says on standard error whose it is and when it expires.\n",
    "send": "Without MESSAGE, or with -, standard input is sent, byte for byte.\n"
    "A target that nobody is connected to is no error: the status is 0.\n",
    "info": "The ids of claims are not shown: whoever has one can connect. --json has them.\n",
    "listen": "Ends with Ctrl-C. When the worker says that clients should come back (close codes\n"
    "1012 and 1013), or the connection is lost, a new claim is made and the client connects\n"
    "again.\n\n"
    "  DSOCK_CONNECT_URL is the address that clients connect to (default: /connect of the\n"
    "  API's address).\n",
}


def add_commands(commands: Any, parser: argparse.ArgumentParser) -> None:
    """Add the commands of the terminal to those of `dsock`: to `commands`, which is what
    `add_subparsers` of `parser` gives."""
    parsers: dict[str, argparse.ArgumentParser] = {}
    for name, text in COMMANDS.items():
        ends = "" if name == "completion" else _ENDS
        parsers[name] = commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            allow_abbrev=False,
            epilog="\n".join(part for part in (_EXTRA.get(name, ""), ends) if part),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    _claim(parsers["claim"])
    _send(parsers["send"])
    _target(parsers["disconnect"])
    _flag(parsers["disconnect"], "--keep-claims", "leave claims that were not used yet")
    _target(parsers["info"])
    for name in ("subscribe", "unsubscribe"):
        parsers[name].add_argument("name", metavar="CHANNEL", help="the channel")
        _target(parsers[name])
        _flag(parsers[name], "--ignore-claims", "leave claims that were not used yet")
    _listen(parsers["listen"])
    parsers["completion"].add_argument("shell", choices=SHELLS, help="which shell")
    for name, one in parsers.items():
        one.set_defaults(run=functools.partial(_run, name, parser))
        if name != "completion":
            _common(one)


def _run(name: str, parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    from dsock.terminal.runner import run_command

    return run_command(name, options, parser, os.environ)


def _claim(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("user", metavar="USER", help="the user it is for")
    parser.add_argument("--session", metavar="SESSION", help="a session of the user")
    parser.add_argument("--channels", metavar="A,B", help="channels to join on connecting")
    life = parser.add_mutually_exclusive_group()
    life.add_argument(
        "--duration", metavar="TIME", help="how long it lives: 60, or 5m (default: 60)"
    )
    life.add_argument("--expiration", metavar="SECONDS", help="when it ends, from epoch")
    parser.add_argument("--id", metavar="ID", help="an id of your own, hard to guess")
    _flag(parser, "-v", "--verbose", "also say on standard error what was made")


def _send(parser: argparse.ArgumentParser) -> None:
    _target(parser)
    parser.add_argument("message", metavar="MESSAGE", nargs="?", help="the text to send")
    parser.add_argument("--file", metavar="PATH", help="send what is in a file")
    _flag(parser, "--binary", "send it as a binary message")
    _flag(parser, "--no-report", "do not wait for the workers")


def _listen(parser: argparse.ArgumentParser) -> None:
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--user", metavar="USER", help="make a claim for this user")
    who.add_argument("--claim", metavar="ID", help="use this claim")
    who.add_argument("--jwt-file", metavar="PATH", help="use the JWT in a file")
    parser.add_argument("--session", metavar="SESSION", help="with --user: a session of the user")
    parser.add_argument("--channels", metavar="A,B", help="with --user: channels to join")
    parser.add_argument("--connect-url", metavar="URL", help="address that clients connect to")
    _flag(parser, "--once", "end when the connection does, whatever its close code says")


def _target(parser: argparse.ArgumentParser) -> None:
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--user", metavar="USER", help="the connections of a user")
    who.add_argument("--channel", metavar="CHANNEL", help="the connections in a channel")
    who.add_argument("--id", metavar="ID", help="one connection")
    parser.add_argument("--session", metavar="SESSION", help="with --user: only of this session")


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", metavar="URL", help="address of the API")
    parser.add_argument("--token-file", metavar="PATH", help="file that holds the token")
    _flag(parser, "--json", "print what dSock answers, as JSON, and nothing else")


def _flag(parser: argparse.ArgumentParser, *names_and_help: str) -> None:
    *names, text = names_and_help
    parser.add_argument(*names, action="store_true", help=text)
