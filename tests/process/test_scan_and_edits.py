"""A scan and an edit of the same file: whoever looked last is right, in whatever order they are registered."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoops.cli.context import Context
from autoops.cli.ready import make_ready
from autoops.model import PRIORITY_LIVE, PRIORITY_SCAN, Work, path_key
from autoops.state import State
from autoops.work.worker import Worker

DIRECTORIES, FILES = 3, 20
BIG_BYTES = 512 << 20  # in the second directory: its hash takes a while, so the scan is held up behind the first
DEADLINE_S = 20.0


@pytest.fixture
def context(tmp_path: Path) -> Context:
    root = tmp_path / "tree"
    for directory in range(DIRECTORIES):
        (root / f"d{directory:03}").mkdir(parents=True)
        for file in range(FILES):
            (root / f"d{directory:03}" / f"f{file:02}").write_text(f"{directory} {file}")
    with (root / "d001" / "big").open("wb") as big:
        big.truncate(BIG_BYTES)
    config = tmp_path / "autoops.toml"
    config.write_text("[worker]\npool_size = 1\ncommit_files = 65536\n[watch]\nsettle_s = 0.1\n[describe]\nenabled = false\n")
    state = State(tmp_path / "state")
    make_ready(state)
    return Context(state, config, (root,))


@pytest.fixture
def worker(context: Context) -> Iterator[Worker]:
    worker = Worker(context.checked_config, context.state, context.load_key)
    worker.open()
    worker.resume(lambda: None, None)
    yield worker
    worker.close()


def work_until(worker: Worker, is_so: object) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not is_so():  # type: ignore[operator]
        assert time.monotonic() < deadline_s
        worker.step(time.monotonic())


def enqueue(context: Context, root: str, *works: tuple[str, bytes, int]) -> None:
    queue = context.queue()
    queue.enqueue([Work(kind, path_key(root, path), priority) for kind, path, priority in works])  # type: ignore[arg-type]


def registered(context: Context, root: str, path: bytes) -> bytes | None:
    registry = context.registry()
    try:
        found = registry.at(root, [path])
        return found[0].observation.sha256 if found and found[0].status == "active" else None
    finally:
        registry.close()


@pytest.mark.parametrize("before", ["edited", "deleted and made again"])
def test_a_file_that_was_looked_at_during_a_scan_does_not_fall_back_to_what_the_scan_saw(
    context: Context, worker: Worker, before: str
) -> None:
    root = context.checked_config().roots[0].name
    if before == "deleted and made again":  # then what the scan has seen is that it is gone
        enqueue(context, root, ("scan", b"", PRIORITY_SCAN))
        work_until(worker, lambda: worker.is_done(5.0))
        (context.roots[0] / "d000" / "f00").unlink()
        os.utime(context.roots[0] / "d001" / "big")
    enqueue(context, root, ("scan", b"", PRIORITY_SCAN))
    assert worker._crew
    scans = worker._crew._scans
    work_until(worker, lambda: (scan := scans.running) is not None and scan.totals.directories >= 2)
    assert (scan := scans.running) is not None and scan.cursor in (None, "/"), "below the root nothing is to be registered yet"
    (context.roots[0] / "d000" / "f00").write_text("newer")
    enqueue(context, root, ("path", b"d000/f00", PRIORITY_LIVE))
    newest = hashlib.sha256(b"newer").digest()
    work_until(worker, lambda: registered(context, root, b"d000/f00") == newest)
    work_until(worker, lambda: worker.is_done(5.0))
    assert registered(context, root, b"d000/f00") == newest
