"""`make fuzz`: atheris looks for bytes that break what the tests of this folder ask for, guided
by what the code does with them. Each target has a process of its own; what breaks one stays in
a file, which is named.
"""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-untyped]
import structlog

with atheris.instrument_imports(include=["dsock", "websockets"]):
    from tests.fuzz.targets import TARGETS, search

SECONDS = 60


def _main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(TARGETS)}; all when none")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="for each target")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    for name in options.targets:
        if name not in TARGETS:
            parser.error(f"{name!r} is none of {', '.join(TARGETS)}")
    if options.alone:
        _search(options.targets[0], options.seconds)
    failed = []
    for name in options.targets or TARGETS:
        print(f"{name}, {options.seconds} s", flush=True)
        again = [sys.executable, "-m", "tests.fuzz", "--alone", name]
        if subprocess.run([*again, "--seconds", str(options.seconds)], check=False).returncode:
            failed.append(name)
    print(f"broken: {', '.join(failed)}" if failed else "nothing broke")
    return bool(failed)


def _search(name: str, seconds: int) -> None:
    # The search ends the process.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)
    corpus = Path(tempfile.mkdtemp(prefix=f"dsock-fuzz-{name}-"))
    for number, seed in enumerate(TARGETS[name].seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    flags = [f"-max_total_time={seconds}", f"-artifact_prefix={corpus}/", "-max_len=2048"]
    atheris.Setup([sys.argv[0], str(corpus), *flags, "-print_final_stats=1"], search(name))
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(_main())
