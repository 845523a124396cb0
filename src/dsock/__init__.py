"""dSock: your users' live WebSockets as a stateless HTTP API."""

__version__ = "0.1.0"
