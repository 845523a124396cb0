"""Decides whether what was seen of a system keeps its promises. Pure: it is handed a ledger
of every answer and every receipt, and says what in it must not be.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from math import inf
from typing import NamedTuple

from dsock.target import Target, ToChannel, ToConnection, ToUser
from tests.faults.ledger import (
    Answer,
    Client,
    Disconnected,
    Ledger,
    Message,
    Moved,
    Sent,
    Shown,
    Window,
)

GOODBYE = 5.0
"""Seconds after which a client that was disconnected has stayed. Promised is less, and tested
elsewhere: here much else happens on the same machine."""


class Breach(NamedTuple):
    """A promise that was not kept, and what shows it."""

    kind: str
    text: str
    moment: float
    client: Client | None = None


def breaches(ledger: Ledger) -> list[Breach]:
    """All that must not be, in the order of time."""
    history = _History(ledger)
    checks = (
        history.admissions,
        history.strangers,
        history.doubles,
        history.inversions,
        history.ghosts,
        history.untold,
        history.lost,
        history.failures,
        history.unseen,
        history.hangups,
        history.keys,
    )
    found = [breach for check in checks for breach in check()]
    return sorted(found, key=lambda breach: breach.moment)


class _History:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._sent = {one.message: one for one in ledger.sent}
        self._got: dict[Message, set[str]] = defaultdict(set)
        for client in ledger.clients:
            for _, message in client.received:
                self._got[message].add(client.name)
        self._moves: dict[tuple[str, ToUser], list[Moved]] = defaultdict(list)
        for move in sorted(ledger.moved, key=lambda move: move.answer.began):
            self._moves[move.channel, move.target].append(move)

    def admissions(self) -> Iterator[Breach]:
        """Promise 2: a claim admits one client."""
        admitted: dict[str, Client] = {}
        for client in self._ledger.clients:
            if client.claim and client.opened < inf:
                first = admitted.setdefault(client.claim, client)
                if first is not client:
                    text = f"{client.name} and {first.name} came in with one claim"
                    yield Breach("admission", text, client.opened, client)

    def strangers(self) -> Iterator[Breach]:
        """Promise 5: nobody gets another's, nor what was never sent."""
        for client in self._ledger.clients:
            for at, message in client.received:
                one = self._sent.get(message)
                if one is None:
                    text = f"{client.name} got {message}, which nobody sent"
                    yield Breach("stranger", text, at, client)
                elif not self._may_be(client, one.target, one.answer.began, at):
                    yield Breach("stranger", f"{client.name} got {one}", at, client)

    def doubles(self) -> Iterator[Breach]:
        """Promise 5: nobody gets a message twice."""
        for client in self._ledger.clients:
            seen: set[Message] = set()
            for at, message in client.received:
                if message in seen:
                    yield Breach("double", f"{client.name} got {message} again", at, client)
                seen.add(message)

    def inversions(self) -> Iterator[Breach]:
        """Promise 5: what one sender sends arrives in its order. What failed may have
        happened all the same (promise 6), and that while the next was under way already."""
        for client in self._ledger.clients:
            last: dict[str, int] = {}
            for at, message in client.received:
                sender, number = message
                if number < (before := last.get(sender, -1)) and not self._came_late(message, at):
                    text = f"{client.name} got {message} after {sender}/{before}"
                    yield Breach("inversion", text, at, client)
                last[sender] = max(before, number)

    def ghosts(self) -> Iterator[Breach]:
        """Promise 4: who was disconnected, or had a claim that was voided, gets nothing that
        was sent after the answer, and does not stay. Who stays until the fault is over on a
        worker that could not hear it is closed by then."""
        for one in self._ledger.disconnected:
            answer = one.answer
            if answer.status != 200 or self._forgotten(answer):
                continue
            window = self._window(answer)
            until = max(answer.ended, window.ended if window else -inf) + GOODBYE
            for client in self._ledger.clients:
                if not self._was_meant(client, one):
                    continue
                said = f"{client.name} was logged out by {one}"
                if client.left > until and client.closed > until:
                    yield Breach("ghost", f"{said} and stayed", until, client)
                for at, message in client.received:
                    told = self._sent.get(message)
                    since = told.answer.began if told else -inf
                    if since > answer.ended and not self._is_unmarked(client, answer, at):
                        yield Breach("ghost", f"{said} and got {told}", at, client)

    def untold(self) -> Iterator[Breach]:
        """Promises 1, 3 and 6: who was open, and one of the target, when a send began has
        got it if the answer says that no worker was missed and nothing dropped. An answer
        that has waited for nobody says so only while nothing is broken."""
        for one in self._ledger.sent:
            answer = one.answer
            if not answer.heard or answer.dropped or self._forgotten(answer):
                continue
            if not answer.waited and self._window(answer):
                continue
            for client in self._ledger.clients:
                if (
                    client.opened < answer.began
                    and client.stayed(answer.settled)
                    and client.name not in self._got[one.message]
                    and self._surely(client, one.target, answer.began, answer.settled)
                    and not self._was_given_up(client, answer.ended, client.left)
                ):
                    yield Breach("untold", f"{client.name} missed {one}", answer.ended, client)

    def lost(self) -> Iterator[Breach]:
        """Promise 6: a connection that is counted, and stayed open, has got the message. In
        the buffer is not read: one whose connection ended may not have."""
        for one in self._ledger.sent:
            answer, got = one.answer, self._got[one.message]
            if answer.status != 200:
                continue
            ended = [
                client
                for client in self._ledger.clients
                if client.name not in got
                and client.closed > answer.began
                and not client.stayed(answer.ended)
                and self._may_be(client, one.target, answer.began, answer.ended)
            ]
            if len(got) + len(ended) < answer.connections:
                text = f"{one} was got by {len(got)}, and {len(ended)} ended"
                yield Breach("lost", text, answer.ended)

    def failures(self) -> Iterator[Breach]:
        """While nothing is broken every call succeeds, and no worker is missed."""
        ledger = self._ledger
        calls: list[Sent | Disconnected | Moved | Shown] = [*ledger.sent, *ledger.disconnected]
        for one in (*calls, *ledger.moved, *ledger.shown):
            if not one.answer.heard and not self._window(one.answer):
                yield Breach("failure", f"with nothing broken: {one}", one.answer.ended)

    def unseen(self) -> Iterator[Breach]:
        """Promises 1 and 4: while nothing is broken `/info` shows who is open, and never who
        was disconnected."""
        gone: dict[str, float] = {}
        for one in self._ledger.disconnected:
            if one.answer.status == 200 and not self._window(one.answer):
                for client in self._ledger.clients:
                    if client.id and self._was_meant(client, one):
                        gone[client.id] = min(one.answer.ended, gone.get(client.id, inf))
        for shown in self._ledger.shown:
            answer = shown.answer
            if answer.status != 200 or self._window(answer):
                continue
            for client in self._ledger.clients:
                is_open = client.opened < answer.began and client.stayed(answer.ended)
                is_shown = not client.id or client.id in shown.ids
                if is_open and not is_shown and _met(client, shown.target):
                    text = f"{client.name} is missing in {shown}"
                    yield Breach("unseen", text, answer.ended, client)
            for id in shown.ids:
                if gone.get(id, inf) < answer.began:
                    yield Breach("ghost", f"{id} was logged out: {shown}", answer.ended)

    def hangups(self) -> Iterator[Breach]:
        """Promise 8: open sockets stay open, unless somebody closes them or a worker ends."""
        for client in self._ledger.clients:
            if inf in (client.opened, client.closed) or client.left < inf:
                continue
            asked = any(
                one.answer.began < client.closed
                and self._may_be(client, one.target, one.answer.began, client.closed)
                for one in self._ledger.disconnected
            )
            if not asked and not self._was_given_up(client, client.closed, client.closed):
                text = f"{client.name} was closed with {client.code}"
                yield Breach("hangup", text, client.closed, client)

    def keys(self) -> Iterator[Breach]:
        """Promise 7: nothing is left in Redis but the marks of who was declared gone."""
        for key in sorted(self._ledger.keys):
            if not key.startswith("reaped:"):
                yield Breach("key", f"{key} was left in Redis", inf)

    # --- who is meant --------------------------------------------------------------------

    def _was_meant(self, client: Client, one: Disconnected) -> bool:
        """Whether a client was open and one of the target, or had a claim to come in with:
        an id has none."""
        began, ended = one.answer.began, one.answer.ended
        by_user = isinstance(one.target, ToUser)
        since = min(client.claimed, client.opened) if by_user else client.opened
        there = since < began and client.closed > ended
        return there and self._surely(client, one.target, began, ended)

    def _surely(self, client: Client, target: Target, began: float, ended: float) -> bool:
        """Whether a client is one of a target, all the time in between and without doubt."""
        if not isinstance(target, ToChannel):
            return _is(client, target)
        moves = self._moves_of(client, target, ended)
        if not moves:
            return target.channel in client.channels
        latest = moves[-1]
        return (
            latest.subscribed
            and latest.answer.ended < began
            and latest.answer.heard
            and not self._forgotten(latest.answer)
            and not any(self._may_come_late(one, began) for one in moves if not one.subscribed)
        )

    def _may_be(self, client: Client, target: Target, began: float, ended: float) -> bool:
        """Whether a client can have been one of a target at any time in between."""
        if isinstance(target, ToConnection) and not client.id:
            return True  # It was gone before its id was known.
        if not isinstance(target, ToChannel):
            return _is(client, target)
        may_be = target.channel in client.channels
        moves = self._moves_of(client, target, ended)
        for place, move in enumerate(moves):
            if move.subscribed:
                may_be = True
            elif move.answer.heard and move.answer.ended < began:
                earlier = (one for one in moves[:place] if one.subscribed)
                may_be = (
                    self._forgotten(move.answer)
                    or self._is_unmarked(client, move.answer, ended)
                    or any(self._may_come_late(one, began) for one in earlier)
                )
        return may_be

    def _moves_of(self, client: Client, target: ToChannel, until: float) -> list[Moved]:
        moves = self._moves.get((target.channel, ToUser(client.user, client.session)), [])
        return [move for move in moves if move.answer.began <= until]

    # --- when ----------------------------------------------------------------------------

    def _came_late(self, message: Message, moment: float) -> bool:
        one = self._sent.get(message)
        return one is not None and self._may_come_late(one, moment)

    def _may_come_late(self, one: Moved | Sent, moment: float) -> bool:
        """Whether a call that failed, or may have as nobody has waited for it, may still be
        carried out at this moment: as long as what makes it fail lasts."""
        answer = one.answer
        window = None if answer.heard and answer.waited else self._window(answer)
        return window is not None and moment <= window.ended

    def _window(self, answer: Answer) -> Window | None:
        """The last fault in which an answer was given."""
        during = [
            window
            for window in self._ledger.windows
            if window.began <= answer.settled and answer.began <= window.ended
        ]
        return max(during, key=lambda window: window.ended, default=None)

    def _was_given_up(self, client: Client, began: float, ended: float) -> bool:
        """Whether its worker was so broken in between that it may have lost its clients."""
        return any(
            window.closes == client.worker and window.began <= began and ended <= window.ended
            for window in self._ledger.windows
            if window.closes
        )

    def _is_unmarked(self, client: Client, answer: Answer, moment: float) -> bool:
        """Whether its worker may have been declared gone by this answer, and not know yet at
        this moment as Redis has lost the mark: see promise 4."""
        return self._was_given_up(client, answer.ended, answer.ended) and any(
            window.unmarks and window.began <= moment <= window.ended
            for window in self._ledger.windows
        )

    def _forgotten(self, answer: Answer) -> bool:
        """Whether the answer may not know of all workers: see promise 4."""
        return any(
            window.forgets and window.began <= answer.ended and answer.began <= window.ended
            for window in self._ledger.windows
        )


def _met(client: Client, target: ToUser) -> bool:
    return client.user == target.user and target.session in (None, client.session)


def _is(client: Client, target: ToConnection | ToUser) -> bool:
    if isinstance(target, ToUser):
        return _met(client, target)
    return client.id == target.id
