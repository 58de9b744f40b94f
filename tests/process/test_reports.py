"""Reports of a suite that had real errors; of one that is paused, empty, or damaged; and the weekly one by real mail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from running import Answer, Suite, environment
from sinks import MailSink

from autoops.alert import letter
from autoops.alert.letter import Memory
from autoops.store.database import Database
from autoops.store.extents import Extent, Extents
from autoops.store.findings import Findings
from autoops.store.queue import SCHEMA

NASTY = os.fsencode("docs\0<img src=x onerror=alert(1)>\r\nBcc: all@example.com\x1b[2J@everyone") + b"\xff"
REPORTS = ("errors", "capacity", "performance", "weekly")


def report(suite: Suite, *arguments: object, code: int = 0) -> Answer:
    return suite.run("report", *arguments, code=code)


def find(suite: Suite, kind: str, subject: bytes, **detail: object) -> None:
    with Database.open(suite.state / "queue/queue.db", SCHEMA, guard=True) as database:
        Findings(database).open([(kind, subject, detail)], int(time.time()))


def alert(suite: Suite, code: int = 0) -> Answer:
    """Run `autoops-alerts` once."""
    command = [sys.executable, "-m", "autoops.cli.alerter", "run", "--state", str(suite.state), "--config", str(suite.config)]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=120)
    assert ran.returncode == code, (ran.returncode, ran.stdout[-3000:], ran.stderr[-3000:])
    return Answer(ran.returncode, ran.stdout, ran.stderr)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MailSink]:
    made = MailSink(tmp_path)
    yield made
    made.close()


def with_mail(suite: Suite, server: MailSink, **reports: object) -> None:
    """Have infos go to a mail server."""
    url = f"mailto://127.0.0.1:{server.port}?from=autoops@example.com&to=admins@example.com"
    channel = {"name": "mail", "url": url, "allow_private": True, "timeout_s": 60}
    tables = f"\n[[channel]]\n{_toml(channel)}\n[reports]\n{_toml(reports)}\n"
    suite.config.write_text(suite.config.read_text() + tables)


def _toml(table: dict[str, Any]) -> str:
    return "\n".join(f"{key} = {json.dumps(value)}" for key, value in table.items())


# what happened


def test_a_suite_at_work_tells_its_stages_its_sizes_and_its_week(make_suite: Callable[..., Suite]) -> None:
    suite = make_suite()
    (suite.root / "a.md").write_text("# A\n")
    suite.start()
    suite.idle()
    (suite.root / "b.py").write_text("import os\n")
    (suite.root / "a.md").write_text("# B\n")
    suite.idle()
    suite.run("reconcile", config=True)
    suite.run("backup", "snapshot", config=True)
    suite.stop()  # the worker keeps its figures when it ends
    stages = {one["stage"]: one for one in report(suite, "performance", "--json").json["stages"]}
    assert stages.keys() >= {"wait_s", "look_s", "scan_s", "commit_s", "change_s", "detect_s"}
    assert stages["change_s"]["most"] >= stages["detect_s"]["p50"] > 0
    assert stages["change_s"]["most"] < 3600, "not since 1970, as if a file read soon after its change had no time"
    performance = report(suite, "performance", "--json").json
    assert {one["extractor"] for one in performance["extractors"]} >= {"markdown/1", "python/1"}
    assert performance["throughput"]["bytes_hashed"] >= 14 and performance["throughput"]["commits"] >= 3
    things = {(one["what"], one["subject"]): one for one in report(suite, "capacity", "--json").json["things"]}
    assert (things["root", "tree"]["files"], things["root", "tree"]["bytes"]) == (2, 14)
    assert things["database", "registry"]["bytes"] > 10_000 and things["backup", "snapshots"]["bytes"] > 1000
    assert things["disk", "backups"]["limit_bytes"] > things["disk", "state"]["bytes"] > 0
    week = report(suite, "weekly", "--json").json
    assert week["changes"]["roots"]["tree"]["added"] == 2 and week["changes"]["roots"]["tree"]["described"] == 3
    assert [one["fault"] for one in week["backups"] if one["name"] == "snapshot"] == [""]


def test_what_failed_is_in_the_report_with_its_reason_and_a_harmless_example(still: Suite) -> None:
    find(still, "corrupt", NASTY, reason="password=hunter2 read")
    still.run("note-failure", "autoops-worker.service")
    told = report(still, "errors", "--trend")
    assert "critical  finding corrupt" in told.out and "unit_failed" in told.out and "hunter2" not in told.out
    assert "docs/<img src=x onerror=alert(1)>" in told.out and "\x1b" not in told.out and "\nBcc" not in told.out
    facts = report(still, "errors", "--last", "7d", "--trend", "--json").json
    assert facts["counts"]["finding"] == 2 and sum(facts["trend"]["counts"]["finding"]) == 2
    page = report(still, "weekly", "--format", "html").out
    assert "<img" not in page and "&lt;img src=x onerror=alert(1)&gt;" in page and "default-src 'none'" in page


def test_a_dash_is_standard_output_and_no_file(still: Suite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert report(still, "weekly", "--to", "-").out.startswith("autoops")
    assert not (tmp_path / "-").exists()


def test_sizes_are_kept_once_a_day(still: Suite) -> None:
    for _ in range(2):
        still.run("reconcile", config=True)
    with Database.open(still.state / "queue/queue.db", SCHEMA, mode="ro") as database:
        assert len([one for one in Extents(database).since(0) if one.what == "root"]) == 1
    still.run("reconcile", "--report", config=True)  # which writes nothing
    with Database.open(still.state / "queue/queue.db", SCHEMA, guard=True) as database:
        Extents(database).record([Extent("disk", "x", 1000, 1, None, 2)])
    assert [one["subject"] for one in report(still, "capacity", "--json").json["things"] if one["what"] == "disk"] == [
        "state",
        "tree",
    ]


# states that are not well


def test_an_empty_state_has_every_report(make_suite: Callable[..., Suite]) -> None:
    suite = make_suite()
    suite.run("migrate")
    for name in REPORTS:
        assert report(suite, name, "--json").json["report"] == name
    suite.once()


def test_a_paused_state_has_every_report_and_the_weekly_one_says_so(still: Suite) -> None:
    (still.state / ".maintenance").write_text('why = "upgrade"\n')
    for name in REPORTS:
        assert report(still, name).out
    assert "a maintenance window is open" in report(still, "weekly").out and "upgrade" in report(still, "weekly").out
    (still.state / ".maintenance").unlink()


def test_of_a_damaged_queue_the_rest_is_told_and_the_code_is_3(still: Suite) -> None:
    queue = still.state / "queue/queue.db"
    good = queue.read_bytes()
    for beside in still.state.glob("queue/queue.db-*"):
        beside.unlink()
    queue.write_bytes(b"garbage" * 1000)
    for name in REPORTS[:3]:
        told = report(still, name, code=3)
        assert "Cannot tell" in told.err and "queue.db is damaged" in told.err and told.out == ""
    week = report(still, "weekly", code=3)
    assert "cannot be told" in week.out and "tree  1" in week.out, "the ledger is told"
    queue.write_bytes(good)


def test_of_a_damaged_registry_the_queue_is_told_and_the_code_is_3(still: Suite) -> None:
    registry = still.state / "registry/registry.db"
    good = registry.read_bytes()
    for beside in still.state.glob("registry/registry.db-*"):
        beside.unlink()
    find(still, "corrupt", b"tree\0a.txt")
    registry.write_bytes(good[:100] + b"x" * (len(good) - 100))
    assert "corrupt" in report(still, "errors").out
    week = report(still, "weekly", code=3)
    assert "finding corrupt" in week.out and "cannot be told: " in week.out
    facts = json.loads(report(still, "weekly", "--json", code=3).out)
    assert "cannot" in facts["changes"] and facts["errors"]["counts"]["finding"] == 1
    registry.write_bytes(good)
    with Database.open(still.state / "queue/queue.db", SCHEMA, guard=True) as database:
        Findings(database).close([("corrupt", b"tree\0a.txt")], int(time.time()))


def test_a_state_that_is_not_there_is_a_storage_error(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "autoops", "report", "weekly", "--state", str(tmp_path / "no")],
        capture_output=True,
        env=environment(),
    )
    assert ran.returncode == 6 and b"autoops migrate" in ran.stderr


# into a file


def test_a_file_is_written_whole_and_a_link_is_not_followed(still: Suite, tmp_path: Path) -> None:
    page, victim = tmp_path / "week.html", tmp_path / "victim"
    report(still, "weekly", "--format", "html", "--to", page)
    assert page.read_text().startswith("<!doctype html>") and page.stat().st_mode & 0o777 == 0o640
    victim.write_text("mine")
    (tmp_path / "link").symlink_to(victim)
    told = report(still, "weekly", "--to", tmp_path / "link", code=4)
    assert "it is a link" in told.err and victim.read_text() == "mine"
    assert "would be written" in report(still, "weekly", "--to", tmp_path / "not", "--dry-run").out
    assert not (tmp_path / "not").exists()
    assert "make its directory first" in report(still, "weekly", "--to", tmp_path / "no/where", code=4).err


# by mail


def test_the_weekly_report_comes_by_mail_as_text_with_the_page_beside_it(still: Suite, server: MailSink) -> None:
    with_mail(still, server)
    find(still, "not_renamed", NASTY)
    told = still.run("report", "weekly", "--mail", config=True)
    assert "to: mail" in told.out
    alert(still)
    (mail,) = [one for one in server.mails() if "weekly report" in one["Subject"]]
    assert mail["Bcc"] is None and mail["Subject"].isprintable()
    text, page = mail.get_body(("plain", "html")), list(mail.iter_attachments())
    assert text is not None and "Backups and drills" in text.get_content() and r"\x40everyone" in text.get_content()
    assert [one.get_filename() for one in page] == ["weekly.html"]
    assert b"<!doctype html>" in (page[0].get_payload(decode=True) or b"")
    alert(still)
    assert len([one for one in server.mails() if "weekly report" in one["Subject"]]) == 1, "once"


def test_without_a_channel_that_takes_it_nothing_is_sent_and_that_is_said(still: Suite) -> None:
    told = still.run("report", "weekly", "--mail", config=True, code=4)
    assert "no channel takes a report" in told.err and not (still.state / "queue/weekly.json").exists()


def test_it_is_sent_by_itself_once_a_week_and_not_before(still: Suite, server: MailSink) -> None:
    with_mail(still, server, weekly=True)

    def reports() -> int:
        return len([one for one in server.mails() if "weekly report" in one["Subject"]])

    alert(still)
    memory = still.state / "queue/weekly-memory.json"
    assert reports() == 0 and letter.recall(memory) is not None, "the first one comes with the next digest"
    letter.remember(memory, Memory(time.time() - 8 * 86400, 0.0))
    alert(still)
    assert reports() == 1
    alert(still)
    assert reports() == 1


def test_a_report_that_cannot_be_written_is_a_finding_and_alerts_go_on(still: Suite, server: MailSink) -> None:
    with_mail(still, server, weekly=True)
    memory = still.state / "queue/weekly-memory.json"
    letter.remember(memory, Memory(time.time() - 8 * 86400, 0.0))
    (still.state / "queue/weekly.html").mkdir()  # in its place
    still.run("note-failure", "autoops-worker.service")
    alert(still)
    (found,) = still.findings("report_failed")
    assert "weekly" in found["detail"]["reason"]
    assert any("unit_failed" in one["Subject"] for one in server.mails())
    (still.state / "queue/weekly.html").rmdir()
    alert(still)  # within the hour nothing is tried again
    assert still.findings("report_failed")
    letter.remember(memory, Memory(time.time() - 8 * 86400, time.time() - 3700))
    alert(still)
    assert still.findings("report_failed") == []


def test_a_kill_right_after_the_outbox_loses_no_report(still: Suite, server: MailSink) -> None:
    with_mail(still, server)
    still.environment = {"AUTOOPS_TRACE": "alert:enqueued:1"}
    still.run("report", "weekly", "--mail", config=True, code=-9)
    still.environment = {}
    alert(still)
    assert len([one for one in server.mails() if "weekly report" in one["Subject"]]) == 1
