"""Alerts end to end: the real program, real receivers that take, stall, redirect and lie, and a queue that cannot be used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from running import environment, program
from sinks import MailSink, WebSink
from suites import tmpfs
from telling import NASTY, SECRET, Told, alerts_of, hook, require_masked

from autoops.alert.channels import Channel
from autoops.alert.deliver import send_now
from autoops.alert.message import Message
from autoops.store.database import Database
from autoops.store.queue import SCHEMA

# one message


def test_a_failed_unit_is_told_once_and_its_recovery_once(told: Told, sink: WebSink) -> None:
    told.channels(hook(sink))
    told.run("note-failure", "autoops-worker.service")
    for _ in range(3):
        told.alert()
    assert alerts_of(sink, "unit_failed") == [("firing", "autoops-worker.service")]
    told.settle(b"autoops-worker.service")
    for _ in range(3):
        told.alert()
    assert alerts_of(sink, "unit_failed") == [("firing", "autoops-worker.service"), ("resolved", "autoops-worker.service")]
    keys = [one.headers["Idempotency-Key"] for one in sink.posted("ok")]
    assert len(keys) == len(set(keys))


def test_why_tells_what_became_of_it_and_no_secret(told: Told, sink: WebSink) -> None:
    told.channels(hook(sink), hook(sink, "broken", "bad"))
    told.find(b"autoops-worker.service")
    ran = told.alert()
    why = told.run("alerts", "why", told.fingerprint("unit_failed"))
    assert "told: it fires" in why.out and "to hook (firing, sent)" in why.out
    assert "to bad (firing, queued)" in why.out and "it answered 500" in why.out
    listed = told.run("alerts", "list")
    assert "not sent: to bad (critical), queued" in listed.out
    shown = told.run("alerts", "show", told.fingerprint("unit_failed"))
    assert "to hook (firing, sent)" in shown.out
    require_masked(ran, why, listed, shown)


def test_a_message_by_mail_has_one_header_of_each_and_the_hostile_name_in_its_body(told: Told, tmp_path: Path) -> None:
    server = MailSink(tmp_path)
    try:
        url = f"mailto://127.0.0.1:{server.port}?from=autoops@example.com&to=admins@example.com"
        told.channels({"name": "mail", "url": url, "allow_private": True, "timeout_s": 60})
        told.find(NASTY, kind="corrupt", reason="\r\nBcc: all@example.com\x1b[2J")
        told.alert()
        (mail,) = [one for one in server.mails() if "corrupt" in one["Subject"]]
    finally:
        server.close()
    assert mail["Bcc"] is None and mail.get_all("To") == ["admins@example.com"]
    assert mail["Subject"].isprintable() and len(mail.get_all("Subject") or []) == 1
    part = mail.get_body(("plain", "html"))
    assert part is not None
    text = part.get_content()
    assert "\x1b" not in text and "<b>" not in text and r"\x0d\x0aBcc" in text


def test_a_message_to_ntfy_is_json_and_no_name_is_markup(told: Told, sink: WebSink) -> None:
    url = f"ntfy://127.0.0.1:{sink.port}/{SECRET}"
    told.channels({"name": "ntfy", "url": url, "allow_private": True, "timeout_s": 60})
    told.find(NASTY, kind="corrupt")
    ran = told.alert()
    (posted,) = [one for one in sink.posted() if "corrupt" in one.body]
    said = posted.json
    assert said["topic"] == SECRET and "corrupt" in said["title"] and r"\x40everyone" in said["message"]
    require_masked(ran, told.run("alerts", "list"))


def test_hostile_names_arrive_whole_and_harmless_in_the_payload(told: Told, sink: WebSink) -> None:
    told.channels(hook(sink))
    told.find(NASTY, kind="corrupt", reason="\x1b]0;x\x07" + "y" * 100_000)
    told.alert()
    ((_, subject),) = alerts_of(sink, "corrupt")
    assert subject.startswith(r"docs/a\x0d\x0aBcc: all@example.com\x0d\x0a\x0d\x0a\x1b[2J<b>") and subject.isprintable()
    assert len(sink.posted("ok")[0].body) < 50_000


# many


def test_ten_thousand_findings_are_one_message_for_each_channel_and_a_critical_one_is_a_message_of_its_own(
    told: Told, sink: WebSink
) -> None:
    told.channels(hook(sink), hook(sink, "ok/second", "second"), repeat_s=60)
    told.find(*(b"docs\0%d" % number for number in range(10_000)), kind="registry_mismatch")
    told.find(b"autoops-worker.service")
    told.alert()
    assert [one.json["groupLabels"]["severity"] for one in sink.posted("ok")].count("warning") == 0  # they wait for the morning
    with Database.open(told.state / "queue/queue.db", SCHEMA, guard=True) as database, database.transaction() as tx:
        assert tx.execute("UPDATE alert SET due_s = 1 WHERE severity = 'warning' AND state = 'firing'") >= 10_000
    told.find(b"autoops-watcher.service")
    told.alert()
    for path in (f"ok/{SECRET}", f"ok/second/{SECRET}"):
        posted = [one.json for one in sink.posted(path)]
        warnings = [one for one in posted if one["groupLabels"]["severity"] == "warning"]
        assert len(warnings) == 1 and warnings[0]["truncatedAlerts"] >= 9_980 and len(warnings[0]["alerts"]) == 20
        order = [one["groupLabels"]["severity"] for one in posted]
        assert order.index("warning") == len(order) - 1  # the critical ones were told before
        subjects = [alert["labels"]["subject"] for one in posted for alert in one["alerts"]]
        assert subjects.count("autoops-watcher.service") == 1


# channels that are not there


def test_a_dead_channel_is_told_to_the_others_and_when_it_is_back_that_too(told: Told, sink: WebSink) -> None:
    good = hook(sink)
    told.channels(hook(sink, "broken", "bad"), good, dead_after_s=0)
    told.find(b"autoops-worker.service")
    told.alert()
    told.alert()
    assert alerts_of(sink, "channel_dead") == [("firing", "bad")]
    told.channels(hook(sink, "ok/again", "bad"), good, dead_after_s=0)
    told.run("alerts", "test", "bad", "--config", told.config)
    told.alert()
    assert alerts_of(sink, "channel_dead", f"ok/{SECRET}") == [("firing", "bad"), ("resolved", "bad")]


def test_what_waited_for_a_channel_is_one_message_when_it_is_back(told: Told, sink: WebSink) -> None:
    told.channels(hook(sink, "broken"), retry_first_s=0, retry_max_s=0)
    for number in range(4):
        told.find(b"autoops-%d.service" % number)
        told.alert()
    told.settle(b"autoops-0.service")
    told.alert()
    told.channels(hook(sink), retry_first_s=0, retry_max_s=0)
    told.alert()
    (posted,) = sink.posted("ok")
    found = sorted(alerts_of(sink, "unit_failed"))
    assert found == [*(("firing", f"autoops-{n}.service") for n in (1, 2, 3)), ("resolved", "autoops-0.service")]
    assert posted.json["status"] == "firing"


# the address


def test_an_address_may_be_a_credential(told: Told, sink: WebSink, tmp_path: Path) -> None:
    (tmp_path / "autoops-channel.hook").write_text(sink.url(f"ok/{SECRET}") + "\n")
    told.channels({"name": "hook", "kind": "alertmanager", "url_credential": "hook", "allow_private": True})
    told.find(b"autoops-worker.service")
    told.alert(CREDENTIALS_DIRECTORY=str(tmp_path))
    assert alerts_of(sink, "unit_failed")


def test_a_credential_that_is_not_there_is_told_by_why_and_doctor(told: Told) -> None:
    told.channels({"name": "hook", "kind": "alertmanager", "url_credential": "/nowhere/at-all"})
    told.find(b"autoops-worker.service")
    told.alert()
    wanted = "its address cannot be read from /nowhere/at-all: No such file or directory"
    assert wanted in told.run("alerts", "why", told.fingerprint("unit_failed")).out
    doctor = subprocess.run(
        [*program(), "doctor", "--state", told.state, "--config", told.config], capture_output=True, text=True, env=environment()
    )
    assert f"channel hook: {wanted}" in doctor.stdout


def test_an_address_that_nobody_will_connect_to_is_told_by_doctor(told: Told) -> None:
    hosts = {"metadata": "169.254.169.254", "here": "localhost", "v6": "[::1]", "named": "hooks.example.com", "public": "1.1.1.1"}
    channels = [{"name": name, "kind": "alertmanager", "url": f"http://{host}/{SECRET}"} for name, host in hosts.items()]
    told.channels(*channels, {"name": "may", "kind": "alertmanager", "url": "http://127.0.0.1/", "allow_private": True})
    doctor = subprocess.run(
        [*program(), "doctor", "--json", "--state", told.state, "--config", told.config],
        capture_output=True,
        text=True,
        env=environment(),
    )
    found = {one["name"]: one for one in json.loads(doctor.stdout)["checks"] if one["name"].startswith("channel ")}
    bad = {name.removeprefix("channel ") for name, one in found.items() if one["level"] != "OK"}
    assert bad == {"metadata", "here", "v6"} and len(found) == 6 and SECRET not in doctor.stdout
    assert "nobody will connect to 169.254.169.254: link-local" in found["channel metadata"]["text"]
    assert "allow_private = true" in found["channel here"]["text"]


def test_without_apprise_the_error_says_what_to_install(told: Told, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(
        "import importlib.util as u\nreal = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'apprise' else real(name, *rest)\n"
    )
    told.channels({"name": "json", "url": "json://192.0.2.1/x"})
    told.find(b"autoops-worker.service")
    told.alert(PYTHONPATH=str(tmp_path / "site"))
    assert "apt install apprise" in told.run("alerts", "why", told.fingerprint("unit_failed")).out


def test_the_configuration_is_shown_without_addresses(told: Told, sink: WebSink) -> None:
    told.channels(hook(sink))
    shown = subprocess.run(
        [*program(), "config", "show", "--config", told.config], capture_output=True, text=True, env=environment()
    )
    assert "https://removed.invalid/" in shown.stdout and SECRET not in shown.stdout


# what people do


def test_silenced_acknowledged_and_tested_by_hand(told: Told, sink: WebSink) -> None:
    told.channels(hook(sink))
    told.find(b"autoops-worker.service")
    assert told.run("alerts", "silence", "finding:unit_failed:*", "--for", "2h", "--why", "upgrade").out.startswith(
        "silence 1 until"
    )
    told.alert()
    assert alerts_of(sink, "unit_failed") == []
    one = told.fingerprint("unit_failed")
    said = told.run("alerts", "why", one).out
    assert "silence 1 by" in said and "nothing was sent" in said and "as soon as nothing keeps it quiet" in said
    assert "upgrade" in told.run("alerts", "list", "--silences").out
    told.run("alerts", "unsilence", "1")
    told.alert()
    assert len(alerts_of(sink, "unit_failed")) == 1
    assert "to be told again: 2" in told.run("alerts", "why", one).out
    told.run("alerts", "ack", one[:6])
    assert "to be told" not in told.run("alerts", "why", one).out
    told.alert()
    assert "acknowledged by" in told.run("alerts", "why", one).out
    assert "taken by hook" in told.run("alerts", "test", "hook", "--config", told.config).out
    assert alerts_of(sink, "test") == [("firing", "")]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("why", "ffff"), 1, "No alert has a fingerprint"),
        (("ack", "../../etc"), 1, "No alert has a fingerprint"),
        (("silence", "everything", "--for", "2h", "--why", "x"), 2, "neither a fingerprint nor a glob"),
        (("silence", "a:b:c", "--for", "soon", "--why", "x"), 2, "is no span of time"),
        (("silence", "a:b:c", "--for", "0h", "--why", "x"), 2, "is no span of time"),
        (("silence", "a:b:c", "--for", "999999w", "--why", "x"), 2, "is too long: a year at most"),
        (("unsilence", "7"), 1, "No silence in force"),
        (("test", "x\x1b[2J"), 2, r"No channel is called x\x1b[2J"),
    ],
)
def test_what_makes_no_sense_gets_a_clear_error(told: Told, arguments: tuple[str, ...], code: int, said: str) -> None:
    answer = told.run("alerts", *arguments, code=code)
    assert said in answer.err and "Traceback" not in answer.err


# without a store


def test_a_channel_can_be_tried_when_the_queue_is_damaged(told: Told, sink: WebSink) -> None:
    told.channels(hook(sink), hook(sink, "broken", "bad"))
    (told.state / "queue/queue.db").write_bytes(b"SQLite format 3\0" + os.urandom(8192))
    answer = told.run("alerts", "test", "hook", "--config", told.config)
    assert "taken by hook" in answer.out and "there is no receipt of it" in answer.err
    assert alerts_of(sink, "test") == [("firing", "")]
    assert "it answered 500" in told.run("alerts", "test", "bad", "--config", told.config, code=1).err


def test_a_damaged_queue_is_told_without_it_once_an_hour(told: Told, sink: WebSink) -> None:
    told.channels(hook(sink))
    (told.state / "queue/queue.db").write_bytes(b"SQLite format 3\0" + os.urandom(8192))
    for _ in range(3):
        ran = told.alert(code=6)
    assert [status for status, _ in alerts_of(sink, "database")] == ["firing"]
    require_masked(ran)
    stamp = told.state / "queue/alerts.emergency"
    os.utime(stamp, (0, time.time() - 3601))
    told.alert(code=6)
    assert len(alerts_of(sink, "database")) == 2
    assert len({one.headers["Idempotency-Key"] for one in sink.posted()}) == 2, "it is no doubled one"


def test_a_sender_that_cannot_be_started_is_a_channel_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    channel = Channel("hook", "alertmanager", "http://127.0.0.1:9/x", True, 5.0)
    said = send_now(channel, Message(0, "host", "hook", "critical", (), {}, "runbook"))
    assert said == "its sender cannot be started: No such file or directory"


def test_a_full_disk_is_told_without_the_queue(told: Told, sink: WebSink, tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", "2m") as disk:
        told.state = disk / "state"
        told.run("migrate")
        told.channels(hook(sink))
        told.find(b"autoops-worker.service")
        with (disk / "fill").open("wb", buffering=0) as fill, pytest.raises(OSError, match="No space left"):
            while True:
                fill.write(b"x" * 4096)
        told.alert(code=6)
        assert ("firing", "autoops-worker.service") in alerts_of(sink, "unit_failed")
        assert alerts_of(sink, "disk")
