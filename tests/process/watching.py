"""A watcher on real trees for tests: its sink keeps what it is told, and can say whether everything on the disk was named."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from autoops import clock
from autoops.model import Work, split_key
from autoops.watch.root import Settings, WatchedRoot
from autoops.watch.watcher import Watcher

DEADLINE_S = 20.0


class Kept:
    """A sink that remembers. Cookies are the tests' way to wait: what came before one was told before it."""

    def __init__(self) -> None:
        self.works: list[tuple[float, Work]] = []  # when (seconds since 1970, as the disk's times), what
        self.gaps: dict[tuple[str, bytes], str] = {}
        self.history: list[tuple[str, bytes, str]] = []  # opened or closed, path, reason
        self.cookies: list[tuple[bytes, str]] = []
        self.threads: set[int] = set()
        self.closed = False
        self.broken: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def enqueue(self, works: Sequence[Work]) -> object:
        self.gate.wait(DEADLINE_S)
        if self.broken is not None:
            raise self.broken
        self.threads.add(threading.get_ident())
        self.works += [(time.time(), work) for work in works]
        return len(works)

    def gap_opened(self, root: str, path: bytes, reason: str, detail: str) -> None:
        self.gaps[root, path] = reason
        self.history.append(("opened", path, reason))

    def gap_closed(self, root: str, path: bytes | None, reason: str) -> None:
        for key in [key for key in self.gaps if key[0] == root and path in (None, key[1])]:
            del self.gaps[key]
        self.history.append(("closed", path, reason))

    def cookie_seen(self, name: bytes, source: str) -> None:
        self.cookies.append((name, source))

    def close(self) -> None:
        self.closed = True

    def jobs(self, root: str = "r") -> dict[bytes, Work]:
        """Return the last path job of each path."""
        return {split_key(work.key)[1]: work for _, work in self.works if work.kind == "path" and split_key(work.key)[0] == root}

    def told(self, path: bytes, root: str = "r") -> list[Work]:
        """Return every job for one path, in order."""
        return [work for _, work in self.works if work.kind == "path" and split_key(work.key) == (root, path)]

    def scans(self, root: str = "r") -> list[bytes]:
        return [split_key(work.key)[1] for _, work in self.works if work.kind == "scan" and split_key(work.key)[0] == root]

    def forget(self) -> None:
        """Begin anew: the scan at the start names everything, and would hide what is missed later."""
        self.works.clear()
        self.history.clear()


class Watching:
    """A watcher that is stepped by a thread, as the service loop would."""

    def __init__(self, root: Path, state: Path, settings: Settings, patterns: tuple[str, ...] = ()) -> None:
        self.root, self.kept = root, Kept()
        self._cookies = state / "cookies"
        self._cookies.mkdir(parents=True, exist_ok=True)
        self.plan = ([WatchedRoot("r", os.fsencode(root), patterns)], settings)
        self.watcher = Watcher(lambda: self.plan, lambda: self.kept, os.fsencode(self._cookies), [os.fsencode(state)])
        self._count = 0

    def step(self) -> float:
        return self.watcher.step(clock.boottime_ns() / 1e9)

    def settle(self, root: str = "r") -> None:
        """Wait until the watcher has told everything that happened until now."""
        self._count += 1
        name = b"cookie-%d" % self._count
        (self._cookies / os.fsdecode(name)).touch()
        self.until(lambda: (name, root) in self.kept.cookies)

    def until(self, condition: Callable[[], object]) -> None:
        end_s = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < end_s, f"not in time; gaps {self.kept.gaps}, last {self.kept.works[-5:]}"
            self.step()
            time.sleep(0.01)

    def unnamed(self) -> set[bytes]:
        """Return the files on the disk that no path job names, and no scan covers that was told after they were there."""
        paths = self.kept.jobs().keys()
        scans = [(at_s, split_key(work.key)[1]) for at_s, work in self.kept.works if work.kind == "scan"]
        top = os.fsencode(self.root)
        left = ((path, os.lstat(os.path.join(top, path)).st_ctime) for path in files(self.root) if path not in paths)
        return {path for path, since_s in left if not _covered(path, {scan for at_s, scan in scans if at_s >= since_s})}

    def blind(self) -> set[bytes]:
        """Return the directories in which a new file is not reported by a job of its own."""
        self.settle()
        self.kept.forget()
        probes = {(os.path.join(path, b".probe") if path else b".probe") for path in directories(self.root)}
        for probe in probes:
            os.close(os.open(os.path.join(os.fsencode(self.root), probe), os.O_CREAT | os.O_WRONLY))
        self.settle()
        missed = probes - self.kept.jobs().keys()
        for probe in probes:
            os.unlink(os.path.join(os.fsencode(self.root), probe))
        self.settle()
        return missed


def _covered(path: bytes, scans: set[bytes]) -> bool:
    parts = path.split(b"/")
    return any(b"/".join(parts[:count]) in scans for count in range(len(parts)))


def files(root: Path) -> set[bytes]:
    top = os.fsencode(root)
    return {os.path.relpath(os.path.join(base, name), top) for base, _, names in os.walk(top) for name in names}


def directories(root: Path) -> set[bytes]:
    top = os.fsencode(root)
    return {b"" if base == top else os.path.relpath(base, top) for base, _, _ in os.walk(top)}


@contextmanager
def watching(root: Path, state: Path, patterns: tuple[str, ...] = (), **settings: object) -> Iterator[Watching]:
    """Watch a root, its first scan told and forgotten."""
    watch = Watching(root, state, Settings(**{"settle_s": 0.5, "retry_s": 0.05, **settings}), patterns)  # type: ignore[arg-type]
    watch.watcher.open()
    try:
        watch.until(lambda: b"" in watch.kept.scans() or watch.kept.gaps)
        watch.kept.forget()
        yield watch
    finally:
        watch.watcher.close()
