"""Which trees are refused, and what the refusal says."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from autoops.config import BackupConfig, Config, RootConfig, check_roots, state_below
from autoops.errors import RootAbsent


def refused(state: Path, *roots: Path) -> list[str]:
    """Return "path: reason" for every fault; each must say what to do."""
    faults = check_roots(Config(roots=tuple(RootConfig(os.fsencode(root)) for root in roots)), state)
    assert all(fault.advice for fault in faults)
    assert all(fault.exit_code == 2 for fault in faults)
    return [f"{fault.facts['path']}: {fault.facts['reason']}" for fault in faults]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"  # it need not exist


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree" / "inner").mkdir(parents=True)
    (tmp_path / "trees").mkdir()
    return tmp_path / "tree"


def test_good_roots_are_no_fault(tree: Path, state: Path) -> None:
    assert refused(state, tree, tree.parent / "trees") == []


def test_every_fault_of_every_root_is_named(tree: Path, state: Path) -> None:
    (tree / "file").touch()
    assert refused(state, tree / "none", tree / "file") == [
        f"{tree}/none: it does not exist",
        f"{tree}/file: it is not a directory",
    ]


def test_a_root_that_is_not_there_is_a_fault_of_the_disk_and_its_place_is_looked_at_all_the_same(tree: Path, state: Path) -> None:
    missing = RootConfig(os.fsencode(tree / "none"))
    absent, inside = check_roots(Config(roots=(RootConfig(os.fsencode(tree)), missing)), state)
    assert isinstance(absent, RootAbsent)
    assert not isinstance(inside, RootAbsent) and "it lies inside the root" in str(inside)


def test_a_path_through_a_file_is_refused(tree: Path, state: Path) -> None:
    (tree / "file").touch()
    assert refused(state, tree / "file" / "x") == [f"{tree}/file/x: it cannot be looked at: Not a directory"]


@pytest.mark.parametrize("inner_first", [False, True])
def test_a_root_inside_another_is_refused_in_either_order(tree: Path, state: Path, inner_first: bool) -> None:
    pair = [tree, tree / "inner"]
    said = refused(state, *(reversed(pair) if inner_first else pair))
    assert said == [f"{tree}/inner: it lies inside the root {tree}"]


def test_the_same_root_through_a_link_is_refused(tree: Path, state: Path) -> None:
    link = tree.parent / "link"
    link.symlink_to(tree)
    assert refused(state, tree, link) == [f"{link}: it is the same directory as the root {tree}"]
    assert refused(state, tree, link / "inner") == [f"{link}/inner: it lies inside the root {tree}"]


@pytest.mark.parametrize("below", ["", "deep/er"])
def test_a_root_inside_the_state_directory_is_refused(tmp_path: Path, below: str) -> None:
    state = tmp_path / "state"
    (root := state / below).mkdir(parents=True)
    assert refused(state, root) == [f"{root}: it lies inside the state directory {state}"]


def test_a_root_that_contains_the_state_directory_is_allowed_and_says_what_to_leave_out(tree: Path) -> None:
    state = tree / "inner" / ".autoops"
    assert refused(state, tree) == []
    assert state_below(RootConfig(os.fsencode(tree)), state) == b"inner/.autoops"
    assert state_below(RootConfig(os.fsencode(tree)), tree.parent / "tree-state") is None
    assert state_below(RootConfig(b"/"), state) == os.fsencode(state)[1:]


def test_the_state_directory_is_found_through_a_link(tree: Path, tmp_path: Path) -> None:
    (tree / "real").mkdir()
    (tmp_path / "link").symlink_to(tree / "real")
    assert state_below(RootConfig(os.fsencode(tree)), tmp_path / "link") == b"real"
    assert refused(tmp_path / "link", tree / "real") == [f"{tree}/real: it lies inside the state directory {tmp_path}/link"]


@pytest.mark.parametrize("mode", [0o400, 0o100, 0o000])
def test_a_root_that_may_not_be_read_is_refused(tree: Path, state: Path, mode: int) -> None:
    tree.parent.chmod(0o755)
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:  # root may read everything, so look as somebody else, from a place that needs no way there
        try:
            os.chdir(tree.parent)
            if os.geteuid() == 0:
                os.chown(tree, 65534, 65534)
                os.setresuid(65534, 65534, 65534)
            os.chmod("tree", mode)
            os.write(writer, "\n".join(refused(state, Path("tree"))).encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as file:
        said = file.read()
    tree.chmod(0o700)
    assert said.startswith("tree: user ")
    assert said.endswith("may not read it")


def test_a_hostile_name_is_shown_escaped(tmp_path: Path, state: Path) -> None:
    assert refused(state, tmp_path / "a\nb") == [f"{tmp_path}/a\\x0ab: it does not exist"]


def test_a_root_in_which_backups_would_be_kept_is_refused(tree: Path) -> None:
    state, link = tree / "inner" / ".autoops", tree.parent / "link"
    link.symlink_to(tree)
    config = Config(roots=(RootConfig(os.fsencode(link)),))

    def said(backups: Path) -> list[str]:
        return [str(fault) for fault in check_roots(replace(config, backup=BackupConfig(directory=str(backups))), state)]

    for backups in (tree, tree / "backups", link / "backups"):
        (fault,) = said(backups)
        assert f"The root {link} cannot be watched: the backup directory {backups} lies inside it" in fault
    assert said(tree.parent / "backups") == said(state / "backups") == []
