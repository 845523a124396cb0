"""The name of every key and channel in Redis, with the prefix in front.

A name is made here and nowhere else. Names of users and sessions may hold any character,
so `user_session` is ambiguous (`a-b` + `c`, `a` + `b-c`): whoever looks something up there
checks the fields of what it finds.
"""

from __future__ import annotations

from dataclasses import dataclass

from dsock.target import Target, ToChannel, ToConnection, ToUser


@dataclass(frozen=True, slots=True)
class Keys:
    """`prefix` lets several brokers share one Redis; so does `database`, which channels do
    not know by themselves. Not `shared` is a Cluster's: there all workers cannot have one
    mailbox together, since each one's channels are in a slot of their own."""

    prefix: str = ""
    database: int = 0
    shared: bool = True

    # Those of the Go dSock.

    def claim(self, id: str) -> str:
        return f"{self.prefix}claim:{id}"

    def claims_of_user(self, user: str) -> str:
        return f"{self.prefix}claim-user:{user}"

    def claims_of_session(self, user: str, session: str) -> str:
        return f"{self.prefix}claim-user-session:{user}-{session}"

    def claims_of_channel(self, channel: str) -> str:
        return f"{self.prefix}claim-channel:{channel}"

    def connection(self, id: str) -> str:
        return f"{self.prefix}conn:{id}"

    def user(self, user: str) -> str:
        return f"{self.prefix}user:{user}"

    def user_session(self, user: str, session: str) -> str:
        return f"{self.prefix}user-session:{user}-{session}"

    def channel(self, channel: str) -> str:
        return f"{self.prefix}channel:{channel}"

    def worker(self, worker: str) -> str:
        return f"{self.prefix}worker:{worker}"

    def mailbox(self, worker: str) -> str:
        return f"{self.prefix}{self._tagged(worker)}"

    def mailbox_of_actions(self, worker: str) -> str:
        return f"{self.prefix}{self._tagged(worker)}:channel"

    # Ours.

    def route(self, target: ToUser | ToChannel) -> str:
        """The set of workers that hold connections of a user or channel."""
        if isinstance(target, ToUser):
            return f"{self.prefix}user-workers:{target.user}"
        return f"{self.prefix}channel-workers:{target.channel}"

    def workers(self) -> str:
        """Sorted set: worker id, time of its last beat."""
        return f"{self.prefix}workers"

    def everyone(self) -> str:
        """In place of a worker's id: the mailbox that all workers have beside their own."""
        return f"workers:{self.database}" if self.database else "workers"

    def records(self, worker: str) -> str:
        """Set of all that a worker has written, for whoever has to remove it."""
        return f"{self.prefix}worker-records:{worker}"

    def reaped(self, worker: str) -> str:
        """The mark of a worker that was declared gone."""
        return f"{self.prefix}reaped:{worker}"

    def memory(self, node: str) -> str:
        """What a node leaves among those marks: if it is gone, Redis has forgotten them."""
        return self.reaped(f"nobody-{node}")

    def replies(self, node: str) -> str:
        """The channel on which an API node is answered."""
        return f"{self.prefix}replies:{node}"

    def _tagged(self, worker: str) -> str:
        # The part in braces decides on the slot: both channels are in the same.
        return worker if self.shared else f"{{{worker}}}"

    # Look-ups.

    def claims_of(self, target: Target) -> str | None:
        """The set that holds the claims of a target, and perhaps others."""
        if isinstance(target, ToConnection):
            return None
        if isinstance(target, ToChannel):
            return self.claims_of_channel(target.channel)
        if target.session is None:
            return self.claims_of_user(target.user)
        return self.claims_of_session(target.user, target.session)

    def connections_of(self, target: ToUser | ToChannel) -> str:
        """The set that holds the connections of a target, and perhaps others."""
        if isinstance(target, ToChannel):
            return self.channel(target.channel)
        if target.session is None:
            return self.user(target.user)
        return self.user_session(target.user, target.session)
