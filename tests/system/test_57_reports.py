"""Reports on a booted machine: by hand, as the services' user, and by the rhythm of infos from the sandbox of the alerts."""

from __future__ import annotations

import email
import email.message
import email.policy
import json
import time
from collections.abc import Iterator

import pytest
from machine import Machine

QUEUE = "/var/lib/autoops/queue"
CONFIG = """
[[channel]]
name = "people"
url = "mailto://127.0.0.1:2525?from=autoops@example.com&to=admins@example.com"
allow_private = true

[reports]
weekly = true
"""
AS_SERVICE = ("setpriv", "--reuid=autoops", "--regid=autoops", "--clear-groups")


@pytest.fixture(scope="module", autouse=True)
def configured(machine: Machine) -> Iterator[None]:
    """A mail server in the machine, a channel to it that takes infos, and the weekly report switched on."""
    machine.fetched("apprise", "python3-aiosmtpd")
    server = ("-m", "aiosmtpd", "-n", "-l", "127.0.0.1:2525", "-c", "aiosmtpd.handlers.Mailbox", "/var/tmp/mail")
    machine.run("systemd-run", "--unit=mail-sink", "/usr/bin/python3", *server)
    file = machine.path("/etc/autoops/autoops.toml")
    good = file.read_text()
    file.write_text(good + CONFIG)
    machine.run("autoops", "config", "check")
    yield
    file.write_text(good)
    machine.sh(f"rm -rf {QUEUE}/weekly* /var/tmp/mail; systemctl stop mail-sink; systemctl start autoops-alerts.service")
    machine.sh("DEBIAN_FRONTEND=noninteractive apt-get purge -y -q --autoremove apprise python3-aiosmtpd")


def mails(machine: Machine) -> list[email.message.EmailMessage]:
    """Return the reports that came."""
    new = machine.path("/var/tmp/mail/new")
    files = sorted(new.iterdir()) if new.is_dir() else []
    read = [email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in files]
    return [one for one in read if "weekly report" in one["Subject"]]  # type: ignore[misc]


def test_the_reconciler_and_the_snapshot_measure_from_their_sandboxes(machine: Machine) -> None:
    machine.run("systemctl", "start", "autoops-reconciler.service", code=None)
    machine.run("systemctl", "start", "autoops-backup.service")
    things = json.loads(machine.run("autoops", "report", "capacity", "--json").out)["things"]
    found = {(one["what"], one["subject"]): one for one in things}
    assert found["disk", "state"]["limit_bytes"] > found["disk", "state"]["bytes"] > 0
    assert found["database", "registry"]["bytes"] > 0 and found["backup", "snapshots"]["bytes"] > 0
    assert any(what == "root" for what, _ in found)


@pytest.mark.parametrize("name", ["errors", "capacity", "performance", "weekly"])
def test_the_user_of_the_services_may_have_every_report(machine: Machine, name: str) -> None:
    answer = machine.run(*AS_SERVICE, "autoops", "report", name, "--json")
    assert json.loads(answer.out)["report"] == name


def test_the_worker_has_kept_its_figures(machine: Machine) -> None:
    machine.run("systemctl", "restart", "autoops-worker.service")
    stages = {one["stage"] for one in json.loads(machine.run("autoops", "report", "performance", "--json").out)["stages"]}
    assert stages >= {"wait_s", "commit_s", "scan_s"}


def test_a_page_is_written_for_root_alone(machine: Machine) -> None:
    machine.run("autoops", "report", "weekly", "--format", "html", "--to", "/root/week.html")
    page = machine.path("/root/week.html")
    assert page.read_text().startswith("<!doctype html>") and page.stat().st_mode & 0o007 == 0


def test_the_timer_has_it_written_in_the_sandbox_and_it_comes_by_mail(machine: Machine) -> None:
    machine.run("systemctl", "start", "autoops-alerts.service")
    memory = machine.path(f"{QUEUE}/weekly-memory.json")
    machine.until(memory.exists, "the first run remembers when it began")
    assert mails(machine) == []
    memory.write_text(json.dumps([time.time() - 8 * 86400, 0.0]))
    machine.until(lambda: mails(machine), "the timer has it written and sent")
    (mail,) = mails(machine)
    text = mail.get_body(("plain",))
    said = text.get_content() if text else ""
    assert "What went wrong" in said and "Backups and drills" in said and "Security" in said and "cannot be told" not in said
    (page,) = mail.iter_attachments()
    assert page.get_filename() == "weekly.html" and b"<!doctype html>" in (page.get_payload(decode=True) or b"")  # type: ignore[operator]
    findings = json.loads(machine.run("autoops", "findings", "--json").out)
    assert [one for one in findings if one["kind"] == "report_failed"] == []
    assert time.time() - json.loads(memory.read_text())[0] < 3600, "the next one comes in a week"
