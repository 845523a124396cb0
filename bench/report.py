"""`python -m bench.report FILE.json`: writes `docs/performance.md` and its plot from a run."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.plot import Panel, svg
from bench.table import Row, as_markdown

DOCS = Path(__file__).parent.parent / "docs"
PLOT = Path("performance") / "latency.svg"
"""From the folder of the page."""

PAGE = """\
# What it does a second

Made by `python -m bench.report` from a run of the bench; do not edit.

`{command}` at commit `{commit}` on {date}: {rounds} rounds of each measurement, {seconds} s in all.
{cpu}, {cores} cores, Linux {kernel}, Python {python}. Repeat it with `make bench`.

## How it is measured

* **Pinned.** The server has the first core, the generator the last one. Redis shares the
  generator's core and is counted apart. With API and worker on two cores, the worker has the
  server's and the API shares the generator's: this machine has no third.
* **Against floors.** Each rate is given with a floor that was measured in the same run, in turns
  with it: a tight loop of one `send()` per message over as many sockets; a Starlette route that
  reads a body and answers, on the same uvicorn; a loop that accepts and answers 101. `ratio` is
  the median over the rounds of one over the other.
* **The readers** of throughput look now and then and take what has gathered, so that they are not
  the limit; for latency they are woken for each message.
* **CPU** is the server's user and system time for one of what is counted: steadier than a rate on
  a machine that others use.
* **"The generator was the limit"** where it used more than 90 % of its core: the server might do
  better.
* **Latency** counts from when a send was due, not from when it went out, so that a pause is
  charged for all that waited (no coordinated omission). Sends are due at equal distances, or,
  where it says so, at random.
* **Wanted** is what the project has set itself. Where it does not hold, it says NO.

Everything, with each round, is in the JSON that `python -m bench --json FILE` writes.
"""


def page(run: dict[str, Any]) -> str:
    """The whole page."""
    parts = [PAGE.format(**run, **run["machine"])]
    if panels(run["figures"]):
        parts.append(f"## Latency against load\n\n![Latency against load]({PLOT})\n")
    for place in dict.fromkeys(row["place"] for row in run["figures"]):
        rows = [row for row in run["figures"] if row["place"] == place]
        title = place[0].upper() + place[1:]
        parts.append(f"## {title}\n\n{as_markdown(rows, without=['where'])}\n")
    return "\n".join(parts)


def panels(figures: Sequence[Row]) -> list[Panel]:
    """One for each kind of latency at each place; its lines are the quantiles."""
    lines: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for row in figures:
        if row["load"] is not None:
            quantile = row["name"].partition(" at ")[0]
            title = f"{row['shape'].removeprefix('latency ')}, {row['place']}"
            points = lines.setdefault(title, {}).setdefault(quantile, [])
            points.append((row["load"], row["median"]))
    # Panels of one kind stand in one row.
    return [Panel(title, lines[title]) for title in sorted(lines, reverse=True)]


def main(file: str) -> None:
    run = json.loads(Path(file).read_text())
    (DOCS / "performance.md").write_text(page(run))
    found = panels(run["figures"])
    if found:
        (DOCS / PLOT).parent.mkdir(exist_ok=True)
        (DOCS / PLOT).write_text(svg(found, "load, of the measured capacity", "ms"))


if __name__ == "__main__":
    main(*sys.argv[1:])
