"""What makes rare things happen often."""

from __future__ import annotations

import pytest

from dsock.backends.redis import membership


@pytest.fixture
def fast_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers tidy up and refresh so often that everything meets a refresh."""
    monkeypatch.setattr(membership, "BEAT", 0.01)
