"""The configuration of playbooks: what makes no sense, loops or never ends is a fault with its line and what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
from test_alert_config import faults
from test_runbook import KINDS

from autoops.config import PlaybookConfig, as_toml, parse_file
from autoops.config.playbooks import CHECKS, FINDINGS, REMEDIES
from autoops.core.drift import PLAYBOOK_FAILED
from autoops.health import run as health
from autoops.playbook import remedies
from autoops.playbook.decide import Action

ROOT = "[[root]]\npath = '/srv/docs'\nname = 'docs'\n[[catalog]]\nname = 'papers'\n"
GOOD: dict[str, object] = {"name": "a", "when": "health:worker", "remedy": "restart-unit", "unit": "autoops-worker.service"}


def table(**more: object) -> str:
    values = {key: value for key, value in (GOOD | more).items() if value is not None}
    return "[[playbook]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())


@pytest.mark.parametrize(
    ("more", "line", "fault"),
    [
        ({"name": "a b"}, 7, "playbook.name: must be letters"),
        ({"when": "worker"}, 8, "playbook.when: must be health:CHECK, finding:KIND or finding:KIND:SUBJECT"),
        ({"when": "health:wroker"}, 8, "playbook.when: there is no health check 'wroker'; did you mean 'worker'?"),
        ({"when": "finding:corupt"}, 8, "playbook.when: there is no kind of finding 'corupt'; did you mean 'corrupt'?"),
        ({"when": "finding:xyzzy"}, 8, "playbook.when: there is no kind of finding 'xyzzy'; there are unregistered, "),
        ({"when": "health:disk:/srv"}, 8, "must be health:CHECK"),
        ({"when": "finding:playbook_failed"}, 8, "it would set off itself, without end; name the trouble itself"),
        ({"when": "finding:playbook_spent"}, 8, "it would set off itself, without end"),
        ({"when": "health:findings"}, 8, "it would set off itself, without end"),
        (
            {"when": "health:tailer"},
            6,
            'health:tailer is never critical, so it would never be carried out: write severity = "warning"',
        ),
        ({"remedy": "restart"}, 9, "must be one of reset-jobs, prune-backups"),
        ({"unit": None}, 9, "playbook.remedy: 'restart-unit' needs the key unit"),
        ({"unit": "ssh.service"}, 10, "playbook.unit: must be a service of autoops"),
        ({"unit": "autoops-worker.service ssh.service"}, 10, "playbook.unit: must be a service of autoops"),
        ({"unit": "--root=autoops-worker.service"}, 10, "playbook.unit: must be a service of autoops"),
        ({"unit": "autoops-*.service"}, 10, "playbook.unit: must be a service of autoops"),
        ({"unit": "autoops-playbooks.service"}, 10, "begin anew without end"),
        ({"command": ["/bin/true"]}, 11, "playbook.command: is for another remedy; this one is 'restart-unit'"),
        ({"remedy": "command"}, 10, "playbook.unit: is for another remedy; this one is 'command'"),
        ({"remedy": "command", "unit": None}, 9, "playbook.remedy: 'command' needs the key command"),
        ({"remedy": "command", "unit": None, "command": ["true"]}, 10, "playbook.command: its first word must be an absolute path"),
        ({"only_if": ["true"]}, 11, "playbook.only_if: its first word must be an absolute path; got 'true'"),
        ({"verify": ["/bin/tr\0ue"]}, 11, "playbook.verify: cannot hold a NUL"),
        (
            {"remedy": "command", "unit": None, "command": ["/usr/bin/autoops-playbooks"]},
            10,
            "playbook.command: runs playbooks, this one too: it would call itself without end",
        ),
        ({"verify": ["/usr/bin/autoops", "playbooks", "run"]}, 11, "it would call itself without end"),
        (
            {"remedy": "rebuild-catalog", "unit": None, "catalog": "paper"},
            10,
            "no catalog is called 'paper'; did you mean 'papers'?",
        ),
        ({"remedy": "rescan-root", "unit": None, "root": "--accept-root"}, 10, "no root is called '--accept-root'"),
        ({"cool_down_s": 0}, 11, "playbook.cool_down_s: must be between 60 and"),
        ({"timeout_s": 1e9}, 11, "playbook.timeout_s: must be between 1 and 3600"),
        ({"at_most": 0}, 11, "playbook.at_most: must be between 1 and 100"),
        ({"floor": 0}, 11, "playbook.floor: must be between 1 and"),
    ],
)
def test_what_makes_no_sense_is_a_fault_with_its_line(tmp_path: Path, more: dict[str, object], line: int, fault: str) -> None:
    found = faults(tmp_path, ROOT + table(**more))
    assert any(one.startswith(f"{line}: ") and fault in one for one in found), found


@pytest.mark.parametrize("remedy", ["restart", None])
def test_a_remedy_that_there_is_not_is_one_fault(tmp_path: Path, remedy: str | None) -> None:
    (fault,) = faults(tmp_path, ROOT + table(remedy=remedy))
    assert "playbook.remedy" in fault


def test_two_of_one_name_are_refused_and_one_of_each_remedy_is_not(tmp_path: Path) -> None:
    assert faults(tmp_path, ROOT + table() + table()) == ["12: playbook.name: 'a' is a playbook already, in line 7"]
    arguments: dict[str, object] = {"unit": "autoops-tailer.service", "catalog": "papers", "root": "docs", "command": ["/bin/true"]}
    text = ROOT
    for number, (remedy, needed) in enumerate(REMEDIES.items()):
        text += table(**{"name": f"p{number}", "remedy": remedy, "unit": None, **({needed: arguments[needed]} if needed else {})})
    config = parse_file(text.encode(), Path("x"))
    assert [one.remedy for one in config.playbook_tables] == list(REMEDIES)
    assert parse_file(as_toml(config).encode(), Path("x")) == config
    for one in config.playbook_tables:
        assert remedies.commands_of(one, config, Path("/s"), None)


def test_it_is_off_unless_somebody_turns_it_on() -> None:
    config = parse_file((ROOT + table()).encode(), Path("x"))
    assert config.playbooks.enabled is False and config.playbook_tables[0].trouble == ("health", "worker", "*")


def test_what_a_playbook_can_be_for_is_what_the_rooms_tell() -> None:
    assert set(CHECKS) == {name for name, _ in health.CHECKS}
    assert set(FINDINGS) == KINDS and PLAYBOOK_FAILED in FINDINGS


def test_root_is_asked_for_nothing_but_units_of_autoops_and_the_journal() -> None:
    text = ROOT + table() + table(name="j", remedy="vacuum-journal", unit=None, keep_bytes=1 << 20)
    text += table(name="c", remedy="command", unit=None, command=["/bin/rm", "-r", "/"])
    text += table(name="k", remedy="checkpoint", unit=None)
    orders = remedies.orders(parse_file(text.encode(), Path("x")))
    assert {name: [command.words for command in commands] for name, commands in orders.items()} == {
        "a": [
            ("systemctl", "reset-failed", "--", "autoops-worker.service"),
            ("systemctl", "restart", "--", "autoops-worker.service"),
        ],
        "j": [("journalctl", "--rotate", "--vacuum-size=1048576")],
    }


def test_a_command_is_shown_as_a_person_would_type_it() -> None:
    config = parse_file(ROOT.encode(), Path("x"))
    one = PlaybookConfig("a", "health:queue", remedy="rebuild-catalog", catalog="papers")
    (command,) = remedies.commands_of(one, config, Path("/s t"), Path("/c"))
    assert command.shown == "autoops catalog build --verify --state '/s t' --config /c -- papers"
    assert remedies.Command(("/bin/sh", "-c", "a\nb\x1b")).shown == r"/bin/sh -c 'a\x0ab\x1b'"


def test_every_action_is_told_apart() -> None:
    assert set(get_args(Action)) == {"run", "idle", "wait", "spent", "held", "escalate"}
