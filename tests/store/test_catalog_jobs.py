"""What the worker asks for after commits: one build for a burst, late enough for all of it, never put off for ever."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoops.model import Job
from autoops.store.database import Database
from autoops.store.queue import SCHEMA, Queue
from autoops.work.catalogs import CatalogJobs, mark

DEBOUNCE_S = 5.0


class Bench:
    """A worker that asks, and a builder that takes what is due, on one clock."""

    def __init__(self, path: Path) -> None:
        self.now_s = 1000.0
        self.database = Database.open(path, SCHEMA, mode="create", synchronous="NORMAL")
        self.queue = Queue(self.database, boottime_ns=lambda: int(self.now_s * 1e9))
        self.asking = CatalogJobs(["a", "b"], self.queue, DEBOUNCE_S)

    def built(self) -> int:
        """Do what is due; return how many jobs that was."""
        jobs = self.queue.claim(10, 60, ["catalog"])
        self.queue.complete(jobs)
        return len(jobs)

    def rows(self) -> list[tuple[bytes, str, int]]:
        return [(job.key, job.state, round(job.due_in_s)) for job in self.queue.list(kind="catalog")]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "queue.db")
    yield made
    made.database.close()


def test_a_worker_that_starts_asks_once_for_each_catalog_and_only_commits_make_it_ask_again(bench: Bench) -> None:
    for _ in range(5):
        bench.asking.keep(7)
        bench.now_s += 2
    assert bench.built() == 2
    bench.asking.keep(7)
    bench.now_s += 2 * DEBOUNCE_S
    assert bench.built() == 0


def test_the_first_commit_of_a_stream_says_when_and_later_ones_do_not_put_it_off(bench: Bench) -> None:
    bench.asking.keep(0)
    bench.now_s += DEBOUNCE_S
    bench.built()
    began_s = bench.now_s
    for sequence in range(1, 200):
        bench.asking.keep(sequence)
        bench.now_s += 0.1
        if bench.built():
            break
    assert bench.now_s - began_s == pytest.approx(DEBOUNCE_S, abs=0.2)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans(), st.floats(0.0, 7.0)), max_size=40))
def test_whatever_the_moments_every_commit_is_followed_by_a_build_within_the_debounce_time(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[bool, bool, bool, float]]
) -> None:
    bench = Bench(tmp_path_factory.mktemp("q") / "queue.db")
    sequence = covered = 0
    running: list[Job] = []
    for commits, begins, ends, passes_s in steps:
        sequence += commits
        bench.asking.keep(sequence)
        if begins and not running and (running := bench.queue.claim(10, 1000, ["catalog"])):
            covered = sequence  # it reads a snapshot of now
        bench.now_s += passes_s
        if ends:
            bench.queue.complete(running)
            running = []
    bench.queue.complete(running)
    bench.now_s += DEBOUNCE_S + 0.001
    if bench.built():
        covered = sequence
    assert covered == sequence
    bench.database.close()


def test_a_build_that_failed_keeps_its_time_of_retry_and_one_that_was_given_up_begins_anew(bench: Bench) -> None:
    bench.asking.keep(0)
    bench.now_s += DEBOUNCE_S
    one, other = bench.queue.claim(10, 60, ["catalog"])
    bench.queue.fail(one, "broken", retry=False)
    bench.queue.fail(other, "for now")
    (_, _, retry_s) = next(row for row in bench.rows() if row[0] == other.key)
    bench.asking.keep(1)
    assert sorted(bench.rows()) == sorted([(one.key, "queued", 5), (other.key, "failed", retry_s)])


def test_the_mark_says_whether_there_are_catalogs(tmp_path: Path) -> None:
    path = tmp_path / "catalogs.declared"
    for declared in (True, True, False, False):
        mark(path, declared=declared)
        assert path.exists() is declared


def test_without_catalogs_nothing_is_asked(bench: Bench) -> None:
    CatalogJobs([], bench.queue, DEBOUNCE_S).keep(1)
    assert bench.queue.counts()["queued"] == 0
