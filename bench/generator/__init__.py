"""The load: one process, one thread and one clock on the generator's core.

It calls the API, holds the clients' ends of all connections, and reads what arrives.
"""
