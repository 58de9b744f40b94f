"""`autoops-backup archive` with the real restic: to a directory, an S3 server and over sftp, and back; and what it leaves alone."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
from pathlib import Path

import pytest
from archiving import NOBODY, PASSWORD, Make, SshServer, Vault
from running import Suite


def newest(vault: Vault) -> str:
    return max(path.name for path in (vault.backups / "snapshots").iterdir())


def require_same(one: Path, other: Path) -> None:
    """Two directories have the same files, in bytes."""
    compared = filecmp.dircmp(one, other)
    assert (compared.left_only, compared.right_only, compared.funny_files) == ([], [], [])
    assert filecmp.cmpfiles(one, other, compared.common_files, shallow=False)[1:] == ([], [])
    for name in compared.common_dirs:
        require_same(one / name, other / name)


def require_fetched(vault: Vault, target: Path) -> None:
    """What was fetched is the backup directory, with the configuration and the public key, and without the private one."""
    fetched = vault.run("--fetch", target, "--json").json
    for name in ("snapshots", "ledger"):
        require_same(vault.backups / name, target / name)
    assert Path(fetched["config"]).read_bytes() == vault.config.read_bytes()
    assert Path(fetched["public_key"]).read_bytes() == (vault.state / "ledger.pub").read_bytes()
    assert fetched["snapshot"] == newest(vault)
    private = (vault.state / "ledger.key").read_bytes()
    assert not [path for path in target.rglob("*") if path.is_file() and private in path.read_bytes()]


def test_there_and_back(vault: Vault, tmp_path: Path) -> None:
    assert vault.health()[0] == "WARNING"
    first = vault.run("--json").json
    assert first["snapshot"] == newest(vault) and first["added_bytes"] > 0 and first["removed"] == 0
    again = vault.run("--json").json
    assert again["added_bytes"] < 5000 and again["size_bytes"] == first["size_bytes"], "but for directories nothing is new"
    listed = vault.run("--list", "--json").json
    assert [one["archive"][:8] for one in listed] == [first["id"], again["id"]]
    assert {one["snapshot"] for one in listed} == {newest(vault)}
    require_fetched(vault, tmp_path / "fetched")
    level, text = vault.health()
    assert level == "OK" and f"of snapshot {newest(vault)}; never checked" in text
    assert vault.memory()["name"] == newest(vault)
    assert vault.findings() == []
    assert not list(tmp_path.glob(".*"))


def test_the_s3_server_gets_its_keys_from_a_file(make_vault: Make, s3: str, tmp_path: Path) -> None:
    vault = make_vault()
    vault.configure(repository=f"s3:{s3}/archive/of-this-host")
    (vault.base / "archive.environment").write_text(
        '# keys\nAWS_ACCESS_KEY_ID=AKIDEXAMPLE\n\nAWS_SECRET_ACCESS_KEY="wJalrXUtnFEMI"\n'
    )
    vault.run("--init")
    assert vault.run("--json").json["snapshot"] == newest(vault)
    assert "part 1 of 30" in vault.run("--check").out
    vault.run("--check", "--all")
    require_fetched(vault, tmp_path / "fetched")
    assert "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI" in vault.calls_file.read_text()


def test_over_sftp(make_vault: Make, sshd: SshServer, tmp_path: Path) -> None:
    vault = make_vault()
    vault.configure(repository=f"sftp:host:{vault.repository}", options=sshd.options())
    vault.run("--init")
    vault.run()
    vault.run("--check", "--all")
    require_fetched(vault, tmp_path / "fetched")


def test_no_secret_is_in_an_argument_or_a_message(vault: Vault) -> None:
    vault.run("--check")
    said = vault.run("-h").out + vault.run().out + vault.run("--list").out
    calls = vault.calls_file.read_text()
    assert "backup --no-cache" in calls and f"RESTIC_REPOSITORY={vault.repository}" in calls
    assert PASSWORD not in calls and PASSWORD not in said


def test_a_password_in_the_address_is_not_shown(make_vault: Make) -> None:
    vault = make_vault()
    vault.configure(repository="rest:http://ann:s3cr3t@127.0.0.1:1/")
    said = vault.run(code=3)
    assert "s3cr3t" not in said.err + json.dumps(vault.findings()) and "rest:http://(removed)@127.0.0.1:1/" in said.err
    assert "s3cr3t" not in vault.calls_file.read_text().splitlines()[0], "nor is it an argument"


def test_what_is_half_made_or_not_a_backup_stays_here_and_the_rest_goes(make_vault: Make, tmp_path: Path) -> None:
    vault = make_vault()
    vault.backups = vault.base / "on [another] disk *"  # restic's patterns know such characters
    shutil.move(vault.state / "backups", vault.backups)
    vault.configure(repository=str(vault.repository), backup={"directory": str(vault.backups)})
    for name in ("lock", "window-20260101.db", ".hidden", "snapshots/.taking/registry.db", "ledger/.000000000001.jsonl.zst.tmp"):
        path = vault.backups / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("not to be archived\n")
    for name in ("drills.jsonl", "upgrade-from-1/registry.db", "abandoned/2026/ledger/000000000001.jsonl", "-rf"):
        path = vault.backups / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("to be archived\n")
    vault.run("--init")
    vault.run()
    vault.run("--fetch", tmp_path / "out")
    there = {
        str(path.relative_to(tmp_path / "out")): path.read_text()
        for path in (tmp_path / "out").rglob("*")
        if path.suffix != ".zst" and path.is_file()
    }
    assert "not to be archived\n" not in there.values()
    assert {name for name, text in there.items() if text == "to be archived\n"} == {
        "drills.jsonl", "upgrade-from-1/registry.db", "abandoned/2026/ledger/000000000001.jsonl", "-rf",
    }  # fmt: skip


def test_the_retention_of_the_configuration_holds_in_the_archive_too(vault: Vault) -> None:
    vault.configure(repository=str(vault.repository), backup={"keep_last": 2})
    removed = [vault.run("--json").json["removed"] for _ in range(4)]
    assert removed == [0, 0, 1, 1]
    assert len(vault.run("--list", "--json").json) == 2
    assert vault.calls().count("forget") == 4


def test_several_registries_share_a_repository_and_none_removes_the_others(make_vault: Make, tmp_path: Path) -> None:
    one, other = make_vault(), make_vault()
    another_registry(other)
    for vault in (one, other):
        vault.configure(repository=str(one.repository), backup={"keep_last": 1})
    one.run("--init")
    for _ in range(2):
        one.run()
        other.run()
    keys = [vault.run("--fetch", vault.base / "fetched", "--json").json["registry"] for vault in (one, other)]
    assert len(one.run("--list", "--json").json) == 2
    assert len(set(keys)) == 2, "each fetches its own"
    (one.state / "ledger.pub").unlink()  # as on a new host
    assert "several registries" in one.run("--fetch", tmp_path / "which", code=4).err
    fetched = one.run("--fetch", tmp_path / "which", "--registry", keys[1], "--json").json
    assert fetched["registry"] == keys[1]


def another_registry(vault: Vault) -> None:
    """Let a vault be another registry's, with its own key."""
    suite = Suite(vault.base / "suite")
    (suite.root / "a.txt").write_text("a\n")
    suite.once()
    suite.run("backup", "snapshot")
    shutil.rmtree(vault.state)
    shutil.copytree(suite.state, vault.state, ignore=shutil.ignore_patterns("*.sock"))


def test_on_a_new_host_a_configuration_of_three_lines_and_the_password_are_enough(vault: Vault, tmp_path: Path) -> None:
    vault.run()
    host = tmp_path / "new"
    host.mkdir()
    (host / "autoops.toml").write_text(f'[archive]\nrepository = "{vault.repository}"\npassword_file = "{vault.password}"\n')
    vault.config, vault.state = host / "autoops.toml", host / "state"
    assert vault.run("--list", "--json").json[0]["snapshot"] == newest(vault)
    fetched = vault.run("--fetch", host / "there", "--json").json
    assert fetched["directory"] == str(host / "there")
    for name in ("snapshots", "ledger"):
        require_same(vault.backups / name, host / "there" / name)
    for verb in ((), ("--check",)):  # there is nothing to archive from, nor to remember anything in
        assert "queue.db does not exist" in vault.run(*verb, code=6).err


def test_nothing_is_fetched_over_what_is_there(vault: Vault, tmp_path: Path) -> None:
    vault.run()
    (tmp_path / "empty").mkdir()
    vault.run("--fetch", tmp_path / "empty")
    before = sorted((tmp_path / "empty").rglob("*"))
    assert "not an empty directory" in vault.run("--fetch", tmp_path / "empty", code=4).err
    assert sorted((tmp_path / "empty").rglob("*")) == before
    assert "not an empty directory" in vault.run("--fetch", vault.config, code=4).err


def test_a_dry_run_changes_nothing(vault: Vault, tmp_path: Path) -> None:
    vault.configure(repository=str(vault.repository), backup={"keep_last": 1})
    assert "would be archived" in vault.run("--dry-run").out
    assert vault.run("--list", "--json").json == [] and not (vault.state / "queue" / "archive.json").exists()
    vault.run()
    before = sorted(vault.repository.rglob("*"))
    vault.run("--dry-run")
    assert "would fetch" in vault.run("--fetch", tmp_path / "out", "--dry-run").out
    other = vault.base / "other"
    vault.configure(repository=str(other))
    assert "would make" in vault.run("--init", "--dry-run").out
    assert sorted(vault.repository.rglob("*")) == before and not other.exists() and not (tmp_path / "out").exists()


def test_each_check_reads_another_part_of_the_data(vault: Vault) -> None:
    vault.run()
    assert [vault.run("--check", "--json").json["part"] for _ in range(3)] == [1, 2, 3]
    vault.run("--check", "--all")
    assert vault.run("--check", "--json").json["part"] == 4
    subsets = [line for line in vault.calls_file.read_text().splitlines() if line.startswith("check")]
    assert [line.rpartition(" ")[2] for line in subsets] == ["1/30", "2/30", "3/30", "--read-data", "4/30"]


def test_what_belongs_together_is_asked_for_together(vault: Vault) -> None:
    for words in (("--init", "--check"), ("--all",), ("--list", "--dry-run"), ("--check", "--dry-run"), ("--list", "--fetch", "x")):
        vault.run(*words, code=2)
    assert vault.calls() == ["init"]


def test_it_says_whether_there_is_one_for_the_unit(vault: Vault) -> None:
    vault.run("--is-configured")
    vault.configure()
    vault.run("--is-configured", code=1)
    assert "No archive is configured" in vault.run(code=2).err
    assert vault.health() == ("OK", "none is configured ([archive] repository)")
    assert vault.findings() == [], "none is wanted"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root acts as others")
def test_root_archives_as_the_owner_of_the_backups_so_that_a_repository_here_is_his(make_vault: Make) -> None:
    vault = make_vault()
    for path in (vault.state / "queue", *(vault.state / "queue").rglob("*"), vault.backups, *vault.backups.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    for path in (vault.state, *vault.state.parents):
        if path.stat().st_mode & 0o005 != 0o005:
            path.chmod(0o755)
    vault.calls_file.touch(mode=0o666)
    vault.calls_file.chmod(0o666)
    vault.repository.mkdir()
    os.chown(vault.repository, NOBODY, NOBODY)
    vault.password.chmod(0o600)
    vault.run("--init")
    vault.run()
    assert {path.stat().st_uid for path in vault.repository.rglob("*")} == {NOBODY}
    assert (vault.state / "queue" / "archive.json").stat().st_uid == NOBODY
    assert (vault.state / "queue" / "queue.db").stat().st_uid == NOBODY


def test_a_drill_from_the_archive_alone_needs_nothing_that_is_kept_here(vault: Vault) -> None:
    vault.run()
    for name in ("snapshots", "ledger"):
        shutil.rmtree(vault.backups / name)
    told = vault.autoops("backup", "drill", "--archive", "--config", vault.config)
    assert (told["fault"], told["counts"]) == ("", {"different": 0, "missing": 0, "unexpected": 0})
    assert told["entries"] > 0 and not (vault.backups / ".drill").exists()
