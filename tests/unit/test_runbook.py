"""The runbook has an entry for whatever the program may tell of, and is in order."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from autoops.alert.signal import of_channel, of_check, of_finding
from autoops.backup import archive_log
from autoops.core.drift import HOLDING, OF_FILES, PLAYBOOK_FAILED, PLAYBOOK_SPENT, REPORT_FAILED, RULES, UNIT_FAILED
from autoops.health.result import entry
from autoops.health.run import CHECKS
from autoops.reconcile import outside, proofs
from autoops.store.findings import Finding
from autoops.store.outbox import Failing
from autoops.tail import notes as tailer
from autoops.work import notes as worker

UNITS = Path(__file__).parents[2] / "systemd"
TEXT = (Path(__file__).parents[2] / "RUNBOOK.md").read_text()
HEADINGS = re.findall(r"^#{2,4} (.*)$", TEXT, flags=re.MULTILINE)
ENTRIES = {found[1]: found[2] for found in re.finditer(r"^### ([^\n]*)\n(.*?)(?=^##|\Z)", TEXT, flags=re.MULTILINE | re.DOTALL)}
KINDS = {
    *(*RULES, *OF_FILES, *HOLDING, *get_args(worker.Kind), UNIT_FAILED, PLAYBOOK_FAILED, PLAYBOOK_SPENT),
    *(REPORT_FAILED, archive_log.KIND),
    *(*proofs.KINDS, *outside.KINDS_OF_CATALOGS, *outside.KINDS_OF_REPLICAS, tailer.CHECKPOINT, *tailer.FOREIGN),
}
GAPS = {"alias", "downtime", "overflow", "unconfigured", "unmounted", "unreadable", "unwatchable", "watch-limit"}


def about(what: str) -> dict[str, str]:
    """Return the entries about findings, gaps or checks, by kind. One entry may be about several: `Check: disk, Check: inodes`."""
    begins = f"{what}: "
    return {
        each.removeprefix(begins): text
        for heading, text in ENTRIES.items()
        if heading.startswith(begins)
        for each in heading.split(", ")
    }


def test_every_kind_of_finding_and_gap_has_one_entry_and_no_other_has() -> None:
    assert about("Finding").keys() == KINDS
    assert about("Gap").keys() == GAPS


def test_every_check_of_health_has_one_entry_and_no_other_has() -> None:
    assert about("Check").keys() == {*(name for name, _ in CHECKS), "textfile"}


def test_every_alert_that_can_be_sent_names_an_entry_by_its_very_words() -> None:
    known = {each for heading in HEADINGS for each in (heading, *heading.split(", "))}
    checks = [told for name, _ in CHECKS if (told := of_check(name, "CRITICAL", "said", "", {}))]
    findings = [of_finding(Finding(1, kind, b"docs\0a", {}, 1, 1, 1, None)) for kind in KINDS]
    for one in (*checks, *findings, of_channel(Failing("c", 1, 1, "d"))):
        assert one.runbook in known
    assert len(checks) == len(CHECKS) - 1, "findings are told one by one"
    for name, _ in CHECKS:
        assert entry(name) == f"RUNBOOK, 'Check: {name}'"


@pytest.mark.parametrize("unit", sorted(path.name for path in UNITS.glob("autoops-*.*") if path.is_file()))
def test_every_unit_that_may_fail_is_spoken_of(unit: str) -> None:
    assert unit.rpartition(".")[0] in TEXT


def test_an_entry_says_meaning_impact_diagnosis_and_mitigation() -> None:
    for heading, text in ENTRIES.items():
        if re.match("(Finding|Gap|Check): ", heading):
            told = re.findall(r"^- \*\*(\w+)\.\*\* \S", text, flags=re.MULTILINE)
            assert told == ["Meaning", "Impact", "Diagnosis", "Mitigation"], heading


def test_no_heading_comes_twice_and_each_stands_alone() -> None:
    kinds = [kind for heading in ENTRIES for kind in heading.split(", ") if kind.startswith("Finding: ")]
    assert len(HEADINGS) == len(set(HEADINGS)) and len(kinds) == len(set(kinds))
    assert re.search(r"[^\n]\n#{2,4} ", TEXT) is None, "an empty line before it"


def test_what_a_message_sends_to_is_there() -> None:
    """`RUNBOOK, 'The database is damaged'` in an error or a hint is the beginning of a heading, or the name of a kind."""
    known = [*(heading.strip(chr(34)) for heading in HEADINGS), *about("Finding"), *about("Gap")]
    known += [f"Check: {kind}" for kind in about("Check")]
    sources = Path(worker.__file__).parents[1].rglob("*.py")
    wanted = {name for path in sources for name in re.findall(r"RUNBOOK, '([^'{]+)'", path.read_text().replace('\\"', chr(34)))}
    assert len(wanted) > 5
    assert [name for name in sorted(wanted) if not any(heading.startswith(name) for heading in known)] == []
