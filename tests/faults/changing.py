"""The same programs, changed as they start: a control takes out one of their protections, a fault puts a bug in."""

from __future__ import annotations

import contextlib
import textwrap
from collections.abc import Iterator

from running import Suite


def change(suite: Suite, text: str) -> None:
    """Have every program that the suite starts from now on, and its children, run some Python first."""
    place = suite.base / "changed"
    place.mkdir(exist_ok=True)
    (place / "sitecustomize.py").write_text(textwrap.dedent(text))
    suite.environment["PYTHONPATH"] = str(place)


@contextlib.contextmanager
def changed(suite: Suite, text: str) -> Iterator[None]:
    """The same for a while."""
    change(suite, text)
    try:
        yield
    finally:
        del suite.environment["PYTHONPATH"]
