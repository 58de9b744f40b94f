"""Fixtures: the suite on a tree of its own, judged at the end by `autoops verify --deep`."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from running import Suite


def _made(base: Path) -> Iterator[Callable[..., Suite]]:
    made: list[Suite] = []

    def make(**settings: Any) -> Suite:
        made.append(Suite(base / f"suite-{len(made)}", **settings))
        return made[-1]

    try:
        yield make
        for suite in made:
            suite.stop()
            suite.require_proven()
            suite.require_tidy()
    finally:
        for suite in made:
            suite.close()


@contextlib.contextmanager
def tmpfs(path: Path, size: str) -> Iterator[Path]:
    """Mount a file system of that size, for us alone; skip where nothing may be mounted."""
    path.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", path], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


@pytest.fixture
def make_suite(tmp_path: Path) -> Iterator[Callable[..., Suite]]:
    """Make suites, not started; at the end each is stopped, must verify, and must leave nothing behind."""
    yield from _made(tmp_path)


@pytest.fixture
def suite(make_suite: Callable[..., Suite]) -> Suite:
    """Watcher and worker, running on the empty tree `suite.root`."""
    made = make_suite()
    made.start()
    return made


@pytest.fixture(scope="module")
def make_shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Suite]]:
    """The same as `make_suite`, for all tests of a module."""
    yield from _made(tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="module")
def shared(make_shared: Callable[..., Suite]) -> Suite:
    """Watcher and worker for all tests of a module, with one file registered, `a.txt`."""
    made = make_shared()
    (made.root / "a.txt").write_text("a\n")
    made.start()
    made.idle()
    return made


@pytest.fixture
def still(make_suite: Callable[..., Suite]) -> Suite:
    """A suite with one file registered, `a.txt`, and nothing running."""
    made = make_suite()
    (made.root / "a.txt").write_text("a\n")
    made.once()
    return made
