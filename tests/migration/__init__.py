"""A Go dSock API on the same Redis, while a cluster is being migrated (docs/migrating.md)."""
