"""The same programs, changed as they start: a control takes out one of their protections."""

from __future__ import annotations

import contextlib
import textwrap
from collections.abc import Iterator

from running import Suite


@contextlib.contextmanager
def changed(suite: Suite, change: str) -> Iterator[None]:
    """Have every program that the suite starts meanwhile, and its children, run some Python first."""
    place = suite.base / "changed"
    place.mkdir(exist_ok=True)
    (place / "sitecustomize.py").write_text(textwrap.dedent(change))
    suite.environment["PYTHONPATH"] = str(place)
    try:
        yield
    finally:
        del suite.environment["PYTHONPATH"]
