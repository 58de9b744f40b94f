"""Hooks around a snapshot: real programs, that do well, fail, hang, leave something behind, or may be anybody's."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from running import DEADLINE_S, PROJECT

from autoops.backup.errors import HookFailed
from autoops.backup.hooks import Hooks, run_after, run_before

Add = Callable[..., Path]


@pytest.fixture
def hooks(tmp_path: Path) -> Hooks:
    for when in ("pre", "post"):
        (tmp_path / f"{when}-snapshot.d").mkdir(mode=0o755)
    return Hooks(tmp_path, tmp_path / "state", timeout_s=30.0)


@pytest.fixture
def add(hooks: Hooks) -> Add:
    def add(when: str, name: str, script: str, mode: int = 0o755) -> Path:
        path = hooks.directory / f"{when}-snapshot.d" / name
        path.write_text(f"#!/bin/sh\ncd {hooks.directory}\n{script}\n")
        path.chmod(mode)
        return path

    return add


def ran(hooks: Hooks) -> list[str]:
    """Return what hooks wrote into the file that they share."""
    file = hooks.directory / "ran"
    return file.read_text().splitlines() if file.exists() else []


def test_without_directories_nothing_is_run(tmp_path: Path) -> None:
    hooks = Hooks(tmp_path / "nowhere", tmp_path, 1.0)
    run_before(hooks, "now")
    assert run_after(hooks, "now", tmp_path) == []


def test_they_run_in_the_order_of_their_names_and_only_those_that_run_parts_would_take(hooks: Hooks, add: Add) -> None:
    for name in ("20-b", "10-a", "with.dot", "README.md", "10-a.dpkg-old", "_z", "30-c~"):
        add("pre", name, f"echo {name} >>ran")
    add("pre", "00-not-executable", "echo no >>ran", mode=0o644)
    (hooks.directory / "pre-snapshot.d" / "05-directory").mkdir()
    run_before(hooks, "now")
    assert ran(hooks) == ["10-a", "20-b", "_z"]


def test_they_are_told_what_it_is_about_and_nothing_else(hooks: Hooks, add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "of the caller")
    for when in ("pre", "post"):
        add(when, "tell", f"env | grep -v -e ^PWD= -e ^SHLVL= -e ^_= -e ^OLDPWD= | sort >{when}.env; wc -c >{when}.stdin")
    run_before(hooks, "S1")
    assert run_after(hooks, "S1", Path("/backups/snapshots/S1")) == []
    common = ["AUTOOPS_SNAPSHOT=S1", f"AUTOOPS_STATE={hooks.state}", "LANG=C.UTF-8"]
    told = {when: (hooks.directory / f"{when}.env").read_text().splitlines() for when in ("pre", "post")}
    path = [line for line in told["pre"] if line.startswith("PATH=/")]
    assert len(path) == 1
    assert told["pre"] == sorted(["AUTOOPS_HOOK=pre", *common, *path])
    assert told["post"] == sorted(["AUTOOPS_HOOK=post", "AUTOOPS_SNAPSHOT_PATH=/backups/snapshots/S1", *common, *path])
    assert (hooks.directory / "pre.stdin").read_text().strip() == "0", "nobody waits for an answer from it"


def test_a_pre_hook_that_fails_ends_it_and_is_named_with_its_last_words(hooks: Hooks, add: Add) -> None:
    failing = add("pre", "20-fails", "echo one; echo 'the volume is busy' >&2; exit 3")
    add("pre", "30-after", "echo after >>ran")
    with pytest.raises(HookFailed) as caught:
        run_before(hooks, "now")
    assert str(caught.value) == f"The hook {failing} failed: it ended with status 3; it said: the volume is busy."
    assert "move it out" in caught.value.advice
    assert ran(hooks) == []


def test_what_it_wrote_to_standard_output_counts_when_that_is_all(hooks: Hooks, add: Add) -> None:
    add("pre", "fails", "echo 'on the\x1b[31m wrong channel'; exit 1")
    with pytest.raises(HookFailed, match=r"it said: on the\\x1b\[31m wrong channel"):
        run_before(hooks, "now")


def test_all_post_hooks_run_and_each_failure_is_told(hooks: Hooks, add: Add) -> None:
    add("post", "1-fails", "exit 1")
    add("post", "2-works", "echo worked >>ran")
    add("post", "3-dies", "kill -9 $$")
    failed = run_after(hooks, "now", hooks.directory)
    assert ran(hooks) == ["worked"]
    assert [str(error).partition(" failed: ")[2] for error in failed] == [
        "it ended with status 1.",
        "it was killed by signal 9.",
    ]


def test_one_that_hangs_is_killed_with_all_that_it_started(hooks: Hooks, add: Add) -> None:
    add(
        "pre",
        "hangs",
        "sleep 987 & echo $! >>pids; echo $$ >>pids; echo 'still waiting' >&2; trap '' TERM INT; sleep 987; sleep 987",
    )
    with pytest.raises(HookFailed, match="took longer than 1 s; it said: still waiting"):
        run_before(hooks._replace(timeout_s=1.0), "now")
    require_gone(hooks)


def test_what_one_leaves_behind_is_killed_and_does_not_hold_us_up(hooks: Hooks, add: Add) -> None:
    add("pre", "leaves", "sleep 987 & echo $! >>pids")  # it holds the pipe, too
    run_before(hooks, "now")
    require_gone(hooks)


def require_gone(hooks: Hooks) -> None:
    pids = [int(line) for line in (hooks.directory / "pids").read_text().split()]
    assert pids
    end_s = time.monotonic() + DEADLINE_S
    while [pid for pid in pids if is_alive(pid)]:
        assert time.monotonic() < end_s, pids
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except FileNotFoundError:
        return False


def test_one_that_talks_without_end_is_stopped_by_its_time_and_fills_no_memory(hooks: Hooks, add: Add) -> None:
    add("pre", "talks", "exec yes 'a word'")
    with pytest.raises(HookFailed, match=r"took longer than 0\.5 s; it said: a word"):
        run_before(hooks._replace(timeout_s=0.5), "now")


def test_one_that_others_may_write_is_not_run(hooks: Hooks, add: Add) -> None:
    add("pre", "open", "echo ran >>ran", mode=0o757)
    with pytest.raises(HookFailed, match="others may write"):
        run_before(hooks, "now")
    assert ran(hooks) == []


def test_nor_is_any_in_a_directory_that_others_may_write(hooks: Hooks, add: Add) -> None:
    add("pre", "good", "echo ran >>ran")
    (hooks.directory / "pre-snapshot.d").chmod(0o777)
    with pytest.raises(HookFailed, match="others may write"):
        run_before(hooks, "now")
    assert ran(hooks) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_nor_is_one_of_another_user(hooks: Hooks, add: Add) -> None:
    os.chown(add("post", "theirs", "echo ran >>ran"), 65534, 65534)
    (failed,) = run_after(hooks, "now", hooks.directory)
    assert "belongs to user 65534" in str(failed)
    assert ran(hooks) == []


def test_hooks_that_nobody_can_list_are_a_failure_too(hooks: Hooks) -> None:
    for when in ("pre", "post"):
        (hooks.directory / f"{when}-snapshot.d").rmdir()
        (hooks.directory / f"{when}-snapshot.d").touch()
    with pytest.raises(HookFailed, match="it cannot be read"):
        run_before(hooks, "now")
    (failed,) = run_after(hooks, "now", hooks.directory)
    assert "post-snapshot.d failed: it cannot be read (Not a directory)" in str(failed)


def test_one_that_another_one_removed_is_a_failure_too(hooks: Hooks, add: Add) -> None:
    add("post", "1-first", 'rm "${0%/*}/2-second"')
    add("post", "2-second", "echo ran >>ran")
    (failed,) = run_after(hooks, "now", hooks.directory)
    assert "2-second failed: it cannot be started (No such file or directory)" in str(failed) and ran(hooks) == []


def test_one_that_is_no_program_fails(hooks: Hooks, add: Add) -> None:
    path = add("pre", "nonsense", "")
    path.write_bytes(b"#!/no/such/interpreter\n")
    with pytest.raises(HookFailed, match="cannot be started"):
        run_before(hooks, "now")


EXAMPLE = PROJECT / "etc" / "hooks" / "oci-volume-backup"


def install_example(hooks: Hooks, *, volumes: str, boot_volumes: str) -> None:
    """Put the example where hooks are, with a command in place of OCI's that writes down what it is asked."""
    command = hooks.directory / "oci"
    command.write_text(
        f'#!/bin/sh\necho "$*" >>{hooks.directory}/ran\ncase "$*" in *denied*) echo not authorized >&2; exit 1;; esac\n'
    )
    command.chmod(0o755)
    script = EXAMPLE.read_text().replace("volumes=''      #", f"volumes='{volumes}' #", 1)
    script = script.replace("boot_volumes='' #", f"boot_volumes='{boot_volumes}' #", 1).replace(
        "\noci=oci\n", f"\noci={command}\n", 1
    )
    path = hooks.directory / "post-snapshot.d" / EXAMPLE.name
    path.write_text(script)
    path.chmod(0o755)


def test_the_example_asks_for_a_backup_of_each_volume(hooks: Hooks) -> None:
    install_example(hooks, volumes="v1 v2", boot_volumes="b1")
    assert run_after(hooks, "S1", Path("/x")) == []
    begun = "--auth instance_principal bv"
    assert ran(hooks) == [
        f"{begun} backup create --type INCREMENTAL --volume-id v1 --display-name autoops S1",
        f"{begun} backup create --type INCREMENTAL --volume-id v2 --display-name autoops S1",
        f"{begun} boot-volume-backup create --type INCREMENTAL --boot-volume-id b1 --display-name autoops S1",
    ]


def test_the_example_asks_for_the_others_when_one_is_refused_and_fails(hooks: Hooks) -> None:
    install_example(hooks, volumes="denied v2", boot_volumes="")
    (failed,) = run_after(hooks, "S1", Path("/x"))
    assert "not authorized" in str(failed)
    assert len(ran(hooks)) == 2


def test_the_example_says_so_when_nobody_named_a_volume(hooks: Hooks) -> None:
    install_example(hooks, volumes="", boot_volumes="")
    (failed,) = run_after(hooks, "S1", Path("/x"))
    assert "no volume is named" in str(failed)
