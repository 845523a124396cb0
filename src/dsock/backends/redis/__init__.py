"""API and workers on many nodes, joined by Redis. `docs/redis.md` lists every key."""
