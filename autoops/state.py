"""Where things are in a state directory. Paths only; reads and writes nothing.

queue/queue.db               operational state, written by every executable
queue/worker.sock            datagrams that wake the worker
queue/health.json            what the last validation of the registry found
queue/verification.json      how many files were overdue when the health check counted them last
queue/rounds.json            when `autoops up` ran reconciler and scrub last
queue/last-health.json       what the last health check found, for whoever tells of it
queue/canary.json            which canaries were written, and which the registry has
queue/tail.json              how far the tailer has read checkpoints.jsonl, and what it found
queue/snapshot.json          how the last snapshot ended, and when the last good one was taken
queue/unsound.json           which backups cannot be used, as it was found last
queue/drill.json             the same of drills; archive.json, archive-check.json: of the archive and its checks
queue/failed/                which units failed and did not run well since: an empty file for each, for systemd to see
queue/playbooks.lock         held by whoever carries out playbooks
queue/weekly.json, .html      the weekly report that is sent; weekly-memory.json: when it was written last
queue/catalogs.declared      there while the worker's configuration declares catalogs
queue/cookies/               marks that `autoops wait-idle` sends through the event streams
registry/registry.db         the truth, written by the worker alone
registry/checkpoints.jsonl   one signed line for each burst of commits
registry/seal.json           what registry.db was when the worker let go of it, see window/seal.py
registry/worker.lock         held by the one worker
registry/running.toml        the configuration that the worker runs with, for commands that are given none
catalogs/                    what is made of the registry for others to read, a directory for each catalog
backups/                     copies of the registry, from before it was edited by hand
ledger.key, ledger.pub       the key that signs the ledger (0600), and its public half, 64 hexadecimal digits
.maintenance                 the flag: while it exists, nothing is written
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

SYSTEM_STATE = Path("/var/lib/autoops")  # where the package keeps it
SYSTEM_KEY = Path("/etc/autoops/ledger.key")  # and the private key, which only root can read


class State(NamedTuple):
    """One state directory."""

    directory: Path

    @property
    def queue_db(self) -> Path:
        """The queue."""
        return self.directory / "queue" / "queue.db"

    @property
    def worker_socket(self) -> Path:
        """The worker's bell."""
        return self.directory / "queue" / "worker.sock"

    @property
    def verdict(self) -> Path:
        """What the last validation of the registry found."""
        return self.directory / "queue" / "health.json"

    @property
    def last_health(self) -> Path:
        """What the last health check found."""
        return self.directory / "queue" / "last-health.json"

    @property
    def canaries(self) -> Path:
        """Which canaries were written."""
        return self.directory / "queue" / "canary.json"

    @property
    def verification(self) -> Path:
        """How many files were overdue."""
        return self.directory / "queue" / "verification.json"

    @property
    def last_snapshot(self) -> Path:
        """How the last snapshot ended."""
        return self.directory / "queue" / "snapshot.json"

    @property
    def unsound_backups(self) -> Path:
        """Which backups cannot be used."""
        return self.directory / "queue" / "unsound.json"

    @property
    def last_drill(self) -> Path:
        """How the last drill ended."""
        return self.directory / "queue" / "drill.json"

    @property
    def last_archive(self) -> Path:
        """How the last run of the archive ended."""
        return self.directory / "queue" / "archive.json"

    @property
    def last_archive_check(self) -> Path:
        """How the last check of the archive ended."""
        return self.directory / "queue" / "archive-check.json"

    @property
    def last_archive_drill(self) -> Path:
        """How the last drill from the archive ended."""
        return self.directory / "queue" / "archive-drill.json"

    @property
    def failed_units(self) -> Path:
        """Which units failed last."""
        return self.directory / "queue" / "failed"

    @property
    def letter(self) -> Path:
        """The weekly report that is sent: title and text."""
        return self.directory / "queue" / "weekly.json"

    @property
    def letter_page(self) -> Path:
        """The page that goes with it."""
        return self.directory / "queue" / "weekly.html"

    @property
    def letter_memory(self) -> Path:
        """When it was written last."""
        return self.directory / "queue" / "weekly-memory.json"

    @property
    def tail(self) -> Path:
        """What the tailer remembers."""
        return self.directory / "queue" / "tail.json"

    @property
    def rounds(self) -> Path:
        """When `autoops up` ran last what it runs now and then."""
        return self.directory / "queue" / "rounds.json"

    @property
    def playbooks_lock(self) -> Path:
        """What the one runner of playbooks holds."""
        return self.directory / "queue" / "playbooks.lock"

    @property
    def catalogs_declared(self) -> Path:
        """The mark that there are catalogs to build."""
        return self.directory / "queue" / "catalogs.declared"

    @property
    def cookies(self) -> Path:
        """The directory of marks."""
        return self.directory / "queue" / "cookies"

    @property
    def registry_db(self) -> Path:
        """The registry."""
        return self.directory / "registry" / "registry.db"

    @property
    def checkpoints(self) -> Path:
        """The signed digests."""
        return self.directory / "registry" / "checkpoints.jsonl"

    @property
    def running_config(self) -> Path:
        """What the worker runs with."""
        return self.directory / "registry" / "running.toml"

    @property
    def seal(self) -> Path:
        """What the worker left."""
        return self.directory / "registry" / "seal.json"

    @property
    def catalogs(self) -> Path:
        """The directory of catalogs."""
        return self.directory / "catalogs"

    @property
    def backups(self) -> Path:
        """The directory of copies."""
        return self.directory / "backups"

    @property
    def worker_lock(self) -> Path:
        """What the one worker holds."""
        return self.directory / "registry" / "worker.lock"

    @property
    def private_key(self) -> Path:
        """The ledger key."""
        return self.directory / "ledger.key"

    @property
    def public_key(self) -> Path:
        """Its public half."""
        return self.directory / "ledger.pub"

    @property
    def flag(self) -> Path:
        """The maintenance flag."""
        return self.directory / ".maintenance"
