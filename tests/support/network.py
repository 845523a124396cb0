"""A network of its own between a worker and the rest, in which packets can get lost.

    here (the test, Redis, an API) --- between (drops) --- there (a worker)

What is dropped on the way is no error for who has sent it: it waits and repeats, as on a real
network. Everything is in two network namespaces, and goes with them.
"""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Literal

PATIENCE = 10.0
"""Seconds after which a command for the network has failed."""

Cut = Literal["both ways", "what it says", "what it hears"]
"""What is lost between `there` and a port of `here`, as a worker there sees it."""

_NETS = range(2**13)
"""Of eight addresses each: what is in the range."""

_RULES = {
    "what it says": ("tcp dport {port} drop",),
    "what it hears": ("tcp sport {port} drop",),
    "both ways": ("tcp dport {port} drop", "tcp sport {port} drop"),
}


class Network:
    """`here` and `there` are addresses; `enter` is the command that starts another `there`."""

    def __init__(self, net: int) -> None:
        # 198.18.0.0/15 is for tests between networks (RFC 2544): nobody else is there.
        first = (198 << 24) + (18 << 16) + net * 8
        self.here, self.there = _text(first + 1), _text(first + 6)
        self._outer, self._between, self._there = (f"ds{net}{end}" for end in "obt")
        self.enter = ("ip", "netns", "exec", self._there)
        self._near, self._far = _text(first + 2), _text(first + 5)
        self._hosts = f"{_text(first + 4)}/30"

    def cut(self, port: int, what: Cut) -> None:
        """Lose packets on the way from and to a port of `here`, from now on."""
        self.mend()
        rules = "; ".join(_RULES[what]).format(port=port)
        chain = f"type filter hook forward priority 0; {rules};"
        self._do_between("nft", f"table ip cut {{ chain lost {{ {chain} }} ; }}")

    def mend(self) -> None:
        """Lose nothing any more."""
        self._do_between("nft", "table ip cut; delete table ip cut")

    def is_free(self) -> bool:
        """Whether nobody has it. Then it is taken, and `up` must follow."""
        return not subprocess.run(
            ("ip", "netns", "add", self._between), stderr=subprocess.DEVNULL
        ).returncode

    @contextmanager
    def up(self) -> Iterator[None]:
        between, there, outer = self._between, self._there, self._outer
        with ExitStack() as stack:
            stack.callback(run, "ip", "netns", "del", between)
            run("ip", "netns", "add", there)
            stack.callback(run, "ip", "netns", "del", there)
            run("ip", "link", "add", outer, *_pair("near", between))
            # With its route; a namespace takes its time to go.
            stack.callback(run, "ip", "link", "del", outer)
            run("ip", "-n", between, "link", "add", "far", *_pair("door", there))
            run("ip", "addr", "add", f"{self.here}/30", "dev", outer)
            run("ip", "-n", between, "addr", "add", f"{self._near}/30", "dev", "near")
            run("ip", "-n", between, "addr", "add", f"{self._far}/30", "dev", "far")
            run("ip", "-n", there, "addr", "add", f"{self.there}/30", "dev", "door")
            run("ip", "link", "set", outer, "up")
            for space, device in ((between, "near"), (between, "far"), (there, "door")):
                run("ip", "-n", space, "link", "set", device, "up")
            run("ip", "-n", there, "link", "set", "lo", "up")
            self._do_between("sysctl", "-qw", "net.ipv4.ip_forward=1")
            run("ip", "-n", there, "route", "add", "default", "via", self._far)
            run("ip", "route", "add", self._hosts, "via", self._near)
            yield

    def _do_between(self, *command: str) -> None:
        run("ip", "netns", "exec", self._between, *command)


@contextmanager
def network() -> Iterator[Network]:
    """A network that nobody else uses."""
    drawn = (Network(net) for net in random.sample(_NETS, 20))
    made = next(one for one in drawn if one.is_free())
    with made.up():
        yield made


def run(*command: str) -> None:
    """Do it, or fail with what it says."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, (command, done.stderr)


def _pair(name: str, space: str) -> tuple[str, ...]:
    return ("type", "veth", "peer", "name", name, "netns", space)


def _text(address: int) -> str:
    return ".".join(str(address >> shift & 255) for shift in (24, 16, 8, 0))
