"""dSock from the terminal: calls to a running API, and a client that prints what it hears.

`cli.py` needs `add_commands` and `run` of `commands.py`; everything else is imported by the
command that uses it.
"""
