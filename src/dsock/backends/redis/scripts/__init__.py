"""What must be atomic: one script a file, each with a single key, so that it runs on a
Redis Cluster too.

They are sent whole with every call (`EVAL`), not by their digest: a Redis that has
forgotten them, after a restart or a failover, needs no second round trip, and nothing that
was meant to come after a script can come before it. Redis compiles a script once.
"""

from __future__ import annotations

from importlib.resources import files


def _load(name: str) -> str:
    lines = files(__name__).joinpath(f"{name}.lua").read_text().splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("--"))


CREATE_CLAIM = _load("create_claim")
INDEX_CLAIM = _load("index_claim")
READ_CLAIM = _load("read_claim")
TAKE_CLAIM = _load("take_claim")
VOID_CLAIM = _load("void_claim")
MOVE_CLAIM = _load("move_claim")
RECORD = _load("record")
BEAT = _load("beat")
