"""The flags of a command that is given the options of a node."""

from __future__ import annotations

import argparse
from dataclasses import Field
from typing import Any

from dsock.settings import default_text, flag, option_fields, variable

SECRETS_HAVE_NO_FLAG = (
    "Every option can also be set as DSOCK_NAME, or in a config file. Secrets have no flag: "
    "{secrets}, or each with _FILE for a file that holds it (DSOCK_NAME_FILE)."
)


def add_flags(command: argparse.ArgumentParser, half: str = "") -> None:
    """Add a flag for every option, or only for those of a half (`api` or `worker`)."""
    secrets = [variable(option) for option in option_fields() if option.metadata["secret"]]
    command.epilog = SECRETS_HAVE_NO_FLAG.format(secrets=", ".join(secrets))
    files = command.add_mutually_exclusive_group()
    files.add_argument(
        "--config-file", metavar="PATH", help="Read this config file and look for no other."
    )
    files.add_argument(
        "--no-config-file", action="store_true", help="Neither read nor write a config file."
    )
    for option in option_fields():
        # Other users of a machine can read the flags of its processes.
        if not option.metadata["secret"] and (not half or option.metadata["only"] in ("", half)):
            _add(command, option)


def given(options: argparse.Namespace) -> dict[str, str | None]:
    """The options that were set by flags."""
    return {option.name: getattr(options, option.name, None) for option in option_fields()}


def _add(command: argparse.ArgumentParser, option: Field[Any]) -> None:
    shown = default_text(option).replace("%", "%%")
    switch = option.type == "bool"
    command.add_argument(
        flag(option),
        dest=option.name,
        metavar="true|false" if switch else "VALUE",
        nargs="?" if switch else None,
        const="true" if switch else None,
        help=option.metadata["help"] + (f" Default: {shown}." if shown else ""),
    )
