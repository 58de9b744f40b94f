"""Where backups go: shown, changed, and refused where they would be lost or looked at."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from running import Suite


def configured(suite: Suite) -> str:
    return str(tomllib.loads(suite.config.read_text()).get("backup", {}).get("directory", ""))


def test_backups_go_elsewhere_and_back_and_the_ledger_is_shipped_there(still: Suite, tmp_path: Path) -> None:
    disk, before = tmp_path / "disk", still.config.read_text()
    assert str(disk) in still.run("backup", "place", disk, "--dry-run", config=True).out
    assert not disk.exists() and still.config.read_text() == before
    said = still.run("backup", "place", disk, config=True).out
    assert f"backups go to {disk} from now on; what is in {still.state / 'backups'} stays there" in said
    assert (configured(still), disk.stat().st_mode & 0o777) == (str(disk), 0o700)
    assert still.run("backup", "place", "--json", config=True).json == {"directory": str(disk), "own": False, "trouble": ""}
    still.run("backup", "ship", config=True)
    assert (disk / "ledger" / "000000000001.jsonl").exists()
    still.run("backup", "place", tmp_path / "other", config=True)
    still.run("backup", "place", disk, config=True)  # what is there are backups: it may be taken again
    still.run("backup", "place", "--own", config=True)
    assert configured(still) == ""
    assert still.run("backup", "place", config=True).out == f"{still.state / 'backups'}: good\n"


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("tree/backups", "lies in the watched root tree"),
        ("state/backups2", "lies in the state directory"),
        ("nothing/here", "is its disk mounted?"),
        ("file", "is no directory"),
        ("full", "holds other things"),
        ("/proc", "is a mount point"),
        ("link", "lies in the watched root tree"),
    ],
)
def test_a_place_where_backups_would_be_lost_is_refused(still: Suite, where: str, why: str) -> None:
    (still.base / "file").touch()
    (still.base / "full").mkdir()
    (still.base / "full" / "letter.txt").touch()
    (still.base / "link").symlink_to(still.root)
    before, there = still.config.read_text(), sorted(os.listdir(still.base))
    assert why in still.run("backup", "place", still.base / where, config=True, code=2).err
    assert (still.config.read_text(), sorted(os.listdir(still.base))) == (before, there)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs an /etc of its own")
def test_who_moves_to_where_the_units_see_more_closes_their_sandbox_again(still: Suite, tmp_path: Path) -> None:
    etc = tmp_path / "etc"
    shutil.copytree("/etc", etc, symlinks=True)
    units, config = etc / "systemd" / "system", etc / "autoops" / "autoops.toml"
    for made in (units, config.parent):
        made.mkdir(parents=True, exist_ok=True)
    shutil.copy(still.config, config)
    inside = ["unshare", "--mount", "sh", "-c", f'mount --bind "{etc}" /etc && mount -t tmpfs none /srv && exec "$@"', "sh"]
    if subprocess.run([*inside, "true"], capture_output=True).returncode != 0:
        pytest.skip("needs to be allowed to mount")
    still.before = inside
    still.run("backup", "place", tmp_path / "disk")
    assert "BindReadOnlyPaths=" in (units / "autoops-archive.service.d" / "backups.conf").read_text()
    still.run("backup", "place", "/srv/backups")
    assert "ReadWritePaths=" in (units / "autoops-backup.service.d" / "backups.conf").read_text()
    assert not (units / "autoops-archive.service.d").exists(), "it sees /srv as it is"
    still.before = []


def test_a_place_where_nothing_can_be_made_is_refused_with_a_remedy(still: Suite) -> None:
    answer = still.run("backup", "place", "/sys/backups", config=True, code=4)
    assert "/sys/backups cannot be written" in answer.err and "hint:" in answer.err


def test_what_is_wrong_with_the_place_is_told(still: Suite, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    still.run("backup", "place", disk, config=True)
    disk.chmod(0o755)
    assert "others than its owner may look into" in still.run("backup", "place", config=True, code=1).out
    disk.rmdir()
    answer = still.run("backup", "place", config=True, code=1)
    assert "is not there" in answer.out and "mounted" in answer.err
    found = {one["name"]: one for one in still.run("doctor", "--json", config=True, code=None).json["checks"]}
    assert found["backup directory"]["level"] == "WARNING"


def test_a_lost_registry_is_missed_though_only_a_place_elsewhere_remembers_it(still: Suite, tmp_path: Path) -> None:
    still.run("backup", "place", tmp_path / "disk", config=True)
    still.once()  # so that the state knows, whatever command is given no configuration
    still.run("backup", "ship", config=True)
    for path in (*(still.state / "registry").glob("registry.db*"), still.state / "registry" / "checkpoints.jsonl"):
        path.unlink()
    assert "autoops-backup restore --latest brings it back" in still.run("list", code=6).err
    still.run("backup", "restore", "--latest")
    assert still.run("list").code == 0
