"""The keys of [playbooks] and [[playbook]]: what is done about which trouble, how often at most. Reasons stand in etc/autoops.toml.

What makes no sense is a fault of the file and never found out at night: a remedy without what it is about, a trouble that nobody
tells, a playbook that would set off itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from autoops.config import checks
from autoops.config.check import Fault, Where, did_you_mean
from autoops.config.field import key

# What a playbook can be for. (The configuration knows no room; a test holds these to what the rooms have.)
CHECKS = (
    *("database", "watcher", "worker", "tailer", "shipping", "queue", "outcomes", "registry", "digest", "canary"),
    *(
        "coverage",
        "verification",
        "backup",
        "drill",
        "archive_drill",
        "archive",
        "findings",
        "units",
        "configuration",
        "maintenance",
        "disk",
        "inodes",
    ),
    *("memory", "load", "response", "clock", "key", "certificates", "permissions", "suspect"),
)
FINDINGS = (
    *("unregistered", "missing", "modified", "metadata", "moved", "replaced", "wrong_kind", "duplicate_id", "unreadable"),
    *("corrupt", "registry_edited", "ledger_broken", "checkpoint_mismatch", "ledger_forked", "ledger_unshipped"),
    *("drill_failed", "catalog_stale", "catalog_checksum", "replica_unreachable", "replica_differs", "mass_missing"),
    *("mass_retired", "quarantined", "rolled_back", "not_renamed", "root_replaced", "not_described", "unit_failed"),
    *("archive_failed", "registry_mismatch", "registry_provider_error", "digest_stale", "playbook_failed"),
    *("playbook_spent", "report_failed"),
)
HEALTH, FINDING = "health", "finding"

# Each remedy, and the key that it cannot do without.
REMEDIES: Mapping[str, str] = {
    "reset-jobs": "",
    "prune-backups": "",
    "vacuum-journal": "",
    "vacuum-logs": "",
    "checkpoint": "",
    "restart-unit": "unit",
    "rebuild-catalog": "catalog",
    "rescan-root": "root",
    "command": "command",
}
_OWN_UNIT = "autoops-playbooks.service"
_UNIT = re.compile(r"autoops-[A-Za-z0-9:_.\\@-]+\.service")  # systemd.unit(5)
_OF_ITSELF = ("playbook_failed", "playbook_spent", "findings", "units")  # what is told of playbooks themselves

_NEVER_CRITICAL = ("tailer", "verification", "configuration")  # without these nothing is lost, only told later


@dataclass(frozen=True)
class PlaybooksConfig:
    """Whether remedies are carried out at all, and how many in a day."""

    enabled: bool = key(False)
    at_most: int = key(20, low=1, high=1000)


@dataclass(frozen=True)
class PlaybookConfig:
    """One remedy, bound to one trouble."""

    name: str = key("", check=checks.catalog_name, required=True)
    when: str = key("", check=checks.trouble, required=True)
    severity: str = key("critical", choices=("critical", "warning"))
    remedy: str = key("", choices=tuple(REMEDIES), required=True)
    unit: str = key("")
    catalog: str = key("")
    root: str = key("")
    command: tuple[str, ...] = key((), check=checks.argument)
    older_than_s: float = key(900.0, low=60, high=86400)
    floor: int = key(3, low=1, high=10_000)
    keep_bytes: int = key(512 * 1024 * 1024, low=1024 * 1024, high=1 << 50)
    only_if: tuple[str, ...] = key((), check=checks.argument)
    verify: tuple[str, ...] = key((), check=checks.argument)
    within_s: float = key(120.0, low=0, high=3600)
    timeout_s: float = key(300.0, low=1, high=3600)
    cool_down_s: float = key(3600.0, low=60, high=31 * 86400)
    at_most: int = key(3, low=1, high=100)

    @property
    def trouble(self) -> tuple[str, str, str]:
        """Return what it is for: source (health, finding), name, and a glob of subjects."""
        source, name, *subject = self.when.split(":", 2)
        return source, name, subject[0] if subject else "*"


def contradictions(
    playbooks: Sequence[PlaybookConfig], catalogs: Sequence[str], roots: Sequence[str], lines: Mapping[Where, int]
) -> Iterator[Fault]:
    """Yield what is wrong with playbooks that no key alone is guilty of."""
    for number, one in enumerate(playbooks):
        table = lines.get(("playbook", number), 1)
        where = {each: lines.get(("playbook", number, each), table) for each in one.__dataclass_fields__}
        known = {"catalog": tuple(catalogs), "root": tuple(roots)}
        for each, what in (*_trouble(one), *_remedy(one, known), *_commands(one), *_endless(one)):
            yield Fault(where[each], f"playbook.{each}", what)


def _trouble(one: PlaybookConfig) -> Iterator[tuple[str, str]]:
    if not one.when or checks.trouble(one.when):  # told already
        return
    source, name, subject = one.trouble
    known = CHECKS if source == HEALTH else FINDINGS
    if name not in known:
        kind = "health check" if source == HEALTH else "kind of finding"
        yield "when", f"there is no {kind} {name!r}{did_you_mean(name, known) or '; there are ' + ', '.join(known)}"
    elif source == HEALTH and subject != "*":
        yield "when", f"a health check has no subject: write {HEALTH}:{name}"
    elif source == HEALTH and name in _NEVER_CRITICAL and one.severity == "critical":
        yield "severity", f'{HEALTH}:{name} is never critical, so it would never be carried out: write severity = "warning"'
    elif name in _OF_ITSELF:
        yield "when", f"{name!r} also tells of playbooks themselves: it would set off itself, without end; name the trouble itself"


def _remedy(one: PlaybookConfig, known: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    if one.remedy not in REMEDIES:  # told already
        return
    wanted = REMEDIES[one.remedy]
    for needed in filter(None, REMEDIES.values()):
        value = getattr(one, needed)
        if needed == wanted and not value:
            yield "remedy", f"{one.remedy!r} needs the key {needed}"
        elif value and needed != wanted:
            yield needed, f"is for another remedy; this one is {one.remedy!r}"
        elif value and needed in known and value not in known[needed]:
            there = "; there are " + ", ".join(known[needed]) if known[needed] else "; there is none"
            yield needed, f"no {needed} is called {value!r}{did_you_mean(value, known[needed]) or there}"
    if one.unit and not _UNIT.fullmatch(one.unit):
        yield "unit", f"must be a service of autoops, such as autoops-worker.service: no other is restarted; got {one.unit!r}"


def _commands(one: PlaybookConfig) -> Iterator[tuple[str, str]]:
    for each in ("command", "only_if", "verify"):
        argv = getattr(one, each)
        if argv and not argv[0].startswith("/"):
            yield each, f"its first word must be an absolute path; got {argv[0]!r}"


def _endless(one: PlaybookConfig) -> Iterator[tuple[str, str]]:
    """Yield what would call itself again and again."""
    if one.unit == _OWN_UNIT:
        yield "unit", "is the unit that playbooks run in: it would end itself in the middle, and begin anew without end"
    for each in ("command", "only_if", "verify"):
        argv = getattr(one, each)
        program = argv[0].rpartition("/")[2] if argv else ""
        if program == "autoops-playbooks" or (program == "autoops" and "playbooks" in argv):
            yield each, "runs playbooks, this one too: it would call itself without end"
