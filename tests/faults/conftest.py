"""Faults are the same whatever the API reaches its workers by."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults import support


@pytest.fixture(params=["redis", "direct"])
def method(request: pytest.FixtureRequest) -> Iterator[str]:
    """Clusters of this test are set to this `messaging_method`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(support, "METHOD", request.param)
        yield request.param
