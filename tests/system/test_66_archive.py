"""The archive in the machine: Debian's restic in the unit's sandbox, with a repository in a directory and a password of root's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from machine import Machine
from test_30_sandbox import inside

CONFIG, PASSWORD = "/etc/autoops/autoops.toml", "/etc/autoops/archive.password"
DROP_IN = "/etc/systemd/system/autoops-archive.service.d/here.conf"
DROP_IN_OF_DRILL = "/etc/systemd/system/autoops-archive-drill.service.d/here.conf"
REPOSITORY = "/srv/archive/repository"
UNIT = "autoops-archive.service"


def failures(machine: Machine) -> list[dict[str, Any]]:
    found = json.loads(machine.run("autoops", "findings", "--json").out)
    return [one for one in found if one["kind"] == "archive_failed"]


def archives(machine: Machine) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(machine.run("autoops-backup", "archive", "--list", "--json").out)
    return found


def check(machine: Machine, name: str) -> dict[str, Any]:
    checks = json.loads(machine.run("autoops", "health", "--json", code=None).out)["checks"]
    found: dict[str, Any] = next(one for one in checks if one["name"] == name)
    return found


def test_without_a_repository_it_is_skipped(machine: Machine) -> None:
    machine.run("systemctl", "start", UNIT)
    assert machine.property(UNIT, "Result") == "exec-condition"
    assert machine.property(UNIT, "ActiveState") == "inactive"
    assert check(machine, "archive")["level"] == "OK"


@pytest.fixture(scope="module")
def configured(machine: Machine) -> Iterator[None]:
    """A repository in a directory, made by hand, for which the sandbox is opened as the unit says."""
    config = machine.path(CONFIG)
    good = config.read_text()
    config.write_text(good + f'\n[archive]\nrepository = "{REPOSITORY}"\n')
    machine.sh(f"umask 077; echo 'correct horse' >{PASSWORD}; install -d -o autoops -g autoops -m 700 /srv/archive")
    for file in (DROP_IN, DROP_IN_OF_DRILL):
        machine.path(file).parent.mkdir(exist_ok=True)
        machine.path(file).write_text("[Service]\nReadWritePaths=/srv/archive\nNoExecPaths=/srv/archive\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("autoops-backup", "archive", "--init")
    yield
    config.write_text(good)
    machine.sh(
        f"rm -r {DROP_IN} {DROP_IN_OF_DRILL} {PASSWORD} /srv/archive /var/lib/autoops/queue/archive*.json; systemctl daemon-reload"
    )


@pytest.mark.usefixtures("configured")
def test_the_unit_archives_and_checks_and_so_does_root_by_hand(machine: Machine) -> None:
    assert check(machine, "archive")["level"] == "WARNING"
    machine.run("autoops-backup", "snapshot")
    machine.run("systemctl", "start", UNIT)
    assert machine.property(UNIT, "Result") == "success"
    machine.run("autoops-backup", "archive")
    newest = json.loads(machine.run("autoops-backup", "list", "--json").out)[-1]["name"]
    assert [one["snapshot"] for one in archives(machine)] == [newest, newest]
    found = check(machine, "archive")
    assert found["level"] == "OK" and f"of snapshot {newest}; checked" in found["text"]
    strangers = machine.run("find", "/srv/archive", "/var/lib/autoops/queue", "!", "-user", "autoops").out
    assert strangers == "", "what root did by hand belongs to the service"
    assert machine.journal("-u", "autoops-archive", "AUTOOPS_EVENT=archived")
    assert "correct horse" not in machine.run("journalctl", "--no-pager", "-u", "autoops-archive").out


@pytest.mark.usefixtures("configured")
def test_the_disaster_drill_makes_the_state_again_of_the_archive_alone(machine: Machine) -> None:
    unit = "autoops-archive-drill.service"
    machine.run("systemctl", "start", unit)
    assert machine.property(unit, "Result") == "success"
    machine.idle()
    assert '"source":"archive:' in machine.run("autoops", "export", "--format", "ledger").out.replace("\\", "")
    assert check(machine, "archive_drill")["level"] == "OK"
    assert machine.run("find", "/var/lib/autoops/backups", "-name", ".drill").out == ""


@pytest.mark.usefixtures("configured")
def test_it_comes_back_in_the_same_sandbox(machine: Machine) -> None:
    command = "/usr/bin/autoops-backup archive --fetch /tmp/out --json --state /var/lib/autoops"
    fetched = inside(machine, "autoops-archive", command)
    assert (
        fetched["public_key"] == "/tmp/out/var/lib/autoops/ledger.pub" and fetched["config"] == "/tmp/out/etc/autoops/autoops.toml"
    )
    fetched = json.loads(machine.run("autoops-backup", "archive", "--fetch", "/srv/archive/out", "--json").out)
    machine.run("diff", "-r", "/var/lib/autoops/backups/snapshots", f"{fetched['directory']}/snapshots")
    machine.run("rm", "-r", fetched["directory"])


@pytest.mark.usefixtures("configured")
def test_a_wrong_password_fails_the_unit_and_leaves_word_until_it_is_right(machine: Machine) -> None:
    machine.sh(f"echo wrong >{PASSWORD}")
    machine.run("systemctl", "start", UNIT, code=1)
    assert machine.property(UNIT, "Result") == "exit-code" and machine.property(UNIT, "ExecMainStatus") == "4"
    ((found),) = failures(machine)
    assert "does not open with this password" in found["detail"]["reason"] and found["detail"]["hint"]
    machine.until(lambda: "unit_failed" in machine.run("autoops", "findings", "--json").out, "its failure is noted")
    assert machine.journal("-u", "autoops-archive", "AUTOOPS_EVENT=archive_failed", "--priority=err")
    machine.sh(f"echo 'correct horse' >{PASSWORD}")
    machine.run("systemctl", "start", UNIT)
    assert failures(machine) == []
    machine.run("autoops", "health", code=None)
    assert json.loads(machine.run("autoops", "findings", "--json").out) == []


@pytest.mark.usefixtures("configured")
def test_the_password_may_be_encrypted(machine: Machine) -> None:
    file, dropin = machine.path(PASSWORD), machine.path(DROP_IN)
    machine.run("systemd-creds", "encrypt", "--with-key=host", "--name=archive-password", PASSWORD, f"{PASSWORD}.cred")
    before = dropin.read_text()
    dropin.write_text(
        before + f"LoadCredential=\nLoadCredential=archive-environment:/etc/autoops/archive.environment\n"
        f"LoadCredentialEncrypted=archive-password:{PASSWORD}.cred\n"
    )
    file.rename(file.with_suffix(".aside"))
    try:
        machine.sh(f"systemctl daemon-reload; systemctl start {UNIT}")
        assert machine.property(UNIT, "Result") == "success"
    finally:
        file.with_suffix(".aside").rename(file)
        dropin.write_text(before)
        machine.sh(f"rm {PASSWORD}.cred; systemctl daemon-reload")


@pytest.mark.usefixtures("configured")
def test_in_a_window_the_timer_does_nothing(machine: Machine) -> None:
    machine.run("autoops", "pause", "--no-snapshot")
    try:
        machine.run("systemctl", "start", UNIT)
        assert machine.property(UNIT, "ConditionResult") == "no"
    finally:
        machine.run("autoops", "resume")
