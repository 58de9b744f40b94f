"""The commands of the runbook, as it gives them: fenced blocks of sh, chapter by chapter."""

from __future__ import annotations

import re
from pathlib import Path

RUNBOOK = Path(__file__).parents[2] / "RUNBOOK.md"


def blocks(chapter: str) -> list[str]:
    """Return the blocks of a chapter (a heading of the second level) that are to be copied and pasted."""
    text = RUNBOOK.read_text()
    start = re.search(rf"^## {re.escape(chapter)}$", text, flags=re.MULTILINE)
    assert start, f"the runbook has no chapter {chapter}"
    body = re.split(r"^## ", text[start.end() :], maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(r"^```sh\n(.*?)^```$", body, flags=re.MULTILINE | re.DOTALL)
