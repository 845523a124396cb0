"""Completion scripts, and what a shell makes of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dsock.terminal.commands import SHELLS
from tests.terminal.support import PATIENCE, Terminal

_BASH = """
source {script}
COMP_WORDS=({words}) COMP_CWORD={last}
"$(complete -p dsock | sed -E 's/.*-F ([^ ]+).*/\\1/')"
echo "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("dsock se", {"serve", "send"}),
        ("dsock uns", {"unsubscribe"}),
        ("dsock send --no", {"--no-report"}),
        ("dsock listen --jwt", {"--jwt-file"}),
        ("dsock completion z", {"zsh"}),
        ("dsock info --token-file {tmp}/tok", {"{tmp}/token"}),
    ],
)
async def test_bash_completes_what_was_begun(tmp_path: Path, words: str, offered: set[str]) -> None:
    (tmp_path / "token").touch()
    script = tmp_path / "dsock.bash"
    script.write_bytes((await Terminal("")("completion", "bash")).out)
    text = _BASH.format(
        script=script, words=words.format(tmp=tmp_path), last=len(words.split()) - 1
    )
    bash = await asyncio.create_subprocess_exec(
        *("bash", "--norc", "-c", text),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE):
        out, err = await bash.communicate()
    assert (bash.returncode, err) == (0, b"")
    assert set(out.decode().split()) == {one.format(tmp=tmp_path) for one in offered}


@pytest.mark.parametrize("shell", SHELLS)
async def test_each_shell_has_a_script_that_names_every_command(shell: str) -> None:
    done = await Terminal("")("completion", shell)
    assert (done.status, done.err) == (0, "")
    assert all(name in done.text for name in ("serve", "worker", "listen", "ignore-claims"))
    assert done.out.endswith(b"\n")
