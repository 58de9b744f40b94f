"""What tests of faults begin with: the fixtures of the process tests, a suite that can be renewed, a disk that can fail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from failing import build
from judge import living_on
from running import Suite
from scene import Scene
from suites import make_shared, make_suite
from telling import sink, told

__all__ = ["make_shared", "make_suite", "sink", "told"]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What makes calls fail, compiled (failing.c)."""
    return build(tmp_path_factory.mktemp("failing"))


@pytest.fixture
def suite(tmp_path: Path) -> Iterator[Suite]:
    """A suite with a few files registered, and nothing running."""
    with living_on(tmp_path, tmp_path / "suite") as suite:
        yield suite


@pytest.fixture
def scene(suite: Suite) -> Scene:
    """The same with a snapshot, and a commit behind it."""
    suite.run("backup", "snapshot", config=True)
    (suite.root / "0.txt").write_text("again\n")
    suite.once()
    return Scene(suite)
