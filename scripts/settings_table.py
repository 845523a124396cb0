"""Make `docs/settings.md` from the one place where options are declared."""

from __future__ import annotations

import sys
from pathlib import Path

from dsock.settings import default_text, option_fields

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"

HEAD = """\
# Settings

Made by `scripts/settings_table.py`; do not edit.

An option `name_of_option` is the variable `DSOCK_NAME_OF_OPTION` or the flag
`--name-of-option` (which wins). A secret has no flag, since other users of a machine can read
those; instead, `DSOCK_..._FILE` may name a file that holds it. `PORT` works too. An empty
value counts as absent. Durations are written `60s`, `1m30s` or `500ms`, sizes `65536`, `64KiB`
or `1MiB`, lists with commas.

| option | default | what it is | |
| --- | --- | --- | --- |
"""


def page() -> str:
    rows = []
    for option in option_fields():
        notes = []
        if option.metadata["only"]:
            notes.append(f"{option.metadata['only']} only")
        if option.metadata["secret"]:
            notes.append("secret")
        cells = [
            f"`{option.name}`",
            default_text(option) or "none",
            option.metadata["help"],
            ", ".join(notes),
        ]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    if "--check" not in sys.argv:
        PAGE.write_text(page())
    elif not PAGE.exists() or PAGE.read_text() != page():
        sys.exit("docs/settings.md is stale: run scripts/settings_table.py")
