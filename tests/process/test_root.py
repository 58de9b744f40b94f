"""`autoops root add|list|remove` on configuration files of their own."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from running import PROJECT, Suite, environment, program

from autoops.cli.config_file import unlink, write

Root = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "autoops.toml"
    path.write_bytes((PROJECT / "etc" / "autoops.toml").read_bytes())
    return path


@pytest.fixture
def root(tmp_path: Path, config: Path) -> Root:
    """Run `autoops root ...`; `code` is what it has to exit with."""

    def run(verb: str, *arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        state = ["--state", str(tmp_path / "state")] if verb == "add" else []
        command = [*program(), "root", verb, *map(str, arguments), *state, "--config", str(config)]
        found = subprocess.run(command, env=environment(), capture_output=True, text=True, errors="surrogateescape", cwd=tmp_path)
        assert found.returncode == code and "Traceback" not in found.stderr, found
        return found

    return run


def test_a_root_is_added_listed_and_removed_and_the_file_is_as_it_was(root: Root, config: Path, tmp_path: Path) -> None:
    import json

    before = config.read_bytes()
    (tmp_path / "docs").mkdir()
    assert "kill -HUP" in root("add", "docs", "--policy", "observe").stdout
    assert config.read_bytes().startswith(before)
    (found,) = json.loads(root("list", "--json").stdout)
    path = str(tmp_path / "docs")
    assert found == {"drop_ins": [], "name": path, "path": path, "policy": "observe", "trouble": ""}
    assert "watched no more" in root("remove", tmp_path / "docs").stdout
    assert config.read_bytes() == before
    assert "no root is configured" in root("list").stdout


def test_what_the_kernel_says_is_no_tree_of_documents(root: Root) -> None:
    for path in ("/proc", "/sys"):
        assert f"The root {path} cannot be watched: what is in it is the kernel talking" in root("add", path, code=2).stderr


def test_a_dry_run_shows_what_would_be_written_and_writes_nothing(root: Root, config: Path, tmp_path: Path) -> None:
    before = config.read_bytes()
    (tmp_path / "a b").mkdir()
    said = root("add", "a b", "--name", "it's", "--dry-run").stdout
    expected = f'would append to {config}:\n[[root]]\npath = "{tmp_path}/a b"\nname = "it\'s"\npolicy = "register"\n\n'
    assert said == expected
    assert config.read_bytes() == before
    root("add", "a b", "--name", "it's")
    after = config.read_bytes()
    assert expected.split("\n", 1)[1].rstrip("\n") in after.decode()
    assert "would take out" in root("remove", "it's", "--dry-run").stdout
    assert config.read_bytes() == after


@pytest.mark.parametrize("name", ["with space", 'quo"te', "back\\slash", "per%cent", "new\nline", "caf\udce9", "-dash", "ü"])
def test_whatever_a_directory_is_called_it_is_watched(root: Root, config: Path, tmp_path: Path, name: str) -> None:
    from autoops import config as configuration

    (tmp_path / name).mkdir()
    root("add", f"./{name}")
    assert [one.path for one in configuration.load(config).roots] == [os.fsencode(tmp_path / name)]
    assert len(root("list").stdout.splitlines()) == 2
    root("remove", f"./{name}")
    assert configuration.load(config).roots == ()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["/"], "the whole system"),
        (["file"], "not a directory"),
        (["none"], "does not exist"),
        (["docs"], "it is a root already"),
        (["docs/inner"], "lies inside the root"),
        (["."], "docs cannot be watched: it lies inside the root"),
        (["link"], "same directory as the root"),
        (["state/x"], "inside the state directory"),
        (["other", "--name", "papers"], "is taken by"),
        (["other", "--name", "a\nb"], "--name must be"),
        (["other", "--policy", "destroy"], "observe, register, rename"),
        (["other", "--read-all"], "/etc/autoops"),
        (["other", "--group", "nosuchgroup"], "no group"),
    ],
)
def test_a_root_that_cannot_be_is_refused_and_nothing_is_changed(
    root: Root, config: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    for name in ("docs/inner", "other", "state/x"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("docs")
    root("add", "docs", "--name", "papers")
    before = config.read_bytes()
    found = root("add", *arguments, code=2)
    assert said in found.stderr and config.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_another_root_that_is_not_mounted_is_no_reason_to_refuse(root: Root, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    (tmp_path / "here").mkdir()
    root("add", "gone")
    (tmp_path / "gone").rmdir()
    root("add", "here")
    assert "is not there" in root("list").stdout


def test_a_faulty_file_is_not_made_worse(root: Root, config: Path, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    config.write_text("[watch]\nsetle_s = 1\n")
    assert "settle_s" in root("add", "docs", code=2).stderr
    assert config.read_text() == "[watch]\nsetle_s = 1\n"


def test_roots_written_in_another_way_are_left_to_the_editor(root: Root, config: Path, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    config.write_text('root = [{ path = "/srv" }]\n')
    assert root("add", "docs", code=2).stderr
    assert "edit it by hand" in root("remove", "/srv", code=4).stderr
    assert config.read_text() == 'root = [{ path = "/srv" }]\n'


def test_what_is_no_root_is_not_removed(root: Root) -> None:
    assert "root list" in root("remove", "papers", code=2).stderr


def test_a_link_to_the_configuration_stays_one_and_its_mode_too(root: Root, config: Path, tmp_path: Path) -> None:
    real = tmp_path / "elsewhere.toml"
    config.rename(real)
    real.chmod(0o640)
    config.symlink_to(real)
    (tmp_path / "docs").mkdir()
    root("add", "docs")
    assert config.is_symlink() and "[[root]]\npath" in real.read_text() and real.stat().st_mode & 0o777 == 0o640


def test_files_are_written_for_all_to_read_whatever_the_umask_and_go_with_their_directory(tmp_path: Path) -> None:
    path = tmp_path / "autoops-worker.service.d" / "root-docs.conf"
    before = os.umask(0o077)
    try:
        write({path: "[Service]\n"})
    finally:
        os.umask(before)
    assert path.read_text() == "[Service]\n" and path.stat().st_mode & 0o777 == 0o644
    unlink(path)
    assert not path.parent.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes files of others")
def test_the_configuration_stays_with_its_owner_and_its_group(tmp_path: Path) -> None:
    path = tmp_path / "autoops.toml"
    path.touch(0o640)
    os.chown(path, 0, 54321)
    write({path: "[log]\n"})
    found = path.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (0, 54321, 0o640)


@pytest.fixture
def grown(make_suite: Callable[..., Suite]) -> Suite:
    """A running suite whose configuration has got a second root."""
    suite = make_suite()
    suite.start()
    more = suite.base / "more"
    more.mkdir()
    (more / "f").write_text("f\n")
    suite.run("root", "add", more, "--name", "more", config=True)
    suite.roots["more"] = more
    return suite


def test_a_running_suite_takes_a_new_root_over_at_sighup(grown: Suite) -> None:
    for name in ("worker", "watcher"):
        grown.processes[name].send_signal(signal.SIGHUP)
    grown.until(lambda: any(root == "more" for root, _ in grown.active()), "the new root is registered")
    grown.require_disk_registered()


@pytest.mark.parametrize("how", ["reloaded", "restarted"])
def test_a_root_that_the_watcher_knew_of_before_the_worker_is_a_gap_and_then_registered(grown: Suite, how: str) -> None:
    def gaps() -> list[tuple[str, str, str]]:
        found = grown.run("coverage", "--json", code=None).json["now"]
        return [(gap["root"], gap["path"], gap["reason"]) for gap in found]

    grown.processes["watcher"].send_signal(signal.SIGHUP)
    grown.until(lambda: gaps() == [("more", "", "unconfigured")], "the gap is told")
    if how == "reloaded":
        grown.processes["worker"].send_signal(signal.SIGHUP)
    else:
        grown.stop("worker")
        grown.start("worker")
    grown.until(lambda: any(root == "more" for root, _ in grown.active()), "the new root is registered")
    grown.require_disk_registered()
    assert gaps() == []


def test_a_root_with_a_canary_says_so_and_one_that_registers_nothing_is_refused(root: Root, config: Path, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "looked at").mkdir()
    root("add", tmp_path / "docs", "--canary")
    assert config.read_text().endswith("canary = true\n")
    assert "a canary would never be seen" in root("add", tmp_path / "looked at", "--canary", "--policy", "observe", code=2).stderr
    assert list((tmp_path / "docs").iterdir()) == [], "the health check makes it"
