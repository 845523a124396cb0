"""`make run`: start dsock, let one real client receive a message, and stay up."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
from http.client import HTTPException
from typing import Any
from urllib.request import Request, urlopen

from websockets.asyncio.client import connect

TOKEN = f"dev-{secrets.token_hex(4)}"
PORT = os.environ.get("DSOCK_PORT") or os.environ.get("PORT") or "6241"
ADDRESS = f"localhost:{PORT}"
PATIENCE = 15
"""Seconds until the broker must answer."""

MESSAGE = "Hello from your back end!"


def call(method: str, path: str, body: str = "") -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    request = Request(f"http://{ADDRESS}{path}", body.encode(), headers, method=method)
    with urlopen(request, timeout=10) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


async def until_ready() -> None:
    """Return once our own broker answers: another one may have the port, and refuses the
    token."""
    while True:
        try:
            await asyncio.to_thread(call, "GET", "/info?user=1")
        except (OSError, HTTPException, ValueError):
            await asyncio.sleep(0.05)
        else:
            return


async def show() -> None:
    """The main job, step by step."""
    print(f"\n1. Your back end makes a claim for user 1:   POST {ADDRESS}/claim?user=1")
    claim = (await asyncio.to_thread(call, "POST", "/claim?user=1"))["claim"]["id"]
    print(f"   {claim}\n")
    print(f"2. The user connects with it:                ws://{ADDRESS}/connect?claim=...")
    async with connect(f"ws://{ADDRESS}/connect?claim={claim}") as client:
        print("   open\n")
        print(f"3. Your back end sends:                      POST {ADDRESS}/send?user=1&type=text")
        answer = await asyncio.to_thread(call, "POST", "/send?user=1&type=text", MESSAGE)
        print(f"   {json.dumps(answer)}\n")
        print("4. The user receives:")
        print(f"   {await asyncio.wait_for(client.recv(), 5)}\n")


NEXT = f"""dsock is up. To go on, in another terminal:

  export DSOCK_URL=http://{ADDRESS} DSOCK_TOKEN={TOKEN}
  .venv/bin/dsock listen --user 1 --channels news       # a client: prints what arrives

and in one more, with the same two variables:

  curl -X POST "$DSOCK_URL/send?user=1&type=text&token=$DSOCK_TOKEN" -d "Hello again"
  curl "$DSOCK_URL/info?user=1&token=$DSOCK_TOKEN"
  .venv/bin/dsock send --channel news "News"
  .venv/bin/dsock disconnect --user 1

All calls: http://{ADDRESS}/docs

Ctrl-C stops it."""


async def main() -> int:
    # In its own group, so that Ctrl-C reaches it once, from here.
    broker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dsock", "serve", "--no-config-file"),
        env={
            **{name: text for name, text in os.environ.items() if not name.startswith("DSOCK_")},
            "DSOCK_HOST": "127.0.0.1",
            "DSOCK_PORT": PORT,
            "DSOCK_TOKEN": TOKEN,
        },
        start_new_session=True,
    )
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    ended = asyncio.create_task(broker.wait())
    asked = asyncio.create_task(stop.wait())
    showing = asyncio.create_task(start_and_show())
    try:
        await asyncio.wait((ended, asked, showing), return_when=asyncio.FIRST_COMPLETED)
        if showing.done():
            showing.result()
            print(NEXT, flush=True)
            await asyncio.wait((ended, asked), return_when=asyncio.FIRST_COMPLETED)
    except TimeoutError:
        print(f"dsock did not get ready within {PATIENCE} s at {ADDRESS}", file=sys.stderr)
        return 1
    finally:
        showing.cancel()
        if broker.returncode is None:
            broker.terminate()
        await ended
    return ended.result()


async def start_and_show() -> None:
    async with asyncio.timeout(PATIENCE):
        await until_ready()
    await show()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
