"""W7: the price of one changed entry, and of a digest that is always current, in registries of growing size.

json-*      one file that holds every entry: read, change one, write a temporary file, sync it, rename it, sync the directory
sqlite-*    one row updated by path, or a hundred, and committed
autoops     one entry changed by the registry's own commit: entry, history, Merkle leaves and signed ledger record, durable
merkle-*    256 changed entries carried into the digest, everything in memory, beside one hash over all entries
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.measure import MIB, Target, quantile, rounded, spread, summarize, wait_quiet
from bench.setting import Setting

NAME = "W7"
NEEDS = {
    "json": "",
    "sqlite": "",
    "autoops": "own autoops.store.commit",
    "flat-rehash": "",
    "merkle-autoops": "own autoops.core.digest",
}
SMALLEST, LARGEST = 10_000, 1_000_000
DIGEST_ENTRIES = 256
LOAD_ENTRIES = 4096  # entries a commit while a registry is filled, untimed
FLAT = 1.3  # what a commit may cost at a million entries, over ten thousand


class Sample(NamedTuple):
    """The figures of one contestant at one size."""

    name: str
    times_ms: list[float]
    file_bytes: int = 0


def measure(setting: Setting) -> None:
    """Measure every size, the smallest first."""
    names = setting.taking_part(NAME, NEEDS)
    place = setting.folder("w7")
    sizes = [setting.files] if setting.files else [1_000, 3_000] if setting.quick else [SMALLEST, 100_000, LARGEST]
    contestants: dict[str, Callable[[Path, int, int], list[Sample]]] = {
        "json": change_json,
        "sqlite": change_sqlite,
        "autoops": change_registry,
        "flat-rehash": rehash,
        "merkle-autoops": update_merkle,
    }
    taken: dict[tuple[str, int], list[float]] = {}
    for entries in sizes:
        for name in names:
            wait_quiet(setting.quiet_s)
            for sample in contestants[name](place, entries, setting.rounds(7)):
                taken[sample.name, entries] = sample.times_ms
                _write(setting, sample, entries)
    summarize(setting.lines, NAME, targets(taken, sizes), sizes=sizes)


def targets(taken: dict[tuple[str, int], list[float]], sizes: Sequence[int]) -> list[Target]:
    """Return what is promised, at the greatest size measured."""
    least, most = min(sizes), max(sizes)

    def ratio(ours: str, theirs: str, theirs_at: int) -> float | None:
        a, b = taken.get((ours, most)), taken.get((theirs, theirs_at))
        return quantile(a, 50) / quantile(b, 50) if a and b else None

    grown = ratio("autoops", "autoops", least) if least < most else None  # one size says nothing about growth
    return [
        Target(f"one durable change / rewriting JSON, {most} entries", ratio("autoops", "json-total", most), 0.0002),
        Target(f"digest of 256 changes / flat rehash, {most} entries", ratio("merkle-autoops", "flat-rehash", most), 0.1),
        Target(f"one durable change, {most} entries / {least} entries", grown, FLAT),
    ]


def _write(setting: Setting, sample: Sample, entries: int) -> None:
    setting.lines.write(
        NAME,
        peer=sample.name,
        entries=entries,
        time_ms=spread(sample.times_ms) | {"p99": rounded(quantile(sample.times_ms, 99))},
        file_mib=rounded(sample.file_bytes / MIB) if sample.file_bytes else None,
    )


def entry(number: int) -> tuple[str, dict[str, Any]]:
    """Return the (path, fields) of entry `number`, the same for every peer."""
    return (
        f"pack{number // 6400:03d}/group{number // 800 % 8}/part{number // 100 % 8}/f{number:07d}.py",
        {
            "id": 1_000_000_000_000_000 + number,
            "sha256": hashlib.sha256(b"%d" % number).hexdigest(),
            "size": 4096 + number % 9000,
            "mtime_ns": 1_700_000_000_000_000_000 + number,
            "inode": 500_000 + number,
            "class": "source",
            "title": "module about things",
        },
    )


def change_json(place: Path, entries: int, runs: int) -> list[Sample]:
    """Rewrite a file of all entries for each change, durably."""
    path, draft = place / "registry.json", place / "registry.json.tmp"
    path.write_text(json.dumps(dict(entry(number) for number in range(entries))))
    chance = random.Random(entries)
    read_ms, write_ms = [], []
    for _ in range(runs):
        began = time.perf_counter()
        registry = json.loads(path.read_text())
        was_read = time.perf_counter()
        registry[entry(chance.randrange(entries))[0]]["size"] += 1
        with draft.open("w") as file:
            file.write(json.dumps(registry))
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
        _sync_directory(place)
        read_ms.append((was_read - began) * 1e3)
        write_ms.append((time.perf_counter() - was_read) * 1e3)
        del registry
    size = path.stat().st_size
    path.unlink()
    total_ms = [read + write for read, write in zip(read_ms, write_ms, strict=True)]
    return [Sample("json-read", read_ms), Sample("json-write", write_ms), Sample("json-total", total_ms, size)]


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(directory)
    os.close(directory)


def change_sqlite(place: Path, entries: int, runs: int) -> list[Sample]:
    """Update one row, and a hundred, with both levels of durability."""
    path = place / "registry.sqlite"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; CREATE TABLE file (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE,"
        " sha256 TEXT, size INT, mtime_ns INT, inode INT, class TEXT, title TEXT) STRICT; BEGIN"
    )
    rows = ((fields["id"], path_, *list(fields.values())[1:]) for path_, fields in map(entry, range(entries)))
    connection.executemany("INSERT INTO file VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    chance = random.Random(entries)
    samples = []
    for durability in ("FULL", "NORMAL"):
        connection.execute(f"PRAGMA synchronous={durability}")
        for batch in (1, 100):
            times_ms = []
            for _ in range(changes_of(runs)):
                keys = [(entry(chance.randrange(entries))[0],) for _ in range(batch)]
                began = time.perf_counter()
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany("UPDATE file SET size = size + 1 WHERE path = ?", keys)
                connection.execute("COMMIT")
                times_ms.append((time.perf_counter() - began) * 1e3)
            samples.append(Sample(f"sqlite-{durability.lower()}-{batch}", times_ms, path.stat().st_size))
    connection.close()
    path.unlink()
    return samples


def changes_of(runs: int) -> int:
    """Return how many changes a run times: they are short, so there are more of them."""
    return max(60, runs * 20)


def change_registry(place: Path, entries: int, runs: int) -> list[Sample]:
    """Change one entry by a commit of our own registry, one after the other."""
    from autoops.core.signing import Signer, new_key
    from autoops.store.commit import RegistryWriter, Why
    from autoops.store.database import migrate
    from autoops.store.registry import SCHEMA

    path = place / f"registry-{entries}.db"
    migrate(path, SCHEMA)
    registry = RegistryWriter.open_for_writing(path, Signer(new_key()))
    why = Why("bench", "path:bench", "measured")
    fill_registry(registry, entries, why)
    chance = random.Random(entries)
    times_ms = []
    for _ in range(changes_of(runs)):
        wanted = entry(chance.randrange(entries))[0].encode()
        before = registry.at("bench", [wanted])[0]
        change = edited(before)
        began = time.perf_counter()
        registry.commit([change], why, time.time())
        times_ms.append((time.perf_counter() - began) * 1e3)
    size = path.stat().st_size
    registry.close()
    for file in place.glob(path.name + "*"):
        file.unlink()
    return [Sample("autoops", times_ms, size)]


def fill_registry(registry: Any, entries: int, why: Any) -> None:
    """Register so many entries in large commits, and empty the WAL."""
    from autoops.model import Change, Entry, Observation

    for start in range(0, entries, LOAD_ENTRIES):
        changes = []
        for number in range(start, min(entries, start + LOAD_ENTRIES)):
            path, fields = entry(number)
            seen = Observation(
                "file", fields["size"], fields["mtime_ns"], fields["inode"], 0, bytes.fromhex(fields["sha256"]), "text/x-python"
            )
            changes.append(Change(None, Entry("", 1, "bench", path.encode(), seen), {"kind": "new"}))
        registry.commit(changes, why, time.time())
        registry.checkpoint()  # as a worker does when it has grown
    registry.checkpoint(least_bytes=0)


def edited(before: Any) -> Any:
    from autoops.model import Change

    seen = before.observation._replace(size_bytes=before.observation.size_bytes + 1)
    return Change(before, before._replace(rev=before.rev + 1, observation=seen), {"kind": "path"})


def _leaf(kind: str, number: int) -> bytes:
    return hashlib.sha256(f"{kind}{number}".encode()).digest()


def rehash(place: Path, entries: int, runs: int) -> list[Sample]:
    """Hash the leaves of all entries, as a digest without a tree must after any change."""
    leaves = [_leaf("entry", number) for number in range(entries)]
    times_ms = []
    for _ in range(runs):
        began = time.perf_counter()
        digest = hashlib.sha256()
        for leaf in leaves:
            digest.update(leaf)
        digest.digest()
        times_ms.append((time.perf_counter() - began) * 1e3)
    return [Sample("flat-rehash", times_ms)]


def update_merkle(place: Path, entries: int, runs: int) -> list[Sample]:
    """Carry 256 changed entries into our Merkle tree, its members in memory."""
    from autoops.core.digest import Tree, bucket_of, with_member

    tree = Tree()
    members: dict[int, bytes] = {}
    for number in range(entries):
        entry_id = f"{number:016d}"
        bucket = bucket_of(entry_id)
        members[bucket] = with_member(members.get(bucket, b""), entry_id, _leaf("entry", number))
    for bucket, value in members.items():
        tree.set(bucket, value)
    tree.root()
    chance = random.Random(entries)
    times_ms = []
    for run in range(runs * 5):
        changed = [(f"{number:016d}", _leaf(f"run{run}-", number)) for number in chance.sample(range(entries), DIGEST_ENTRIES)]
        began = time.perf_counter()
        for entry_id, leaf in changed:
            bucket = bucket_of(entry_id)
            members[bucket] = with_member(members[bucket], entry_id, leaf)
            tree.set(bucket, members[bucket])
        tree.root()
        times_ms.append((time.perf_counter() - began) * 1e3)
    return [Sample("merkle-autoops", times_ms)]
