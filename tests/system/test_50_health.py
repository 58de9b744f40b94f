"""Trees that need an opening in the sandbox, failures that leave word, and the health check by timer and by cron."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from machine import DAEMONS, Machine


def last_health(machine: Machine) -> dict[str, Any]:
    """Return what the last run found."""
    return dict(json.loads(machine.path("/var/lib/autoops/queue/last-health.json").read_text()))


def findings(machine: Machine, kind: str) -> list[dict[str, Any]]:
    return [one for one in json.loads(machine.run("autoops", "findings", "--json").out) if one["kind"] == kind]


def test_a_root_in_a_home_is_opened_by_a_drop_in_and_closed_again(machine: Machine) -> None:
    tree = machine.path("/home/papers")
    tree.mkdir(parents=True)
    (tree / "letter.txt").write_text("from home\n")
    shown = machine.run("autoops", "root", "add", "--dry-run", "/home/papers").out
    assert "BindReadOnlyPaths=" in shown and not machine.path("/etc/systemd/system/autoops-worker.service.d").exists()
    machine.run("autoops", "root", "add", "/home/papers")
    machine.require_disk_registered("/home/papers")
    machine.run("autoops", "root", "remove", "/home/papers")
    machine.require_disk_registered("/srv/docs")
    assert not list(machine.path("/etc/systemd/system").glob("autoops-*.service.d/root-*.conf"))


def test_a_root_with_policy_rename_is_writable_for_the_worker_alone(machine: Machine) -> None:
    tree = machine.path("/srv/renamed")
    tree.mkdir()
    machine.run("chown", "autoops:", "/srv/renamed")
    machine.run("autoops", "root", "add", "/srv/renamed", "--policy", "rename")
    (tree / "report.txt").write_text("a report\n")
    machine.until(lambda: [path.name[16:] for path in tree.iterdir()] == ["_report.txt"], "the file has its ID in front")
    machine.require_disk_registered("/srv/renamed")
    machine.run("autoops", "root", "remove", "/srv/renamed")
    machine.require_disk_registered("/srv/docs")


def test_the_health_check_is_content(machine: Machine) -> None:
    machine.run("systemctl", "start", "autoops-health.service", code=None)
    said = "\n".join(str(record["MESSAGE"]) for record in machine.journal("-u", "autoops-health", "_COMM=autoops-health"))
    assert machine.property("autoops-health", "Result") == "success", said


def test_its_output_is_what_the_monitoring_plugins_own_parser_expects(machine: Machine) -> None:
    machine.fetched("libmonitoring-plugin-perl")
    answer = machine.run("autoops-health", code=None)
    said, _, figures = answer.out.splitlines()[0].partition("|")
    assert answer.code in (0, 1, 2, 3) and said.startswith(f"AUTOOPS {('OK', 'WARNING', 'CRITICAL', 'UNKNOWN')[answer.code]}: ")
    script = "print join('|', map { $_ // '' } ($_->label, $_->value, $_->uom, $_->warning, $_->critical)), qq(\\n)"
    script = f"{script} for Monitoring::Plugin::Performance->parse_perfstring($ARGV[0])"
    parsed = machine.run("perl", "-MMonitoring::Plugin::Performance", "-e", script, figures).out.splitlines()
    read = {label: rest for label, *rest in (line.split("|") for line in parsed)}
    ours = [figure for check in last_health(machine)["checks"] for figure in check["figures"]]
    assert read.keys() == {figure["label"] for figure in ours} and len(read) > 10
    assert read["disk_used"][1:] == ["%", "80", "95"] and 0 < float(read["disk_used"][0]) <= 100


def test_the_unit_reads_all_that_it_checks_from_inside_its_sandbox(machine: Machine) -> None:
    machine.run("systemctl", "start", "autoops-health.service", code=None)
    checks = {one["name"]: one for one in last_health(machine)["checks"]}
    assert not [one for one in checks.values() if "the check itself failed" in one["text"] or one["level"] == "UNKNOWN"]
    for name in ("memory", "load", "clock", "response", "digest", "key", "certificates", "disk", "inodes"):
        assert checks[name]["level"] in ("OK", "WARNING", "CRITICAL") and checks[name]["text"]
    assert checks["memory"]["figures"] and checks["load"]["figures"] and checks["response"]["figures"]


@pytest.mark.parametrize("tree", ["/srv/flown", "/home/flown", "/var/tmp/flown"])
def test_a_canary_flies_from_the_sandbox_of_the_check_into_the_registry(machine: Machine, tree: str) -> None:
    machine.run("install", "-d", "-m", "755", tree)
    machine.run("autoops", "root", "add", tree, "--canary")
    try:
        canary = f"{tree}/.autoops-canary"
        assert machine.run("stat", "-c", "%U %a", canary).out == "autoops 640\n", "root made it for the services"
        machine.idle()

        def is_seen() -> bool:
            machine.run("systemctl", "start", "autoops-health.service", code=None)
            check = next(one for one in last_health(machine)["checks"] if one["name"] == "canary")
            assert check["level"] == "OK", check
            return "into the registry" in check["text"] and machine.run("cat", canary).out.startswith("autoops writes this file")

        machine.until(is_seen, "the registry has it")
        machine.until(lambda: flown(machine, tree), "it was seen to be there")
        assert machine.run("ls", "-A", tree).out == ".autoops-canary\n"
    finally:
        machine.run("autoops", "root", "remove", tree)
    assert not machine.path(f"/etc/systemd/system/autoops-health.service.d/root-{tree[1:].replace('/', '-')}.conf").exists()


def flown(machine: Machine, root: str) -> bool:
    """Run the check, and say whether it has seen the canary of a root in the registry."""
    machine.run("systemctl", "start", "autoops-health.service", code=None)
    return bool(json.loads(machine.path("/var/lib/autoops/queue/canary.json").read_text())[root][2])


def test_somebody_far_away_is_told_of_each_run_and_the_check_itself_has_no_network(machine: Machine) -> None:
    heard = machine.path("/root/heard")
    machine.path("/root/listener.py").write_text(LISTENER)
    machine.run("systemd-run", "--unit=listener", "/usr/bin/python3", "/root/listener.py", "/root/heard")
    machine.path("/etc/autoops/heartbeat-url").write_text("http://127.0.0.1:8099/secret-id\n")
    machine.sh("chmod 600 /etc/autoops/heartbeat-url; mkdir -p /etc/systemd/system/autoops-health-ping@.service.d")
    dropin = machine.path("/etc/systemd/system/autoops-health-ping@.service.d/url.conf")
    dropin.write_text("[Service]\nLoadCredential=heartbeat-url:/etc/autoops/heartbeat-url\n")
    units = ("autoops-health-ping@start.service", "autoops-health-ping@end.service")
    machine.sh(f"systemctl daemon-reload; systemctl enable {' '.join(units)}")
    try:
        machine.run("systemctl", "start", "autoops-health.service", code=None)
        code = last_health(machine)["code"]
        machine.until(lambda: heard.exists() and len(heard.read_text().splitlines()) >= 2, "both were heard")
        assert heard.read_text().splitlines()[:2] == ["/secret-id/start", f"/secret-id/{code}"]
        machine.run("systemctl", "stop", "listener")
        machine.run("systemctl", "start", units[1])
        said = "\n".join(str(one["MESSAGE"]) for one in machine.journal("-u", units[1]))
        assert "http://127.0.0.1/... was not told: Connection refused" in said and "secret-id" not in said
        assert machine.property(units[1], "Result") == "success"
    finally:
        machine.sh(f"systemctl disable {' '.join(units)}; systemctl stop listener || true")
        dropin.unlink()
        machine.run("systemctl", "daemon-reload")


LISTENER = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Listener(BaseHTTPRequestHandler):
    def do_POST(self):
        with open(sys.argv[1], "a") as heard:
            heard.write(self.path + chr(10))
        self.send_response(200)
        self.end_headers()
HTTPServer(("127.0.0.1", 8099), Listener).serve_forever()
"""


def test_figures_are_written_where_node_exporter_looks_for_them(machine: Machine) -> None:
    config = machine.path("/etc/autoops/autoops.toml")
    before = config.read_text()
    machine.sh("install -d -m 755 -o autoops /var/lib/prometheus/node-exporter")
    config.write_text(f'{before}\n[health]\ntextfile = "/var/lib/prometheus/node-exporter/autoops.prom"\n')
    try:
        machine.run("systemctl", "start", "autoops-health.service", code=None)
        text = machine.path("/var/lib/prometheus/node-exporter/autoops.prom").read_text()
        assert "autoops_health_status " in text and 'autoops_health_check_status{check="worker"} 0.0' in text
    finally:
        config.write_text(before)
        machine.sh("rm -f /var/lib/prometheus/node-exporter/autoops.prom")


def test_a_failed_unit_leaves_word_in_the_journal_and_as_a_finding(machine: Machine) -> None:
    machine.run("systemctl", "kill", "--kill-whom=main", "--signal=SIGKILL", "autoops-watcher")
    machine.until(lambda: findings(machine, "unit_failed"), "a finding was opened")
    (found,) = findings(machine, "unit_failed")
    assert "autoops-watcher.service" in json.dumps(found)
    assert machine.journal("AUTOOPS_EVENT=unit_failed", "--priority=err")
    machine.until(lambda: all(machine.is_active(daemon) for daemon in DAEMONS), "the daemons run again")


def test_cron_hears_of_trouble_and_is_not_bothered_otherwise(machine: Machine, said_to_cron: Path) -> None:
    machine.until(lambda: "status" in said_to_cron.read_text(), "cron has run it")
    *complaints, status = said_to_cron.read_text().splitlines()
    assert (status == "status 0") == (complaints == []), (complaints, status)
    machine.path("/etc/cron.d/autoops-health-check").unlink()
    said_to_cron.unlink()
