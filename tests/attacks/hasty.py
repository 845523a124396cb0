"""`dsock` as it is, but for its patience: the tests need not have as much."""

from __future__ import annotations

import functools
import sys
from unittest.mock import patch

from dsock.cli import main
from dsock.http.rules import Rules

PATIENCE = 2.0
"""Seconds for headers, and for a body to go on."""

if __name__ == "__main__":
    hasty = functools.partial(Rules, header_timeout=PATIENCE, body_timeout=PATIENCE)
    with patch("dsock.node.Rules", hasty):
        sys.exit(main())
