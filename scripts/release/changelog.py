"""Whether the changelog is ready for a version."""

from __future__ import annotations

import re
from datetime import date

UNRELEASED = "Unreleased"

_HEAD = re.compile(r"^## \[(?P<name>[^\]]+)\](?: - (?P<date>\S+))?[ \t]*$", re.MULTILINE)
_EARLY = re.compile(r"0\.|.*\d(a|b|rc|\.dev)\d")


def complaints(text: str, version: str) -> list[str]:
    """What is wrong, in words; nothing when it is ready.

    A version has a section with its date, and then nothing waits under Unreleased. Before
    1.0, and for a pre-release (`1.0.0rc1`, `1.1.0.dev1`), entries under Unreleased will do.
    """
    # Whatever stands before the first section belongs to none.
    heads = list(_HEAD.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    entries = {
        head["name"]: re.findall(r"^- \S", text[head.end() : end], re.MULTILINE)
        for head, end in zip(heads, ends, strict=False)
    }
    waiting = entries.get(UNRELEASED)
    if version not in entries:
        if not _EARLY.match(version):
            return [f"the changelog has no section for {version}"]
        return [] if waiting else [f"the changelog has no entry for {version} or {UNRELEASED}"]
    found = []
    if not entries[version]:
        found.append(f"the section {version} of the changelog is empty")
    if waiting:
        found.append(
            f"entries wait under {UNRELEASED} of the changelog, and {version} has its section"
        )
    [day] = [head["date"] for head in heads if head["name"] == version]
    if not _is_date(day):
        found.append(f"the section {version} of the changelog has no date, as in 2026-01-31")
    return found


def _is_date(text: str | None) -> bool:
    try:
        return date.fromisoformat(text or "").isoformat() == text
    except ValueError:
        return False
