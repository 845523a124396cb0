"""The cluster is that of the promises."""

from __future__ import annotations

import pytest

from dsock.backends.redis import membership
from tests.promises.conftest import cluster, crowd, options

__all__ = ["cluster", "crowd", "options"]


@pytest.fixture
def fast_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers tidy up and refresh so often that everything meets a refresh."""
    monkeypatch.setattr(membership, "BEAT", 0.01)
