"""`make conformance`: every case of the Autobahn TestSuite, some minutes of it.

Its status is 0 when no verdict is other than OK or known.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter

import structlog
import uvloop

from tests.conformance.autobahn import EVERY_CASE, OK, verdicts
from tests.conformance.echo import echo
from tests.conformance.known import KNOWN


async def _main() -> bool:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    async with echo() as url:
        judged = await verdicts(url, EVERY_CASE)
    for verdict, count in Counter(judged.values()).most_common():
        print(f"{count:4} {verdict}")
    expected = {id: KNOWN[id].verdict if id in KNOWN else OK for id in EVERY_CASE}
    surprises = {id for id in EVERY_CASE if judged.get(id) != expected[id]}
    for id in sorted(surprises):
        print(f"{id}: {judged.get(id, 'not judged')}, expected {expected[id]}", file=sys.stderr)
    return not surprises


if __name__ == "__main__":
    sys.exit(0 if uvloop.run(_main()) else 1)
