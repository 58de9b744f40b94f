"""Alerts on a booted machine: from the failure of a unit to a sink, by the shipped units alone."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from machine import FAILING, Machine

CONFIG = """
[[channel]]
name = "sink"
kind = "alertmanager"
url_credential = "sink"
allow_private = true
"""
SINK = """
import http.server, json, time
class Sink(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with open("/var/tmp/told", "a") as out:
            out.write(json.dumps({"at_s": time.time(), "path": self.path, "payload": json.loads(body)}) + "\\n")
        self.send_response(200)
        self.end_headers()
http.server.ThreadingHTTPServer(("127.0.0.1", 9099), Sink).serve_forever()
"""
TIMES = 20


@pytest.fixture(scope="module", autouse=True)
def sink(machine: Machine) -> Iterator[None]:
    """A receiver of webhooks in the machine, named by a credential."""
    file = machine.path("/etc/autoops/autoops.toml")
    good = file.read_text()
    machine.path("/srv/sink.py").write_text(SINK)
    machine.path("/etc/credstore").mkdir(exist_ok=True)
    credential = machine.path("/etc/credstore/autoops-channel.sink")
    credential.write_text("http://127.0.0.1:9099/secret-path\n")
    credential.chmod(0o600)
    machine.run("systemd-run", "--unit=sink", "/usr/bin/python3", "/srv/sink.py")
    for number in range(TIMES):
        machine.path(f"/etc/systemd/system/autoops-breaks-{number}.service").write_text(FAILING)
    file.write_text(good + CONFIG)
    machine.run("systemctl", "daemon-reload")
    yield
    file.write_text(good)
    machine.sh("systemctl stop sink; rm -f /etc/systemd/system/autoops-breaks-*.service /etc/credstore/autoops-channel.sink")
    machine.sh("systemctl daemon-reload; systemctl reset-failed 'autoops-*' || :; systemctl start autoops-health || :")


def told(machine: Machine, subject: str, status: str = "firing") -> list[float]:
    """Return when the sink was told that an alert about a subject fires, or is resolved."""
    file = machine.path("/var/tmp/told")
    messages = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return [
        one["at_s"]
        for one in messages
        for alert in one["payload"]["alerts"]
        if alert["labels"]["subject"] == subject and alert["status"] == status
    ]


def test_the_failure_of_a_unit_is_told_at_once(machine: Machine) -> None:
    took_s = []
    for number in range(TIMES):
        unit = f"autoops-breaks-{number}.service"
        began_s = time.time()
        machine.run("systemctl", "start", unit, code=None)
        machine.until(lambda unit=unit: told(machine, unit), f"the sink heard of {unit}")
        took_s.append(told(machine, unit)[0] - began_s)
    took_s.sort()
    print(f"from the failure to the sink: p50 {took_s[len(took_s) // 2]:.2f} s, longest of {TIMES} {took_s[-1]:.2f} s")


def test_a_unit_that_failed_and_runs_well_again_is_told_as_resolved(machine: Machine) -> None:
    unit = "autoops-verify.service"
    broken = machine.path(f"/etc/systemd/system/{unit}.d/broken.conf")
    broken.parent.mkdir(parents=True)
    broken.write_text("[Service]\nExecStart=\nExecStart=/usr/bin/false\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", unit, code=None)
    machine.until(lambda: told(machine, unit), f"the sink heard of {unit}")
    broken.unlink()
    broken.parent.rmdir()
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", unit)
    machine.until(lambda: told(machine, unit, "resolved"), f"the sink heard that {unit} runs well")
    machine.run("systemctl", "start", unit)
    started = [one for one in machine.journal() if "ran well" in str(one.get("MESSAGE"))]
    assert len(started) == 1, "with nothing to close nothing is started, and nothing is said"


def test_the_address_is_in_no_log_and_no_answer(machine: Machine) -> None:
    fingerprint = json.loads(machine.run("autoops", "alerts", "--json").out)["alerts"][0]["fingerprint"]
    said = machine.run("autoops", "alerts", "why", fingerprint).out + machine.run("autoops", "doctor", code=None).out
    said += json.dumps(machine.journal("-u", "autoops-alerts.service"))
    assert "to sink" in said and "secret-path" not in said


def test_a_channel_is_tried_by_hand_and_without_a_sink_says_why(machine: Machine) -> None:
    assert "taken by sink" in machine.run("autoops", "alerts", "test", "sink").out
    machine.run("systemctl", "stop", "sink")
    answer = machine.run("autoops", "alerts", "test", "sink", code=1)
    assert "refused" in answer.err and "secret-path" not in answer.err
    machine.run("systemd-run", "--unit=sink", "/usr/bin/python3", "/srv/sink.py")


def test_without_a_queue_it_is_told_once_an_hour(machine: Machine) -> None:
    queue = "/var/lib/autoops/queue/queue.db"
    machine.stop()
    machine.sh(f"mv {queue} {queue}.aside; echo garbage >{queue}; chown autoops: {queue}")
    try:
        before = len(machine.path("/var/tmp/told").read_text().splitlines())
        for _ in range(2):
            machine.run("systemctl", "start", "autoops-alerts.service", code=None)
        messages = machine.path("/var/tmp/told").read_text().splitlines()[before:]
        assert len(messages) == 1 and "database" in messages[0], messages
    finally:
        machine.sh(f"rm -f {queue}*-wal {queue}*-shm; mv {queue}.aside {queue}; systemctl reset-failed 'autoops-*' || :")
        machine.sh("rm -f /run/autoops-alerts/alerts.emergency; systemctl start autoops.target")
