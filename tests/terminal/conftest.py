"""What the tests of the terminal may ask for."""

from __future__ import annotations

import pytest

from tests.support.cluster import Cluster
from tests.terminal.support import Terminal


@pytest.fixture
def terminal(node: Cluster) -> Terminal:
    """A terminal that knows the node and its token."""
    return Terminal(node.api.url)
