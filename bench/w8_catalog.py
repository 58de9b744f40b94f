"""W8: catalogs of a registry: from nothing, and after a commit of ten entries.

sqlite3-json     the SQLite shell writes the same rows as JSON, one array, into a file; no hashes, no sync
autoops-anew     `autoops catalog build --anew`: canonical lines, leaves, a checksum of each file, all synced; by all processors
autoops-anew-1   the same in one process
autoops-ten      `autoops catalog build` after a commit that changed ten entries anywhere; an untimed one goes before it, for the
                 first after a build from nothing also removes the million lines that were replaced
autoops-none     the same when no commit has come since
"""

from __future__ import annotations

import os
import random
import shlex
import time
from pathlib import Path
from typing import Any

from bench import peers
from bench.measure import Case, Target, case_ratio, run_cases, summarize, write_cases
from bench.setting import Setting, autoops, environment
from bench.w7_registry import LOAD_ENTRIES, entry

NAME = "W8"
NEEDS = {
    "sqlite3-json": "program sqlite3",
    "autoops-anew": "own autoops.catalog.build",
    "autoops-anew-1": "own autoops.catalog.build",
    "autoops-ten": "own autoops.catalog.build",
    "autoops-none": "own autoops.catalog.build",
}
PROMISED = [
    ("autoops-anew", "sqlite3-json", 3.0),
    ("autoops-ten", "autoops-anew", 0.05),
    ("autoops-ten", "sqlite3-json", 0.05),
]
CHANGED = 10
ROWS = """
SELECT printf('%016d', e.id) AS id, e.rev, r.name AS root,
    CASE WHEN d.key = x'' THEN '' ELSE CAST(d.key AS TEXT) || '/' END || CAST(e.name AS TEXT) AS path,
    e.status, e.since_s, e.kind, e.size_bytes, e.mtime_ns, e.inode, e.birth_ns, lower(hex(e.sha256)) AS sha256, e.mime, e.described
FROM entry e JOIN directory d ON d.id = e.directory JOIN root r ON r.id = d.root ORDER BY e.id
"""


def measure(setting: Setting) -> None:
    """Fill a registry, untimed, and build its catalog in every way, in turn."""
    entries = setting.size(1_000_000, 3_000)
    names = setting.taking_part(NAME, NEEDS)
    place = setting.folder("w8")
    registry = Registry(place / "state", entries)
    cases = [case for case in _cases(place, registry) if case.name in names]
    run_cases(cases, setting.rounds(5), setting.quiet_s, setting.environment())
    registry.close()
    write_cases(setting.lines, NAME, cases, "sqlite3-json", entries=entries)
    summarize(setting.lines, NAME, targets(cases), entries=entries)


def targets(cases: list[Case]) -> list[Target]:
    """Return what is promised."""
    return [Target(f"{own} / {peer}", case_ratio(cases, own, peer), limit) for own, peer, limit in PROMISED]


def _cases(place: Path, registry: Registry) -> list[Case]:
    config = place / "bench.toml"
    config.write_text('[[catalog]]\nname = "bench"\nstatus = ""\n')
    database, dump = shlex.quote(str(registry.path)), shlex.quote(str(place / "dump.json"))
    build = autoops("catalog", "build", "bench", "--state", registry.state, "--config", config)
    rows = " ".join(ROWS.split())

    def changed_again() -> None:
        registry.change()
        peers.run(shlex.join(build), environment())
        registry.change()

    return [
        Case("sqlite3-json", peers.shell(f"sqlite3 -readonly -json {database} {shlex.quote(rows)} > {dump}"), prepare=os.sync),
        Case("autoops-anew", [*build, "--anew"], prepare=os.sync),
        Case("autoops-anew-1", [*build, "--anew", "--workers", "1"], prepare=os.sync),
        Case("autoops-ten", build, prepare=changed_again),
        Case("autoops-none", build, prepare=os.sync),
    ]


class Registry:
    """A registry of described entries, in a state directory of its own."""

    def __init__(self, state: Path, entries: int) -> None:
        from autoops.core.signing import Signer, new_key
        from autoops.state import State
        from autoops.store.commit import RegistryWriter, Why
        from autoops.store.database import migrate
        from autoops.store.queue import SCHEMA as QUEUE
        from autoops.store.registry import SCHEMA

        self.state, self.path = state, State(state).registry_db
        state.mkdir(parents=True)
        migrate(State(state).queue_db, QUEUE)
        migrate(self.path, SCHEMA)
        self._writer = RegistryWriter.open_for_writing(self.path, Signer(new_key()))
        self._why = Why("bench", "path:bench", "measured")
        self._entries, self._chance = entries, random.Random(entries)
        for start in range(0, entries, LOAD_ENTRIES):
            numbers = range(start, min(entries, start + LOAD_ENTRIES))
            self._writer.commit([_created(number) for number in numbers], self._why, time.time())
        self._writer.checkpoint(least_bytes=0)

    def change(self) -> None:
        """Commit a change of ten entries, anywhere; what others wrote before is on the disk then, so that nobody pays for it."""
        from autoops.model import Change

        wanted = [entry(number)[0].encode() for number in self._chance.sample(range(self._entries), min(CHANGED, self._entries))]
        changes = []
        for before in self._writer.at("bench", wanted):
            seen = before.observation._replace(size_bytes=before.observation.size_bytes + 1)
            changes.append(Change(before, before._replace(rev=before.rev + 1, observation=seen), {"kind": "path"}))
        self._writer.commit(changes, self._why, time.time())
        os.sync()

    def close(self) -> None:
        """Close the database."""
        self._writer.close()


def _created(number: int) -> Any:
    from autoops.model import Change, Described, Entry, Observation

    path, fields = entry(number)
    sha256 = bytes.fromhex(fields["sha256"])
    seen = Observation("file", fields["size"], fields["mtime_ns"], fields["inode"], 0, sha256, "text/x-python")
    descriptor = {"extractor": "python/1", "functions": ["main", "run"], "kind": "python", "lines": 120, "title": fields["title"]}
    described = Described(sha256, descriptor, "source", "builtin:source", 80)
    return Change(None, Entry("", 1, "bench", path.encode(), seen, described=described), {"kind": "new"})
