"""What tests of faults begin with: the fixtures of the process tests, a suite that can be renewed, a disk that can fail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from failing import build
from judge import living_on
from scene import Scene
from suites import make_shared, make_suite, suite
from telling import sink, told

__all__ = ["make_shared", "make_suite", "sink", "suite", "told"]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What makes calls fail, compiled (failing.c)."""
    return build(tmp_path_factory.mktemp("failing"))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A suite that has a snapshot, and a commit behind it."""
    with living_on(tmp_path, tmp_path / "suite") as suite:
        suite.run("backup", "snapshot", config=True)
        (suite.root / "0.txt").write_text("again\n")
        suite.once()
        yield Scene(suite)
