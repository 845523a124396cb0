"""Redis Cluster: slots, a pipe to each master, and sharded channels."""
