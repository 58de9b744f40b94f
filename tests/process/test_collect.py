"""`autoops collect`: an archive for a bug report, without secrets."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from running import Suite, environment, program

from autoops.cli.collect import Part, write

Make = Callable[..., Suite]


@pytest.fixture
def suite(make_suite: Make) -> Suite:
    made = make_suite()
    (made.root / "a\nb.txt").write_text("a\n")
    made.once()
    made.run("submit", "-", stdin='{"changes": {"2020010100000001": {"tags": ["p4tch"]}}, "revs": {"2020010100000001": 1}}')
    made.once()
    return made


def unpacked(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        found = {}
        for member in archive.getmembers():
            assert member.isfile() and member.mode == 0o600 and not member.name.startswith("/")
            source = archive.extractfile(member)
            assert source
            found[member.name.removeprefix("autoops/")] = source.read().decode("utf-8", "surrogateescape")
    return found


def test_everything_is_in_it_and_only_its_owner_may_read_it(suite: Suite) -> None:
    out = suite.base / "report.tar.gz"
    said = suite.run("collect", "--out", out, config=True).out
    assert out.stat().st_mode & 0o777 == 0o600 and "names of files" in said
    found = unpacked(out)
    assert json.loads(found["status.json"])["entries"]["active"] == 1
    assert {check["name"] for check in json.loads(found["doctor.json"])["checks"]} >= {"key", "clock", "versions"}
    assert json.loads(found["health.json"])["level"] == "CRITICAL", "nothing runs"
    (dead,) = json.loads(found["queue.json"])["dead_letters"]
    assert dead["kind"] == "patch" and "reason" in dead and "p4tch" not in found["queue.json"]
    assert json.loads(found["versions.json"])["sqlite"] and "policy" in found["configuration.toml"]
    assert found["configuration-file.toml"] == suite.config.read_text()
    assert "ledger.key" in found["state.txt"] and "names of files" in found["about.txt"]
    suite.run("queue", "purge", "--in-state", "dead_letter")


def test_what_cannot_be_read_is_said_in_words(suite: Suite) -> None:
    log = suite.state / "log"
    (log / "odd.log").mkdir(parents=True)
    os.mkfifo(log / "pipe.log")
    (log / "link.log").symlink_to("/etc/passwd")
    said = suite.run("collect", "--out", suite.base / "odd.tar.gz", config=True).out
    assert "Errno" not in said and all(f"log/{name}.log: " in said for name in ("odd", "pipe", "link"))
    assert "root:" not in unpacked(suite.base / "odd.tar.gz")["log/link.log"]


def test_how_catalogs_stand_is_in_it_and_no_link_is_followed(suite: Suite) -> None:
    tables = "".join(f'\n[[catalog]]\nname = "{name}"\n' for name in ("built", "not-built", "linked"))
    suite.config.write_text(suite.config.read_text() + tables)
    for name in ("built", "linked"):
        suite.run("catalog", "build", name, config=True)
    metadata = suite.state / "catalogs" / "linked" / "metadata.json"
    metadata.unlink()
    metadata.symlink_to("/etc/passwd")
    out = suite.base / "report.tar.gz"
    said = suite.run("collect", "--out", out, config=True).out
    found = unpacked(out)
    states = json.loads(found["catalogs.json"])
    assert {name: one["state"] for name, one in states.items()} == {"built": "fresh", "not-built": "never built", "linked": "wrong"}
    assert json.loads(found["catalogs/built.json"])["name"] == "built" and "never built" in found["catalogs/not-built.json"]
    assert "root:" not in found["catalogs/linked.json"] and "catalogs/linked.json: " in said
    suite.run("queue", "purge", "--in-state", "dead_letter")


def test_no_secret_is_in_it(suite: Suite) -> None:
    key = (suite.state / "ledger.key").read_bytes()
    (suite.state / "log").mkdir()
    (suite.state / "log" / "worker.log").write_text("smtp://ann:hunter2@mail.example refused\npassword=hunter2\n\xff\n")
    out = suite.base / "report.tar.gz"
    good = suite.config.read_text()
    channel = '[[channel]]\nname = "a"\nkind = "alertmanager"\nurl = """\nhttps://mail.example/hunter2"""\n'
    suite.config.write_text(f'{good}\n# smtp_password = "hunter2"\n{channel}')
    suite.run("collect", "--out", out, config=True)
    suite.config.write_text(good)
    found = unpacked(out)
    whole = "".join(found.values())
    assert "hunter2" not in whole and key.hex() not in whole and key.decode("latin-1") not in whole
    assert "refused" in found["log/worker.log"]
    suite.run("queue", "purge", "--in-state", "dead_letter")


def test_nothing_is_overwritten(suite: Suite, tmp_path: Path) -> None:
    out = tmp_path / "there"
    out.write_text("mine")
    assert "exists already" in suite.run("collect", "--out", out, code=4).err
    assert out.read_text() == "mine"
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    suite.run("collect", "--out", link, code=4)
    assert suite.run("collect", "--out", tmp_path / "no" / "directory", code=4).err.startswith("autoops: Refused")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "suite-0") == ["link", "there"]
    suite.run("queue", "purge", "--in-state", "dead_letter")


def test_what_was_interrupted_leaves_no_half_of_it(tmp_path: Path) -> None:
    def interrupted() -> Iterator[Part]:
        yield "about.txt", lambda: "text"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "report.tar.gz", interrupted(), 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("broken", ["nothing", "queue", "registry"])
def test_it_collects_what_there_is_when_the_rest_is_broken(tmp_path: Path, broken: str) -> None:
    state = tmp_path / "s"
    if broken != "nothing":
        subprocess.run([*program(), "migrate", "--state", state], env=environment(), check=True, capture_output=True)
        (state / broken / f"{broken}.db").write_bytes(b"not a database" * 1000)
    command = [*program(), "collect", "--state", state]
    run = subprocess.run(command, env=environment(), capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0 and run.stderr == "", run
    (out,) = tmp_path.glob("autoops-*.tar.gz")
    found = unpacked(out)
    assert json.loads(found["versions.json"])["python"] and json.loads(found["doctor.json"])["level"] == "CRITICAL"
    assert "could not be had" in found["status.json"] and "status.json: " in run.stdout
