"""Breaks a system by a schedule while it is in use, mends it, and judges what was seen.

`python -m tests.faults.nemesis --seed 7 --seconds 20` is one run; `--minutes 30` goes on with
other seeds for so long. Which faults come when is a function of the seed; what they meet is
not, so a breach may need more than one run of its seed to show again.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from functools import partial
from math import inf

import uvloop

from dsock.backends.redis.claim_sets import INDEX_MARGIN
from tests.faults.history import Breach, breaches
from tests.faults.ledger import Ledger, Window
from tests.faults.load import CLAIM_LIVES, Load
from tests.faults.proxy import NONE, PUBLISHES, SUBSCRIBES, Faults
from tests.faults.schedule import LEASE, Schedule, Step, schedule
from tests.faults.system import System, system_up
from tests.faults.verdict import Seen, told
from tests.support.eventually import holds_within

GRACE = 7.0
"""Seconds after a fault within which all works again: three until a subscription counts as
deaf, or a lease; the looks and beats on top; and a busy machine."""

HEALED_WITHIN = 20.0
"""Seconds that a busy machine has on top; the times that are promised are tested elsewhere."""

UNNOTICED = 2.0
"""Seconds after which the workers have announced themselves to a Redis that was emptied while
it ran, and before which nobody can know that it was: promise 8."""

MARKED_AGAIN = 3.0
"""Seconds after which workers that were declared gone know, though Redis had forgotten it: one
for the others to reach it, look and mark them anew, one for the beat, and a busy machine."""

CALM = 1.0
"""Seconds without a failure after which all works again."""

QUIET = 3.0
"""Seconds at the end in which nothing is broken, and nothing may fail."""

TICK, HICCUP = 0.1, 0.4
"""Seconds between two looks at the clock, and how late one is if the machine stood still."""

LOST = Faults(lost=True)

_WIRES: dict[str, tuple[Faults, Faults]] = {
    "wire lost": (LOST, LOST),
    "wire lost there": (LOST, NONE),
    "wire lost back": (NONE, LOST),
    "wire stalled": (Faults(stalled=True, jitter=1.0), Faults(stalled=True, jitter=1.0)),
    "wire slow": (Faults(latency=0.1, jitter=0.1), Faults(latency=0.1, jitter=0.1)),
    "wire sliced": (Faults(slice=20), Faults(slice=7)),
    "wire narrow": (Faults(rate=20_000, slice=500), Faults(rate=20_000, slice=500)),
    "wire ending": (Faults(limit=6000, slow_close=0.2), Faults(limit=6000, slow_close=0.2)),
}

_CLOSING = {"stopped for long", "killed", "drained", "wire deaf"} | {
    name for name in _WIRES if name not in ("wire slow", "wire sliced")
}
"""Faults of a worker through which it may lose its lease, or its clients."""


class Nemesis:
    """Carries a schedule out on a system."""

    def __init__(self, system: System, load: Load, ledger: Ledger) -> None:
        self._system = system
        self._load = load
        self._ledger = ledger
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._loop = asyncio.get_running_loop()
        self._lost_at: list[tuple[float, float]] = []
        self._broken_until: dict[str, float] = defaultdict(lambda: -inf)

    def is_whole_since(self, victim: str, moment: float) -> bool:
        """Whether no fault was at this victim since then."""
        return self._broken_until[victim] < moment

    async def carry_out(self, steps: Iterable[Step]) -> None:
        """Returns when every fault is over. One that outlasts its time, as a node may that
        has to be started, delays the next of its victim."""
        began = self._loop.time()
        await asyncio.gather(*(self._carry_out(step, began + step.at) for step in steps))
        self._forget()

    async def _carry_out(self, step: Step, at: float) -> None:
        await _pause(at - self._loop.time())
        async with self._locks[step.victim]:
            began = self._loop.time()
            self._broken_until[step.victim] = inf
            await self._fault(step)
            self._broken_until[step.victim] = self._loop.time()
            ended = self._loop.time() + GRACE
        is_worker = step.victim.startswith("worker")
        closes = step.victim if is_worker and step.kind in _CLOSING else ""
        self._ledger.windows.append(Window(began, ended, str(step), closes))

    async def _fault(self, step: Step) -> None:
        system, chance = self._system, random.Random(step.seed)
        if step.kind in _WIRES:
            proxy = system.places[step.victim].proxy
            proxy.set(*_WIRES[step.kind])
            await _pause(step.lasts)
            proxy.heal()
        elif step.kind == "wire reset":
            system.places[step.victim].proxy.reset()
        elif step.kind == "answers lost":
            # Redis has handed on what it does not say, and there is time to publish it again.
            proxy = system.places[step.victim].proxy
            proxy.hush(only=PUBLISHES)
            await _pause(step.lasts)
            proxy.reset()
        elif step.kind == "wire deaf":
            system.places[step.victim].proxy.hush(only=SUBSCRIBES)
            await _pause(step.lasts)
        elif step.kind.startswith("stopped"):
            system.places[step.victim].process.stop()
            await _pause(step.lasts)
            system.places[step.victim].process.go_on()
        elif step.kind == "killed":
            system.missing(step.victim)
            await system.places[step.victim].kill()
            await _pause(step.lasts)
            await system.start(step.victim)
        elif step.kind == "drained":
            system.missing(step.victim)
            assert await system.places[step.victim].drain() == 0
            await _pause(step.lasts)
            await system.start(step.victim)
        elif step.victim == "clients":
            await self._annoy(step, chance)
        else:
            await self._break_redis(step)

    async def _annoy(self, step: Step, chance: random.Random) -> None:
        if step.kind == "clients vanish":
            self._load.vanish(chance)
            return
        go_on = self._load.stall(chance)
        await _pause(step.lasts)
        go_on()

    async def _break_redis(self, step: Step) -> None:
        server = self._system.server
        if step.kind == "redis frozen":
            server.freeze()
            await _pause(step.lasts)
            server.thaw()
        elif step.kind == "redis lost":
            lost = self._loop.time()
            server.kill()
            await _pause(step.lasts)
            await asyncio.to_thread(server.start)
            self._lost_at.append((lost, self._loop.time()))
            self._unmark(lost)
        elif step.kind == "redis emptied":
            lost = self._loop.time()
            await asyncio.to_thread(server.empty)
            back = self._loop.time() + UNNOTICED
            self._ledger.windows.append(Window(lost, back, "nobody knows", forgets=True))
            self._unmark(lost)
        else:
            limit = "client-output-buffer-limit"
            with server.client() as redis:
                redis.config_set(limit, "pubsub 2000 0 0")
                await _pause(step.lasts)
                redis.config_set(limit, "pubsub 32mb 8mb 60")

    def _unmark(self, lost: float) -> None:
        back = self._loop.time() + MARKED_AGAIN
        self._ledger.windows.append(Window(lost, back, "marks are lost", unmarks=True))

    def _forget(self) -> None:
        """Where a node was started just before or after Redis lost its data, promise 4 says
        that some may be missed."""
        starts = [at for place in self._system.places.values() for at in place.started]
        for lost, back in self._lost_at:
            if any(lost - 3 < start < back + LEASE for start in starts):
                why = "a node was started as Redis forgot"
                self._ledger.windows.append(Window(lost - 1, back + GRACE, why, forgets=True))


async def _pause(seconds: float) -> None:
    if seconds > 0:
        await asyncio.sleep(seconds)


async def run(plan: Schedule, seed: int) -> Seen:
    """Carry a schedule out."""
    ledger, trouble = Ledger(), []
    async with system_up(plan.method, seed) as system:
        load = Load(ledger, system.apis, system.workers, seed)
        nemesis = Nemesis(system, load, ledger)
        async with watching(nemesis, system, ledger), load.running():
            await nemesis.carry_out(plan.steps)
            if not await healed(system, ledger):
                trouble.append("not all works again")
            await _pause(QUIET)
        trouble += await system.stop()
        logs = {name: place.log for name, place in system.places.items()}
        ledger.keys = await system.keys_left(CLAIM_LIVES + INDEX_MARGIN + 1)
    now = asyncio.get_running_loop().time()
    found = [*breaches(ledger), *(Breach("unhealed", text, now) for text in trouble)]
    return Seen(ledger, found, logs)


@asynccontextmanager
async def watching(nemesis: Nemesis, system: System, ledger: Ledger) -> AsyncIterator[None]:
    """Note inside this context when the machine holds up anybody: nobody is to blame for a call
    that fails then."""
    loop = asyncio.get_running_loop()

    async def watch(victim: str, answer: Callable[[], Awaitable[object]]) -> None:
        while True:
            before = loop.time()
            await asyncio.sleep(TICK)
            with suppress(OSError):
                await answer()
            late = loop.time() - before - TICK
            if late > HICCUP and nemesis.is_whole_since(victim, before):
                # Its last beat may have been one before that, and who looks may be late.
                loses = victim.startswith("worker") and late > LEASE - 2
                ended = loop.time() + (GRACE if loses else CALM)
                why = f"the machine held up {victim} for {late:.1f} s"
                ledger.windows.append(Window(before, ended, why, closes=victim if loses else ""))

    looks = {victim: partial(system.answers, victim) for victim in ("redis", *system.places)}
    tasks = [asyncio.create_task(watch(victim, look)) for victim, look in looks.items()]
    tasks.append(asyncio.create_task(watch("this", partial(asyncio.sleep, 0))))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()


async def healed(system: System, ledger: Ledger) -> bool:
    """Wait until all works again; until then it counts as broken."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await _pause(max((window.ended for window in ledger.windows), default=began) - began)

    def calm() -> bool:
        lately = [one.answer for one in ledger.sent if one.answer.ended > loop.time() - CALM]
        return bool(lately) and all(answer.heard for answer in lately)

    works = await holds_within(calm, HEALED_WITHIN) and await holds_within(
        system.ready, HEALED_WITHIN
    )
    ledger.windows.append(Window(began, loop.time(), "getting over it"))
    return works


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.nemesis", description=__doc__)
    parser.add_argument("--seed", type=int, help="the (first) schedule; random if left out")
    parser.add_argument("--seconds", type=float, default=20.0, help="of faults in one run")
    parser.add_argument("--minutes", type=float, default=0.0, help="go on with other seeds")
    parser.add_argument("--method", choices=("redis", "direct"), help="instead of the seed's")
    parser.add_argument("--logs", action="store_true", help="show what the nodes said, too")
    given = parser.parse_args()
    seed = random.randrange(10**6) if given.seed is None else given.seed
    end, failed = time.monotonic() + 60 * given.minutes, []
    while True:
        plan = schedule(seed, given.seconds, given.method)
        print(f"--seed {seed} --seconds {given.seconds:g}\n{plan}", flush=True)
        seen = uvloop.run(run(plan, seed))
        print(told(seen), "\n", flush=True)
        for name, log in seen.logs.items() if given.logs else ():
            print(f"--- {name}", *log, sep="\n", flush=True)
        failed += [seed] if seen.found else []
        if time.monotonic() >= end:
            break
        seed += 1
    print(f"failed: {failed}" if failed else "all promises were kept")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
