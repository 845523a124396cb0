"""Make `docs/settings.md` from the one place where options are declared."""

from __future__ import annotations

import sys
from pathlib import Path

from dsock.settings import default_text, option_fields

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"

HEAD = """\
# Settings

Made by `scripts/settings_table.py`; do not edit.

An option `name_of_option` can be set in three ways; the first that does so counts:

1. the flag `--name-of-option`. A secret has none, since other users of a machine can read flags;
2. the variable `DSOCK_NAME_OF_OPTION`. For a secret, `DSOCK_NAME_OF_OPTION_FILE` may instead name
   a file that holds it. `PORT` works too, after `DSOCK_PORT`;
3. the config file, as `name_of_option`.

An empty value counts as absent. Durations are written `60s`, `1m30s` or `500ms`, sizes `65536`,
`64KiB` or `1MiB`, lists with commas. `dsock config`, with the same flags, shows what counts and
where it is from; secrets are masked (`--json` for programs).

## The config file

The first of these that exists is read, and no other:

| | |
| --- | --- |
| `config.toml`, `config.json`, `config.yaml`, `config.yml` | in the current folder |
| the same four | in `$HOME/.config/dsock` |
| the same four | in `/etc/dsock` |

```toml
port = 7000
redis_host = "redis:6379"
default_channels = ["news", "sports"]   # or "news,sports"
ttl_duration = "1m30s"
max_message_size = "64KiB"              # or 65536
debug = true
```

JSON and YAML have the same names and values. A name that is no option is refused, so that a
misspelt one is noticed. A file that has a secret should be readable by its owner only; otherwise
there is a warning.

Where there is none of them, a node writes `config.toml` into the current folder if it can: every
option with its default, all commented out. `--config-file PATH` reads that file and looks for no
other; `--no-config-file` neither reads nor writes one.

## All options

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
