"""One run of the scrub against real databases. The worker is played by the test: whenever the scrub waits, it does what is due."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from registry_files import WHY, created, opened, seen

from autoops.core.signing import Signer, new_key
from autoops.errors import CannotTell
from autoops.model import PRIORITY_SCAN, PRIORITY_SCRUB, Job, Work, path_key, split_key
from autoops.reconcile import budget, scrub
from autoops.reconcile.budget import Goal
from autoops.reconcile.scrub import CLOSED, ENOUGH, EVERYTHING, LIMIT, MOST_FILES, STOPPED, Progress, Scrub, Surroundings, Why
from autoops.store.commit import RegistryWriter
from autoops.store.database import Database
from autoops.store.findings import Findings
from autoops.store.operations import Gaps
from autoops.store.queue import SCHEMA, Queue

NOW_S = 1000  # files were verified before it


class World:
    """The scrub's surroundings, with a clock of its own and a worker that verifies all but some files."""

    def __init__(self, writer: RegistryWriter, queue: Queue) -> None:
        self.writer, self.queue = writer, queue
        self.now_s = 0.0
        self.taken: list[tuple[float, Job]] = []  # when the worker took which job
        self.most_waiting = 0
        self.broken: set[bytes] = set()  # paths that are tried in vain
        self.restless: set[bytes] = set()  # paths that never hold still
        self.works = self.open = self.quiet = True
        self.stop_after: int | None = None  # jobs
        self.fault: Exception | None = None

    def wait(self, rest_s: float) -> bool:
        self.now_s += rest_s
        if self.works:
            self.work()
        return self.stop_after is not None and len(self.taken) >= self.stop_after

    def work(self) -> None:
        for job in self.queue.claim(1000, 60, ["path"]):
            self.taken.append((self.now_s, job))
            path = split_key(job.key)[1]
            if path in self.restless:
                self.queue.release(job)
                continue
            if path not in self.broken:
                self.writer.saw_again([(entry.id, 1) for entry in self.writer.at("docs", [path])], NOW_S + self.now_s)
            self.queue.complete([job])

    def check(self) -> None:
        self.most_waiting = max(self.most_waiting, self.queue.untried("path", PRIORITY_SCRUB))
        if self.fault:
            raise self.fault

    def surroundings(self) -> Surroundings:
        return Surroundings(
            lambda: self.now_s, self.wait, lambda: self.open, lambda: self.quiet, self.check, lambda: None, lambda done: None
        )

    @property
    def paths(self) -> list[bytes]:
        return [split_key(job.key)[1] for _, job in self.taken]


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[RegistryWriter]:
    writer = opened(tmp_path / "registry.db", Signer(new_key()))
    yield writer
    writer.close()


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with Database.open(tmp_path / "queue" / "queue.db", SCHEMA, mode="create", synchronous="NORMAL", guard=True) as db:
        yield db


@pytest.fixture
def world(writer: RegistryWriter, db: Database) -> World:
    return World(writer, Queue(db))


def fill(writer: RegistryWriter, sizes: Sequence[int]) -> list[bytes]:
    """Register files, each verified a second after the one before."""
    paths = [b"f%04d" % number for number in range(len(sizes))]
    entries = writer.commit(
        [created(path, observation=seen(size_bytes=size)) for path, size in zip(paths, sizes, strict=True)], WHY, 1
    ).entries
    writer.place_roots({"docs": b"/srv/docs"})
    for at_s, entry in enumerate(entries):
        writer.saw_again([(entry.id, 1)], at_s)
    return paths


Ran = tuple[Why, Progress]
Run = Callable[..., Ran]


@pytest.fixture
def run(world: World, db: Database, writer: RegistryWriter) -> Run:
    def run(
        goal: Goal | None = None, rate: int = 1 << 40, batch_files: int = 100, limit: int | None = None
    ) -> tuple[Why, Progress]:
        one = Scrub(writer, world.queue, Findings(db), Gaps(db), rate, world.surroundings())
        return one.run(goal or budget.everything(NOW_S), batch_files=batch_files, limit=limit), one.done

    return run


def test_every_file_is_verified_once_the_oldest_first(world: World, writer: RegistryWriter, run: Run) -> None:
    paths = fill(writer, [10] * 250)
    why, done = run()
    assert why == EVERYTHING and world.paths == paths
    assert done == Progress(250, 2500, 250, 2500, 0)
    assert {(job.priority, job.facts["verify"]) for _, job in world.taken} == {(PRIORITY_SCRUB, True)}
    assert run()[1].files == 0, "all of it was verified since"


def test_a_share_ends_with_it_and_the_next_run_goes_on_there(world: World, writer: RegistryWriter, run: Run) -> None:
    paths = fill(writer, [0] * 100)
    share = Goal(NOW_S, 0, 30 * budget.FILE_BYTES)
    assert run(share)[0] == ENOUGH and world.paths == paths[:30]
    run(share, batch_files=7)
    assert world.paths == paths[:60]


def test_what_is_due_is_verified_beyond_the_share(world: World, writer: RegistryWriter, run: Run) -> None:
    paths = fill(writer, [0] * 100)
    run(Goal(NOW_S, 50, budget.FILE_BYTES))
    assert world.paths == paths[:50]


def test_a_run_that_was_stopped_is_gone_on_with_at_the_file(world: World, writer: RegistryWriter, run: Run) -> None:
    paths = fill(writer, [0] * 300)
    world.stop_after = 1
    why, done = run()
    assert why == STOPPED and 0 < done.verified < 300
    taken, world.stop_after = len(world.paths), None
    run(limit=300 - taken)
    assert world.paths == paths


def test_a_limit_is_kept_in_the_middle_of_a_batch(world: World, writer: RegistryWriter, run: Run) -> None:
    paths = fill(writer, [0] * 30)
    assert run(limit=12, batch_files=5)[0] == LIMIT and world.paths == paths[:12]


def test_what_cannot_be_verified_is_tried_once_and_counts_for_nothing(world: World, writer: RegistryWriter, run: Run) -> None:
    paths = fill(writer, [7] * 100)
    world.broken, world.restless = set(paths[:20]), set(paths[20:25])
    why, done = run(Goal(NOW_S, 0, budget.cost(30, 30 * 7)))
    assert why == ENOUGH
    assert done == Progress(55, 55 * 7, 30, 30 * 7, 0)
    assert [path for path in world.paths if path not in world.restless] == [*paths[:20], *paths[25:55]]


def test_what_is_known_to_be_unreadable_comes_at_the_end_below_its_directory_too(
    world: World, writer: RegistryWriter, db: Database, run: Run
) -> None:
    paths = fill(writer, [0] * 10)
    deep = writer.commit([created(b"den/deep/x"), created(b"dent")], WHY, 1).entries
    writer.saw_again([(entry.id, 1) for entry in deep], 0)
    Findings(db).open([("unreadable", path_key("docs", path), {}) for path in (b"den", paths[3])], 1)
    Findings(db).open([("unreadable", path_key("docs", paths[4]), {})], 1)
    Findings(db).close([("unreadable", path_key("docs", paths[4]))], 2)
    why, done = run(batch_files=4)
    late = [b"den/deep/x", paths[3]]
    assert why == EVERYTHING and world.paths[-2:] == late
    assert sorted(world.paths) == sorted([*paths, b"den/deep/x", b"dent"])
    assert done.skipped == 2


def test_many_unreadable_files_do_not_eat_the_budget_of_the_others(
    world: World, writer: RegistryWriter, db: Database, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrub, "RETRIED", 5)
    paths = fill(writer, [1 << 40] * 50 + [0] * 10)
    Findings(db).open([("unreadable", path_key("docs", path), {}) for path in paths[:50]], 1)
    world.broken = set(paths[:50])
    run(Goal(NOW_S, 0, 5 * budget.FILE_BYTES), rate=1 << 30)
    assert world.paths == [*paths[50:55], *paths[:5]]


def test_what_is_not_mounted_or_given_up_is_left_alone(world: World, writer: RegistryWriter, db: Database, run: Run) -> None:
    fill(writer, [0] * 3)
    writer.commit([created(b"disk/a"), created(b"disks")], WHY, 1)
    Gaps(db).open("docs", b"disk", "unmounted", "", 1)
    world.queue.enqueue([Work("path", path_key("docs", b"f0001"))])
    (job,) = world.queue.claim(1, 60)
    world.queue.fail(job, "it breaks", retry=False)
    _, done = run()
    assert sorted(world.paths) == [b"disks", b"f0000", b"f0002"] and done.skipped == 2
    Findings(db).open([("root_replaced", path_key("docs", b""), {})], 1)
    world.taken.clear()
    assert run(budget.everything(5000))[1] == Progress(0, 0, 0, 0, 5) and world.taken == []


# the budget


def test_what_is_enqueued_stays_within_the_rate(world: World, writer: RegistryWriter, run: Run) -> None:
    sizes = [100, 3000, 0, 0, 250, 50, 7000, 10, 10, 900]
    fill(writer, sizes)
    run(rate=100)
    passed = 0
    for at_s, job in world.taken:
        assert passed <= 100 * at_s + 2 * 100, "two seconds' worth at most are ahead"
        passed += sizes[int(split_key(job.key)[1][1:])]
    assert world.now_s >= (sum(sizes) - 900) / 100


def test_no_more_than_some_hundred_are_on_their_way(world: World, writer: RegistryWriter, run: Run) -> None:
    fill(writer, [0] * 600)
    world.works = False

    def wait(rest_s: float) -> bool:
        world.now_s += rest_s
        if world.now_s > 60:  # long enough for all of them
            world.works = True
            world.work()
        return False

    world.wait = wait  # type: ignore[method-assign]
    why, done = run(batch_files=600)
    assert (why, done.verified) == (EVERYTHING, 600)
    assert world.most_waiting == MOST_FILES


def test_it_waits_for_a_quiet_machine_and_ends_when_its_hours_do(world: World, writer: RegistryWriter, run: Run) -> None:
    fill(writer, [0] * 100)
    world.quiet = False
    waits: list[float] = []

    def wait(rest_s: float) -> bool:
        waits.append(rest_s)
        world.now_s += rest_s
        assert not world.taken
        world.open = world.now_s < 30
        return False

    world.wait = wait  # type: ignore[method-assign]
    assert run()[0] == CLOSED
    assert sum(waits) >= 30 and max(waits) <= 1.0, "it looks again each second"
    assert world.queue.counts()["queued"] == 0


def test_its_hours_end_also_while_it_waits_for_the_worker(world: World, writer: RegistryWriter, run: Run) -> None:
    fill(writer, [0] * 10)

    def wait(rest_s: float) -> bool:
        world.now_s += rest_s
        world.open = world.now_s < 30
        return False

    world.wait = wait  # type: ignore[method-assign]
    assert run() == (CLOSED, Progress(10, 0, 0, 0, 0))


def test_a_scan_goes_first_but_not_for_ever(world: World, writer: RegistryWriter, run: Run) -> None:
    fill(writer, [0])
    world.queue.enqueue([Work("scan", path_key("docs", b""), PRIORITY_SCAN)])
    world.queue.claim(1, 3600, ["scan"])
    assert run()[0] == EVERYTHING
    ((at_s, _),) = world.taken
    assert 10 <= at_s < 11


def test_what_ends_it_is_raised_wherever_it_waits(world: World, writer: RegistryWriter, run: Run) -> None:
    fill(writer, [0] * 10)
    world.fault = CannotTell(detail="the worker is gone", remedy="")
    with pytest.raises(CannotTell):
        run()
    world.fault, world.works = None, False

    def wait(rest_s: float) -> bool:
        if world.queue.untried("path", PRIORITY_SCRUB):
            world.fault = CannotTell(detail="the worker is gone", remedy="")
        return False

    world.wait = wait  # type: ignore[method-assign]
    with pytest.raises(CannotTell):
        run()
