"""The adapter around autoops-watcher: what it puts into the queue becomes a report."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from pathlib import Path

from bench.report import START_S, Log, child, ready

POLL_S = 0.0005
CLAIM_JOBS = 5000


def autoops(root: Path, log: Log, place: Path) -> None:
    """Report what the real autoops-watcher puts into the queue, and take it out again as the worker would.

    A job counts from when it could be read by another process, committed. Taking jobs out makes a second enqueue of the same
    path or scan visible.
    """
    from autoops.model import split_key
    from bench.contestants import own_queue
    from bench.service import begin, wait_ready, write_config

    state = place / "state"
    shutil.rmtree(state, ignore_errors=True)
    config = write_config(place / "autoops.toml", root)
    service = begin("autoops-watcher", state, config, place)
    child(service.process)
    wait_ready(service, START_S)
    database = state / "queue" / "queue.db"
    queue = own_queue(database)
    reader = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, isolation_level=None)
    while jobs := queue.claim(CLAIM_JOBS, START_S):  # the scan that every start asks for
        queue.complete(jobs)
    ready()
    version = None
    while service.process.poll() is None:
        seen = reader.execute("PRAGMA data_version").fetchone()[0]
        if seen == version:
            time.sleep(POLL_S)
            continue
        version = seen
        read = {key for (key,) in reader.execute("SELECT key FROM job WHERE state = 'queued'")}
        read_ns = time.monotonic_ns()
        jobs = queue.claim(CLAIM_JOBS, START_S)
        claimed_ns = time.monotonic_ns()
        for job in jobs:
            kind = "S" if job.kind == "scan" else "W" if job.facts.get("closed") or "moved_from" in job.facts else "C"
            path = os.fsencode(root) + (b"/" + below if (below := split_key(job.key)[1]) else b"")
            log.write(kind, path, read_ns if job.key in read else claimed_ns)
        queue.complete(jobs)
        log.flush()
        if len(jobs) == CLAIM_JOBS:
            version = None  # there may be more
    raise SystemExit(f"autoops-watcher ended with {service.process.returncode}")
