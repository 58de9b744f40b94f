"""Where things are in a state directory, and what they are (docs/design.md says who writes them). Paths only; touches nothing."""

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
        """Operational state: jobs, findings, signs of life. Written by every executable."""
        return self.directory / "queue" / "queue.db"

    @property
    def worker_socket(self) -> Path:
        """The worker's bell: a datagram wakes it."""
        return self.directory / "queue" / "worker.sock"

    @property
    def verdict(self) -> Path:
        """What the last validation of the registry found."""
        return self.directory / "queue" / "health.json"

    @property
    def last_health(self) -> Path:
        """What the last health check found, for whoever tells of it."""
        return self.directory / "queue" / "last-health.json"

    @property
    def canaries(self) -> Path:
        """Which canaries were written, and which the registry has."""
        return self.directory / "queue" / "canary.json"

    @property
    def verification(self) -> Path:
        """How many files were overdue when the health check counted them last."""
        return self.directory / "queue" / "verification.json"

    @property
    def last_snapshot(self) -> Path:
        """How the last snapshot ended, and when the last good one was taken."""
        return self.directory / "queue" / "snapshot.json"

    @property
    def unsound_backups(self) -> Path:
        """Which backups cannot be used, as it was found last."""
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
        """The directory of units that failed and did not run well since: an empty file for each, for systemd to see."""
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
        """When the weekly report was written last."""
        return self.directory / "queue" / "weekly-memory.json"

    @property
    def tail(self) -> Path:
        """How far the tailer has read the checkpoints, and what it found."""
        return self.directory / "queue" / "tail.json"

    @property
    def rounds(self) -> Path:
        """When `autoops up` ran reconciler and scrub last."""
        return self.directory / "queue" / "rounds.json"

    @property
    def playbooks_lock(self) -> Path:
        """What the one runner of playbooks holds."""
        return self.directory / "queue" / "playbooks.lock"

    @property
    def catalogs_declared(self) -> Path:
        """The mark that the worker's configuration declares catalogs."""
        return self.directory / "queue" / "catalogs.declared"

    @property
    def cookies(self) -> Path:
        """The directory of marks that are sent through the event streams."""
        return self.directory / "queue" / "cookies"

    @property
    def registry_db(self) -> Path:
        """The truth, written by the worker alone."""
        return self.directory / "registry" / "registry.db"

    @property
    def checkpoints(self) -> Path:
        """The signed digests, a line for each burst of commits."""
        return self.directory / "registry" / "checkpoints.jsonl"

    @property
    def running_config(self) -> Path:
        """The configuration that the worker runs with, for commands that are given none."""
        return self.directory / "registry" / "running.toml"

    @property
    def seal(self) -> Path:
        """Which file registry.db was when the worker let go of it."""
        return self.directory / "registry" / "seal.json"

    @property
    def catalogs(self) -> Path:
        """What is made of the registry for others to read, a directory for each catalog."""
        return self.directory / "catalogs"

    @property
    def backups(self) -> Path:
        """Copies of the registry from before it was edited by hand; snapshots and the shipped ledger, unless they are elsewhere."""
        return self.directory / "backups"

    @property
    def worker_lock(self) -> Path:
        """What the one worker holds."""
        return self.directory / "registry" / "worker.lock"

    @property
    def private_key(self) -> Path:
        """The key that signs the ledger; it may be elsewhere."""
        return self.directory / "ledger.key"

    @property
    def public_key(self) -> Path:
        """Its public half, 64 hexadecimal digits."""
        return self.directory / "ledger.pub"

    @property
    def flag(self) -> Path:
        """The maintenance flag: while it exists, nothing is written to the registry."""
        return self.directory / ".maintenance"
