"""Playbooks with the real programs: one that repairs, ones that do not, and what bounds them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from playing import TROUBLE, Played
from running import environment

from autoops import config
from autoops.cli import live
from autoops.clock import exists
from autoops.playbook import broker
from autoops.store.database import Database
from autoops.store.queue import SCHEMA


@pytest.fixture
def played(tmp_path: Path) -> Played:
    return Played(tmp_path)


# one that repairs


def test_a_trouble_is_repaired_and_the_check_that_told_of_it_is_asked_again(played: Played) -> None:
    key = played.state / "ledger.key"
    mend = {"when": "health:permissions", "remedy": "command", "command": ["/bin/chmod", "600", str(key)]}
    played.configure({"name": "close-key", **mend})
    assert played.actions() == {"close-key": "idle"}
    key.chmod(0o644)
    assert played.actions() == {"close-key": "run"}
    played.by_itself()
    assert key.stat().st_mode & 0o777 == 0o600
    (run,) = played.runs("close-key")
    assert (run.outcome, run.cause, run.detail) == ("good", "health:permissions", "")
    assert [note.partition(";")[0] for note in played.notes()] == ["run 1 of close-key (command), for health:permissions: good"]
    assert played.actions() == {"close-key": "idle"} and played.findings() == []


def test_what_reports_success_and_has_not_helped_has_failed(played: Played) -> None:
    played.configure(played.shell("useless", "true", within_s=1))
    played.trouble()
    answer = played.play("run", code=1)
    assert "it has not helped within 1 s: finding:unit_failed:trouble is CRITICAL" in answer.out
    assert played.runs("useless")[0].outcome == "failed"


def test_what_helps_a_while_later_has_helped(played: Played) -> None:
    (played.base / "remedy").write_text("")
    late = f"(sleep 0.5; touch {played.base}/well) & true"
    played.configure(played.shell("late", late, verify=["/usr/bin/test", "-e", f"{played.base}/well"], within_s=60))
    # what the remedy leaves running is ended with it, so it is another process here that mends the trouble
    played.trouble()
    helper = subprocess.Popen(
        ["/bin/sh", "-c", f"while ! [ -e {played.base}/late ]; do sleep 0.05; done; touch {played.base}/well"]
    )
    played.play("run")
    helper.wait()
    assert played.runs("late")[0].outcome == "good"


def test_a_unit_that_was_started_again_is_well_at_once(played: Played) -> None:
    """The program of systemd is another one here: it writes down what it is asked for."""
    programs = played.base / "bin"
    programs.mkdir()
    for name in ("systemctl", "journalctl"):
        (programs / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{played.base}/asked\n[ "$1" != reset-failed ]\n')
        (programs / name).chmod(0o755)
    played.environment["PATH"] = f"{programs}:{os.environ['PATH']}"
    unit = "autoops-catalog.service"
    played.configure(
        {"name": "unit", "when": f"finding:unit_failed:{unit}", "remedy": "restart-unit", "unit": unit},
        {"name": "journal", "remedy": "vacuum-journal", "keep_bytes": 1 << 20, "verify": ["/bin/true"]},
    )
    played.trouble()
    played.trouble(unit.encode())
    played.play("run")
    assert (played.base / "asked").read_text().splitlines() == [
        f"systemctl reset-failed -- {unit}",
        f"systemctl restart -- {unit}",
        "journalctl --rotate --vacuum-size=1048576",
    ]
    assert [one["subject"] for one in played.findings("unit_failed")] == ["trouble"]
    assert [played.runs(name)[0].outcome for name in ("unit", "journal")] == ["good", "good"]


# ones that do not


def test_after_two_failures_there_is_no_third_try_until_a_person_releases_it(played: Played) -> None:
    played.configure(played.shell("broken", "echo out of luck >&2; exit 3", at_most=100), at_most=1000)
    played.trouble()
    played.play("run", code=1)
    assert played.actions() == {"broken": "wait"} and played.findings() == []
    assert "again in" in played.play("run", "broken", code=4).err
    played.play("run", "broken", "--force", code=1)
    assert played.ran("broken") == 2
    for _ in range(3):
        assert "it failed 2 times in a row" in played.play("run", "broken", "--force", code=4).err
        played.by_itself()
    assert played.ran("broken") == 2
    (found,) = played.findings()
    assert found["subject"] == "broken" and "out of luck" in found["detail"]["reason"]
    assert [note.partition(":")[0] for note in played.notes()] == [
        "run 1 of broken (command), for finding",
        "run 2 of broken (command), for finding",
        "broken is held",
    ]
    assert "would be released: broken" in played.play("release", "broken", "--dry-run").out and len(played.findings()) == 1
    played.play("release", "broken")
    assert played.findings() == [] and played.actions() == {"broken": "run"}
    assert "is not held" in played.play("release", "broken", code=4).err
    played.by_itself()
    assert played.ran("broken") == 3


def test_a_held_one_is_a_critical_alert_and_closing_its_finding_does_not_release_it(played: Played) -> None:
    played.configure(played.shell("broken", "exit 1", at_most=1))
    played.trouble()
    played.by_itself()
    played.by_itself()
    (found,) = played.findings()
    command = [sys.executable, "-m", "autoops.cli.alerter", "run", "--state", str(played.state), "--config", str(played.config)]
    subprocess.run(command, env=environment(), check=True, capture_output=True)
    alerts = played.autoops("alerts", "--json").json["alerts"]
    (alert,) = [one for one in alerts if one["name"] == "playbook_failed"]
    assert alert["severity"] == "critical" and alert["subject"] == "broken" and alert["runbook"] == "Finding: playbook_failed"
    played.autoops("findings", "close", found["id"])
    assert played.actions() == {"broken": "held"}
    played.by_itself()
    assert len(played.findings()) == 1 and played.ran("broken") == 1


def test_a_hold_that_was_lost_with_a_damaged_queue_comes_back_with_its_finding(played: Played) -> None:
    played.configure(played.shell("broken", "exit 1", at_most=1))
    played.trouble()
    played.by_itself()
    played.by_itself()
    with Database.open(played.state / "queue/queue.db", SCHEMA, guard=True) as database, database.transaction() as tx:
        tx.execute("DELETE FROM playbook")
        tx.execute("DELETE FROM playbook_run")
    played.by_itself()
    assert played.actions() == {"broken": "held"} and played.ran("broken") == 1


def test_a_trouble_that_comes_back_again_and_again_is_told_although_each_run_helped(played: Played) -> None:
    well = played.base / "well"
    played.configure(played.shell("again", f"touch {well}", verify=["/usr/bin/test", "-e", str(well)], at_most=2))
    played.trouble()
    for _ in range(2):
        well.unlink(missing_ok=True)
        played.play("run", "again", "--force")
    assert "is back after 2 runs within 24 hours: it does not help" in played.play("run", "again", "--force", code=4).err
    assert played.ran("again") == 2 and played.actions() == {"again": "held"}
    assert "it does not help" in played.findings()[0]["detail"]["reason"]


def test_all_playbooks_together_have_a_budget(played: Played) -> None:
    names = ("a", "b", "c")
    played.configure(*(played.shell(name, "true", verify=["/bin/true"]) for name in names), at_most=2)
    played.trouble()
    played.play("run")
    assert [played.ran(name) for name in names] == [1, 1, 0]
    assert played.actions()["c"] == "spent" and "at_most of [playbooks] is 2" in played.play("run", "c", code=4).err


def test_who_waits_for_the_budget_of_all_is_told_until_that_is_over(played: Played) -> None:
    made = [played.shell(name, "true", verify=["/bin/true"]) for name in ("a", "b", "c")]
    played.configure(*made, at_most=2)
    played.trouble()
    for _ in range(2):
        played.by_itself()
        (found,) = played.findings("playbook_spent")
        assert (found["subject"], found["times"]) == ("c", 1) and "at_most of [playbooks] is 2" in found["detail"]["reason"]
    assert played.ran("c") == 0 and played.findings() == [] and played.actions()["c"] == "spent", "nobody is held"
    (played.state / ".maintenance").touch()
    played.by_itself(code=5)
    (played.state / ".maintenance").unlink()
    assert len(played.findings("playbook_spent")) == 1
    played.configure(*made, at_most=3)
    played.by_itself()
    assert played.ran("c") == 1 and played.findings("playbook_spent") == []
    played.configure(*made, played.shell("d", "true", verify=["/bin/true"]), at_most=3)
    played.by_itself()
    assert [one["subject"] for one in played.findings("playbook_spent")] == ["d"]
    played.gone()
    played.by_itself()
    assert played.findings("playbook_spent") == [], "what need not run does not wait"


def test_what_playbooks_did_is_in_the_reports_done_failed_and_held(played: Played) -> None:
    helps = played.shell("helps", "true", verify=["/bin/true"])
    played.configure(helps, played.shell("broken", "echo out of luck >&2; exit 3"))
    played.trouble()
    played.play("run", code=1)
    played.play("run", "broken", "--force", code=1)
    facts = played.autoops("report", "errors", "--trend", "--json").json
    told = {one["playbook"]: (one["runs"], one["good"], one["failed"], one["held"][:23]) for one in facts["playbooks"]}
    assert told == {"helps": (1, 1, 0, ""), "broken": (2, 0, 2, "it failed 2 times in a ")}
    (trouble,) = [one for one in facts["troubles"] if one["source"] == "playbook"]
    assert (trouble["kind"], trouble["count"], trouble["open"], trouble["example"]) == ("broken", 2, 1, TROUBLE)
    assert "out of luck" in trouble["why"] and facts["counts"]["playbook"] == sum(facts["trend"]["counts"]["playbook"]) == 2
    week = played.autoops("report", "weekly")
    assert "playbooks that are held until a person releases them: broken" in week.out
    lines = [line.split() for line in week.out.partition("\nPlaybooks\n")[2].splitlines()]
    assert lines[2][:4] == ["broken", "2", "0", "2"] and lines[3][:4] == ["helps", "1", "1", "0"]


def test_a_command_that_never_ends_is_killed_with_its_children_and_has_failed(played: Played) -> None:
    away = f"setsid sh -c 'echo $$ >>{played.base}/child; sleep 1000 & echo $! >>{played.base}/child; wait' &"
    children = f"{away} yes | cat >/dev/null & echo $! >>{played.base}/child; yes >&2; wait"
    played.configure(played.shell("endless", children, timeout_s=1))
    played.trouble()
    assert "killed, it took longer than 1 s" in played.play("run", code=1).out
    pids = [int(line) for line in (played.base / "child").read_text().split()]
    assert len(pids) == 3
    played.until(lambda: not any(map(exists, pids)), "its children are gone")
    assert "killed" in played.runs("endless")[0].detail


def test_what_a_good_command_leaves_running_is_ended_too(played: Played) -> None:
    leaves = f"setsid sh -c 'echo $$ >{played.base}/child.new; mv {played.base}/child.new {played.base}/child; exec sleep 1000' &"
    waits = f"while ! [ -e {played.base}/child ]; do sleep 0.02; done"
    played.configure(played.shell("leaves", f"{leaves} {waits}", verify=["/bin/true"]))
    played.trouble()
    played.play("run")
    assert not exists(int((played.base / "child").read_text())) and played.runs("leaves")[0].outcome == "good"


def test_a_program_that_is_not_there_is_a_failure_that_says_so(played: Played) -> None:
    played.configure({"name": "gone", "remedy": "command", "command": ["/nonexistent/\u202e"]})
    played.trouble()
    answer = played.play("run", code=1)
    assert "cannot be started: No such file or directory" in answer.out and "\u202e" not in answer.out


# bounds


def test_a_precondition_that_does_not_hold_costs_nothing(played: Played) -> None:
    gate = played.base / "gate"
    played.configure(played.shell("gated", "true", only_if=["/usr/bin/test", "-e", str(gate)], verify=["/bin/true"]))
    played.trouble()
    for _ in range(3):
        played.by_itself()
    assert "its precondition does not hold" in played.play("run", "gated", code=4).err
    assert played.ran("gated") == 0 and played.runs("gated") == [] and played.notes() == []
    gate.touch()
    played.by_itself()
    assert played.ran("gated") == 1


def test_turned_off_nothing_is_done_and_a_dry_run_shows_what_would_be(played: Played) -> None:
    played.configure(played.shell("one", "true", verify=["/bin/true"]), enabled=False)
    played.trouble()
    played.by_itself()
    assert "are turned off" in played.play("run", code=4).err
    for answer in (played.play("run", "--dry-run"), played.play("run", "one", "--dry-run")):
        assert "playbooks are off" in answer.out and f"one: would be carried out, for {TROUBLE}" in answer.out
        assert f"/bin/sh -euc 'echo ran >>{played.base}/one; true'" in answer.out
    shown = subprocess.run([*played.command(), "--dry-run"], env=environment(), capture_output=True, text=True, check=True)
    assert shown.stdout == played.play("run", "--dry-run").out
    assert played.ran("one") == 0 and played.runs("one") == [] and not (played.state / "queue/playbooks.lock").exists()


def test_up_carries_them_out_now_and_then_when_they_are_on(played: Played) -> None:
    played.configure(played.shell("one", "true", verify=["/bin/true"]))
    played.trouble()
    command = [
        sys.executable,
        "-m",
        "autoops.cli.daemon",
        "playbooks",
        "--state",
        str(played.state),
        "--config",
        str(played.config),
    ]
    subprocess.run(command, env=environment(), check=True, capture_output=True)
    assert played.ran("one") == 1
    for enabled in (True, False):
        played.configure(enabled=enabled)
        assert {one.name: one.interval_s > 0 for one in live.rounds_of(config.load(played.config))}["playbooks"] is enabled


def test_in_a_maintenance_window_nothing_is_done(played: Played) -> None:
    played.configure(played.shell("one", "true", verify=["/bin/true"]))
    played.trouble()
    (played.state / ".maintenance").touch()
    played.by_itself(code=5)
    played.play("run", code=5)
    assert played.ran("one") == 0
    (played.state / ".maintenance").unlink()


def test_one_that_opens_a_window_is_the_last_of_its_run(played: Played) -> None:
    opens = played.shell("opens", f"touch {played.state}/.maintenance", verify=["/bin/true"])
    played.configure(opens, played.shell("next", "true", verify=["/bin/true"]))
    played.trouble()
    played.by_itself()
    assert (played.ran("opens"), played.ran("next")) == (1, 0)


def test_while_one_process_carries_out_playbooks_another_one_does_nothing(played: Played) -> None:
    go_on = played.base / "go-on"
    played.configure(played.shell("slow", f"while ! [ -e {go_on} ]; do sleep 0.05; done", verify=["/bin/true"]))
    played.trouble()
    first = subprocess.Popen(played.command(), env=environment(), stderr=subprocess.DEVNULL)
    played.until(lambda: played.ran("slow"), "it is at work")
    played.by_itself()
    assert f"another process (pid {first.pid})" in played.play("run", "slow", "--force", code=4).err
    assert played.ran("slow") == 1
    go_on.touch()
    assert first.wait(60) == 0 and [run.outcome for run in played.runs("slow")] == ["good"]


def test_killed_in_the_middle_it_counts_as_failed_and_its_command_dies_too(played: Played) -> None:
    played.configure(played.shell("slow", f"echo $$ >{played.base}/pid; exec sleep 1000", at_most=100))
    played.trouble()
    for number in (1, 2):
        if number == 2:
            played.play("release", "slow", code=4)  # it is not held yet
            hurried = [*played.command()[:2], "autoops", "playbooks", "run", "slow", "--force", *played.command()[3:]]
        process = subprocess.Popen(played.command() if number == 1 else hurried, env=environment(), stderr=subprocess.DEVNULL)
        played.until(lambda number=number: played.ran("slow") == number and (played.base / "pid").exists(), "it is at work")
        pid = int((played.base / "pid").read_text())
        process.send_signal(signal.SIGKILL)
        process.wait()
        played.until(lambda pid=pid: not exists(pid), "its command is gone")
        (played.base / "pid").unlink()
    played.by_itself()
    assert [run.outcome for run in played.runs("slow")] == ["failed", "failed"] and played.actions() == {"slow": "held"}
    assert "has died" in played.findings()[0]["detail"]["reason"] and played.ran("slow") == 2


# what others wrote


def test_hostile_names_reach_a_command_as_one_line_that_prints_and_its_words_not_at_all(played: Played) -> None:
    nasty = b"docs\0a\n$(touch /tmp/pwned)`x`\x1b[2J'\"; rm -rf /\xff\xfe\xe2\x80\xae" + b"x" * 5000
    told = played.base / "told"
    played.configure(
        played.shell("one", f'printf %s "$AUTOOPS_CAUSE" >{told}', when="finding:corrupt:docs/*", verify=["/bin/true"])
    )
    played.trouble(nasty, "corrupt")
    answer = played.play("run")
    cause = told.read_text()
    assert cause.isprintable() and cause.startswith("finding:corrupt:docs/a\\x0a$(touch") and len(cause) == 300
    listed = played.play("show", "one")
    assert "\x1b" not in answer.out + listed.out and cause in listed.out
    assert json.loads(played.play("show", "one", "--json").out)["runs"][0]["cause"] == cause


def test_what_is_not_configured_is_refused_with_what_is(played: Played) -> None:
    played.configure(played.shell("one", "true"))
    for verb in (("run",), ("show",), ("run", "--dry-run")):
        assert "the playbooks that are configured: one" in played.play(*verb, "two\x1b", code=2).err
    assert "exit" not in played.play("release", "two", code=4).out


def test_doctor_tells_of_programs_that_could_not_be_run(played: Played) -> None:
    bad, open_to_all = played.base / "no-program", played.base / "open"
    bad.write_text("")
    open_to_all.write_text("")
    open_to_all.chmod(0o777)
    played.configure(
        played.shell("good", "true"),
        played.shell("bad", "true", only_if=[str(bad)], verify=[str(open_to_all)]),
        {"name": "gone", "remedy": "command", "command": ["/nonexistent"]},
    )
    said = played.autoops("doctor", "--config", played.config, "--json", code=None).json["checks"]
    told = {one["name"]: (one["level"], one["text"]) for one in said if one["name"].startswith("playbook")}
    assert told == {
        "playbook good": ("OK", f"command, for {TROUBLE}"),
        "playbook bad": ("WARNING", f"{bad} is no program, or may not be run; others may write {open_to_all}"),
        "playbook gone": ("WARNING", "/nonexistent cannot be run: No such file or directory"),
    }


def test_of_one_that_is_configured_no_more_the_hold_is_listed_and_can_be_released(played: Played) -> None:
    played.configure(played.shell("old", "exit 1", at_most=1))
    played.trouble()
    played.by_itself()
    played.by_itself()
    played.configure()
    assert "configured no more" in played.play("list").out
    played.play("release", "old")
    assert played.play("list", "--json").json == {"enabled": True, "playbooks": []} and played.findings() == []


THEIRS = 65534  # another user
INTERPRETER = "/usr/bin/python3"


@pytest.fixture
def theirs(tmp_path: Path) -> Played:
    """A state as the package has it, of another user, and root's run on it with the capabilities of the unit, which open nobody's
    files, by an interpreter that this user may read too."""
    capabilities = ["setpriv", "--bounding-set=-all,+setuid,+setgid", "--inh-caps=-all"]
    if os.geteuid() != 0 or subprocess.run([*capabilities, "true"], capture_output=True).returncode:
        pytest.skip("needs root, and setpriv(1)")
    played = Played(tmp_path)
    played.begins = [*capabilities, INTERPRETER]
    played.environment["PYTHONPATH"] = sysconfig.get_path("purelib")
    tried = [INTERPRETER, "-c", "import autoops.cli.playing"]
    ran = subprocess.run(tried, env=environment(**played.environment), user=THEIRS, cwd="/", capture_output=True)
    if ran.returncode:
        pytest.skip("there is no interpreter that every user may run, with our dependencies")
    for path in played.state.rglob("*"):
        os.chown(path, THEIRS, THEIRS)
    os.chown(played.state, 0, THEIRS)
    played.state.chmod(0o750)
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_mode & 0o055 != 0o055:
            path.chmod(0o755)
    return played


def test_root_reads_nothing_that_others_wrote_and_does_what_the_configuration_says_alone(theirs: Played) -> None:
    """What is the other's runs as him, for good; root is asked for one thing, and tells how that ended."""
    programs, out = theirs.base / "bin", theirs.base / "out"
    for directory in (programs, out):
        directory.mkdir()
    out.chmod(0o777)  # root without its rights writes in nobody's directory
    (programs / "systemctl").write_text(f'#!/bin/sh\necho "$(id -u) $*" >>{out}/asked\n')
    (programs / "systemctl").chmod(0o755)
    theirs.environment["PATH"] = f"{programs}:{os.environ['PATH']}"
    unit = "autoops-catalog.service"
    ours = {"name": "unit", "when": f"finding:unit_failed:{unit}", "remedy": "restart-unit", "unit": unit}
    becomes_root = f"{INTERPRETER} -c 'import os; os.setuid(0)' 2>&1 | tail -1"
    his = {"name": "his", "remedy": "command", "verify": ["/bin/true"]}
    theirs.configure(ours, his | {"command": ["/bin/sh", "-c", f"(id -u; {becomes_root}) >{out}/said"]})
    theirs.trouble()
    theirs.trouble(unit.encode())
    theirs.by_itself()
    assert (out / "asked").read_text().splitlines() == [f"0 reset-failed -- {unit}", f"0 restart -- {unit}"]
    assert (out / "said").read_text().splitlines()[0] == str(THEIRS)
    assert (out / "said").read_text().splitlines()[1].startswith("PermissionError")
    assert {path.stat().st_uid for path in theirs.state.rglob("*")} == {THEIRS}
    assert [theirs.runs(name)[0].outcome for name in ("unit", "his")] == ["good", "good"]


def test_by_hand_root_divides_too(theirs: Played) -> None:
    theirs.configure(theirs.shell("one", f"id -u >{theirs.state}/queue/who", verify=["/bin/true"]))
    (theirs.base / "one").touch()
    (theirs.base / "one").chmod(0o666)
    theirs.trouble()
    command = [*theirs.begins, "-m", "autoops", "playbooks", "run", "one", *theirs.command()[-4:]]
    ran = subprocess.run(command, env=environment(**theirs.environment), capture_output=True, text=True)
    assert ran.returncode == 0 and "one: it has helped" in ran.stdout, ran
    assert (theirs.state / "queue/who").read_text() == f"{THEIRS}\n"
    again = subprocess.run(command, env=environment(**theirs.environment), capture_output=True, text=True)
    assert again.returncode == 4 and "again in" in again.stderr, again


def test_root_ends_as_its_other_half_does(theirs: Played) -> None:
    theirs.configure(theirs.shell("one", "true"))
    theirs.trouble()
    theirs.by_itself(code=128 + 9, trace="playbook:begun")
    (theirs.state / "queue/queue.db").write_bytes(b"garbage" * 1000)
    assert "Traceback" not in theirs.by_itself(code=6).err


def test_what_root_answers_too_late_is_not_taken_for_another_playbooks_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "_GRACE_S", 0.01)
    ours, root = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, root:
        asker = broker.Asker(ours)
        assert "root does not answer" in asker.ask("slow", broker.Order((), 1.0))
        with contextlib.suppress(OSError):
            root.send(b".")
        assert "root does not answer" in asker.ask("another", broker.Order((), 1.0))


def test_root_takes_no_orders_from_a_configuration_that_others_may_write(theirs: Played) -> None:
    theirs.configure(theirs.shell("one", "true"))
    (theirs.state / "registry/running.toml").write_text(theirs.config.read_text())
    theirs.trouble()
    command = theirs.command()[:-2]
    subprocess.run(command, env=environment(**theirs.environment), check=True)
    assert theirs.ran("one") == 0
