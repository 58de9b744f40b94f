"""The watcher and a real queue.db."""

from __future__ import annotations

import os
import time
from pathlib import Path

from watching import DEADLINE_S

from autoops import clock
from autoops.model import split_key
from autoops.store.database import Database
from autoops.store.operations import Cookies, Gaps
from autoops.store.queue import SCHEMA, Queue
from autoops.watch.root import Settings, WatchedRoot
from autoops.watch.sink import QueueSink
from autoops.watch.watcher import Watcher


def test_jobs_gaps_and_cookies_arrive_in_the_queue_and_old_gaps_are_closed(tmp_path: Path) -> None:
    root, state, woken = tmp_path / "root", tmp_path / "state", []
    root.mkdir()
    (state / "cookies").mkdir(parents=True)

    def database() -> Database:
        return Database.open(state / "queue.db", SCHEMA, mode="create")

    with database() as db:
        Gaps(db).open("r", b"old", "watch-limit", "", 1)
        watcher = Watcher(
            lambda: ([WatchedRoot("r", os.fsencode(root))], Settings(retry_s=0.05)),
            lambda: QueueSink(database(), lambda: woken.append(1)),
            os.fsencode(state / "cookies"),
        )
        watcher.open()
        (root / "bad\udcff").write_text("x")
        (state / "cookies/c1").touch()
        end_s = time.monotonic() + DEADLINE_S
        while not Cookies(db).seen("r", "c1"):
            assert time.monotonic() < end_s
            watcher.step(clock.boottime_ns() / 1e9)
            time.sleep(0.01)
        assert Gaps(db).open_gaps() == []
        root.rename(tmp_path / "gone")
        while not Gaps(db).open_gaps():
            assert time.monotonic() < end_s
            watcher.step(clock.boottime_ns() / 1e9)
            time.sleep(0.01)
        watcher.close()
        jobs = {(job.kind, split_key(job.key)[1]) for job in Queue(db).claim(10, 60.0)}
        assert jobs == {("path", b"bad\xff"), ("scan", b"")}
        assert woken
