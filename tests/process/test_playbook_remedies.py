"""Each remedy of autoops itself does, carried out by a playbook, what it is for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping

import pytest
from playing import tables
from running import Answer, Suite, environment

CLAIM = """
import sys
from pathlib import Path
from autoops.model import Work
from autoops.store.database import Database
from autoops.store.queue import SCHEMA, Queue
with Database.open(Path(sys.argv[1]), SCHEMA, guard=True) as database:
    queue = Queue(database)
    queue.enqueue([Work("catalog", b"nobody's")])
    print(len(queue.claim(1, 3600.0, ["catalog"])))
"""


class Mended:
    """A suite whose one trouble is that something has to be done."""

    def __init__(self, suite: Suite) -> None:
        self.suite, self._config = suite, suite.config.read_text()

    def do(self, remedy: str, *, in_ledger: bool = True, **more: object) -> Answer:
        """Have a playbook do it; the ledger says that it was done."""
        self.suite.config.write_text(
            self._config + "\n" + tables({"name": remedy, "remedy": remedy, "verify": ["/bin/true"], **more})
        )
        answer = self.suite.run("playbooks", "run", remedy, "--force", config=True)
        said = f"of {remedy} ({remedy}), for finding:unit_failed:trouble: good"
        if in_ledger:
            self.suite.until(lambda: said in self.suite.run("export", "--format", "ledger").out, "it is in the ledger")
        return answer

    def close(self) -> None:
        """Write the configuration of before."""
        self.suite.config.write_text(self._config)


@pytest.fixture(scope="module")
def mended(make_shared: Callable[..., Suite]) -> Iterator[Mended]:
    catalog: Mapping[str, Mapping[str, object]] = {"[catalog]": {"name": "papers", "format": "csv"}}
    suite = make_shared(tables=catalog)
    (suite.root / "a.txt").write_text("a\n")
    suite.start()
    suite.idle()
    suite.run("note-failure", "trouble")
    made = Mended(suite)
    yield made
    made.close()


def test_a_job_of_a_dead_process_goes_back_into_the_queue(mended: Mended) -> None:
    suite = mended.suite
    suite.stop("worker")  # which would take it back, too
    held = subprocess.run(
        [sys.executable, "-c", CLAIM, str(suite.state / "queue/queue.db")], env=environment(), capture_output=True, text=True
    )
    assert held.stdout == "1\n", held
    assert suite.queue()["running"] == 1
    mended.do("reset-jobs", in_ledger=False, older_than_s=3600)
    assert suite.queue()["running"] == 0 and suite.queue()["queued"] >= 1
    suite.start("worker")
    suite.run("queue", "purge", *(job["id"] for job in suite.run("queue", "list", "--json").json if job["kind"] == "catalog"))


def test_the_wals_are_carried_over_and_cut(mended: Mended) -> None:
    suite = mended.suite
    for number in range(20):
        (suite.root / f"{number}.txt").write_text(f"{number}\n")
    suite.idle()
    wals = [suite.state / "queue/queue.db-wal", suite.state / "registry/registry.db-wal"]
    assert all(wal.stat().st_size for wal in wals)
    before = wals[1].stat().st_size
    mended.do("checkpoint")
    assert wals[1].stat().st_size < before  # the note about it is in there


def test_a_checkpoint_without_a_worker_says_so(mended: Mended) -> None:
    suite = mended.suite
    suite.stop("worker")
    assert "bytes of queue.db" in suite.run("queue", "checkpoint", "--dry-run").out
    answer = suite.run("queue", "checkpoint", "--timeout", "0.1", code=1)
    assert "registry.db: the worker has not come to it" in answer.out and "queue.db: carried over" in answer.out
    suite.start("worker")
    suite.until(lambda: not [job for job in suite.run("queue", "list", "--json").json if job["kind"] == "checkpoint"], "it is done")


def test_a_root_is_scanned(mended: Mended) -> None:
    suite = mended.suite
    suite.stop("watcher")
    (suite.root / "nobody saw this.txt").write_text("x\n")
    mended.do("rescan-root", root="tree")
    suite.until(lambda: (suite.root.name, b"nobody saw this.txt") in suite.active(), "it is registered")
    suite.start("watcher")
    suite.idle()


def test_a_catalog_is_built_again_where_it_is_not_what_it_was(mended: Mended) -> None:
    suite = mended.suite
    suite.run("catalog", "build", "--all", config=True)
    file = suite.state / "catalogs/papers/papers.csv"
    file.write_text("garbage")
    suite.run("catalog", "verify", config=True, code=1)
    mended.do("rebuild-catalog", catalog="papers")
    suite.run("catalog", "verify", config=True)


def test_of_the_backups_the_floor_is_left_and_it_can_be_restored(mended: Mended) -> None:
    suite = mended.suite
    for _ in range(3):
        suite.run("backup", "snapshot", "--full", "--no-prune", config=True)
    names = sorted(path.name for path in (suite.state / "backups/snapshots").iterdir())
    mended.do("prune-backups", floor=2)
    assert sorted(path.name for path in (suite.state / "backups/snapshots").iterdir()) == names[-2:]
    suite.run("backup", "prune", "--floor", "0", config=True, code=2)
    mended.do("prune-backups", floor=1)
    assert [path.name for path in (suite.state / "backups/snapshots").iterdir()] == names[-1:]
    suite.run("backup", "verify", "--all", config=True)


def test_log_files_keep_their_newest_lines_and_their_writers_go_on(mended: Mended) -> None:
    suite = mended.suite
    logs = suite.state / "log"
    logs.mkdir()
    lines = [f"line {number:06}\n" for number in range(200_000)]
    (logs / "worker.log").write_text("".join(lines))
    (logs / "small.log").write_text("kept\n")
    (logs / "linked.log").symlink_to(suite.config)
    config = suite.config.read_text()
    size_bytes = 1 << 20
    with (logs / "worker.log").open("a") as writer:
        mended.do("vacuum-logs", keep_bytes=size_bytes)
        writer.write("and on\n")
    kept = (logs / "worker.log").read_text().splitlines(keepends=True)
    assert kept[-1] == "and on\n" and kept[:-1] == lines[-len(kept) + 1 :] and len(kept) == size_bytes // len(lines[0]) + 1
    assert (logs / "small.log").read_text() == "kept\n" and suite.config.read_text().startswith(config[:20])
    assert "would be cut" in suite.run("logs", "--vacuum", "0", "--dry-run").out and (logs / "worker.log").stat().st_size
    suite.run("logs", "--vacuum", "0")
    assert (logs / "worker.log").read_text() == ""
