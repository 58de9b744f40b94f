"""What is ignored: git is the judge, pathspec the witness."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoops.files.ignore import MAX_CACHED_LINES, MAX_FILE_BYTES, Ignore
from autoops.files.patterns import MAX_FAULTS, MAX_LINES, Rules, needles_of, trimmed, unusable

DEFAULTS = [".git/", "*.swp", "*~", ".#*", "#*#", ".nfs*", ".~lock.*#", "*.part", "__pycache__/", "node_modules/", ".venv/"]
FILES = (b".gitignore",)


def test_a_name_is_ignored_by_the_pattern_of_its_own_directory(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/.gitignore").write_text("*.log\n!keep.log\n")
    ignore = Ignore(os.fsencode(tmp_path), [], FILES)
    names = [b"x.log", b"keep.log", b"x.txt"]
    assert ignore.ignored(b"a", names, ()) == {b"x.log"}
    assert ignore.ignored(b"", names, ()) == set()


def test_what_lies_below_an_ignored_directory_stays_ignored(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("build/\n!build/keep.txt\n")
    ignore = Ignore(os.fsencode(tmp_path), [], FILES)
    assert ignore.is_ignored(b"build/keep.txt", False)
    assert ignore.is_ignored(b"build", True)
    assert not ignore.is_ignored(b"build", False)


def test_an_ignore_file_overrules_the_configuration(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("!*.tmp\n")
    assert not Ignore(os.fsencode(tmp_path), ["*.tmp"], FILES).is_ignored(b"a.tmp", False)
    assert Ignore(os.fsencode(tmp_path), ["*.tmp"], ()).is_ignored(b"a.tmp", False)


def test_a_changed_ignore_file_counts_after_forget(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    ignore = Ignore(os.fsencode(tmp_path), [], FILES)
    assert not ignore.is_ignored(b"a/b/x", False)
    (tmp_path / "a/.gitignore").write_text("x\n")
    assert not ignore.is_ignored(b"a/b/x", False)
    ignore.forget(b"a")
    assert ignore.is_ignored(b"a/b/x", False)


@pytest.mark.parametrize("name", [b"bad\xff\xfe", b"new\nline", b"caf\xc3\xa0", b" lead", b"x" * 255, b"\x85", b"-rf", b"=cmd()"])
def test_a_name_of_any_bytes_is_found_by_its_own_pattern(tmp_path: Path, name: bytes) -> None:
    (tmp_path / ".gitignore").write_bytes(name.replace(b"\n", b"?") + b"\n")
    ignore = Ignore(os.fsencode(tmp_path), [], FILES)
    assert ignore.ignored(b"", [name, b"other"], ()) == {name}
    assert ignore.ignored(b"sub", [name, name + b"x"], [name]) == {name}


def test_a_question_mark_stands_for_one_byte_as_in_git(tmp_path: Path) -> None:
    ignore = Ignore(os.fsencode(tmp_path), ["??.txt"], ())
    assert ignore.is_ignored("é.txt".encode(), False)
    assert not ignore.is_ignored(b"e.txt", False)


def test_a_bad_pattern_is_skipped_and_reported(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_bytes(b"[z-a]\nend\\\n[open\n*a*a*a*a*a*b\na//b\nnul\0\ngood\n")
    ignore = Ignore(os.fsencode(tmp_path), [], FILES)
    assert ignore.ignored(b"", [b"good", b"end", b"a" * 200], ()) == {b"good"}
    assert {(fault.source, fault.line) for fault in ignore.faults} == {(b".gitignore", line) for line in range(1, 7)}
    assert all(fault.reason for fault in ignore.faults)


def test_an_ignore_file_that_is_a_link_a_fifo_or_a_directory_is_not_read(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    for name in ("link", "fifo", "directory"):
        (root / name).mkdir(parents=True)
    outside.write_text("secret\n")
    (root / "link/.gitignore").symlink_to(outside)
    os.mkfifo(root / "fifo/.gitignore")
    (root / "directory/.gitignore").mkdir()
    ignore = Ignore(os.fsencode(root), [], FILES)
    for name in (b"link", b"fifo", b"directory"):
        assert ignore.ignored(name, [b"secret"], ()) == set()
    assert len(ignore.faults) == 3


def test_an_ignore_file_behind_a_linked_directory_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/.gitignore").write_text("*\n")
    (tmp_path / "root/link").symlink_to(tmp_path / "outside")
    assert Ignore(os.fsencode(tmp_path / "root"), [], FILES).ignored(b"link", [b"x"], ()) == set()


def test_of_a_huge_ignore_file_only_the_beginning_is_read(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_bytes(b"first\n" + b"#" * MAX_FILE_BYTES + b"\nlast\n")
    ignore = Ignore(os.fsencode(tmp_path), [], FILES)
    assert ignore.ignored(b"", [b"first", b"last"], ()) == {b"first"}
    assert ignore.faults


def test_what_is_wrong_with_a_great_many_ignore_files_is_told_of_some(tmp_path: Path) -> None:
    ignore = Ignore(os.fsencode(tmp_path), [], FILES)
    for number in range(MAX_FAULTS + 5):
        directory = tmp_path / str(number)
        directory.mkdir()
        (directory / ".gitignore").touch()
        os.truncate(directory / ".gitignore", MAX_FILE_BYTES + 1)
        ignore.ignored(os.fsencode(directory.name), [b"x"], ())
    assert len(ignore.faults) == MAX_FAULTS


def test_a_great_many_long_ignore_files_are_not_all_held(tmp_path: Path) -> None:
    ignore = Ignore(os.fsencode(tmp_path), [], FILES)
    one = tmp_path / "0"
    for number in range(50):
        (tmp_path / str(number)).mkdir()
        if number:
            os.link(one / ".gitignore", tmp_path / str(number) / ".gitignore")
        else:
            (one / ".gitignore").write_text("".join(f"name{line}\n" for line in range(MAX_LINES)))
        assert ignore.ignored(b"%d" % number, [b"name7", b"other"], ()) == {b"name7"}
    assert sum(isinstance(held, Rules) and held.lines == MAX_LINES for held in gc.get_objects()) <= MAX_CACHED_LINES // MAX_LINES
    assert ignore.faults == []


def test_of_long_ignore_files_one_below_the_other_the_upper_ones_are_used(tmp_path: Path) -> None:
    ignore = Ignore(os.fsencode(tmp_path), [], FILES)
    directory = tmp_path
    for depth in range(8):
        (directory / ".gitignore").write_text("".join(f"at{depth}-{line}\n" for line in range(MAX_LINES)))
        directory /= "d"
        directory.mkdir()
    below = b"/".join([b"d"] * 7)
    assert ignore.ignored(below, [b"at%d-1" % depth for depth in range(8)], ()) == {b"at%d-1" % depth for depth in range(5)}
    assert {fault.source.count(b"/") for fault in ignore.faults} == {5, 6, 7}


def test_every_name_that_a_pattern_fits_is_found(tmp_path: Path) -> None:
    ignore = Ignore(os.fsencode(tmp_path), DEFAULTS, ())
    names = [b"a.swp", b"b.txt", b"c.swp", b"d.swp.txt", b"e.swp", b".git"]
    assert ignore.ignored(b"x", names, [b".git"]) == {b"a.swp", b"c.swp", b"e.swp", b".git"}


ALPHABET = st.sampled_from(["a", "b", "ab", ".", "*", "?", "[ab]", "[!a]", "[a-c]", "\\*", "x.c", "\xe0", " ", "~"])
PART = st.lists(ALPHABET, min_size=1, max_size=4).map("".join).filter(lambda part: part not in (".", "..") and "**" not in part)
PATTERN = st.builds(
    lambda no, lead, parts, tail: no + lead + "/".join(parts) + tail,
    st.sampled_from(["", "", "", "!"]),
    st.sampled_from(["", "", "/", "**/"]),
    st.lists(st.one_of(PART, st.just("**")), min_size=1, max_size=3),
    st.sampled_from(["", "", "/", "/**", "/*", " "]),
)
NAME = st.text("abc.x*~ \xe0\n", min_size=1, max_size=4).filter(lambda name: name not in (".", "..")).map(str.encode)

NAMES = st.dictionaries(NAME, st.booleans(), max_size=8)  # whether it is a directory


@settings(max_examples=400, deadline=None)
@given(st.lists(PATTERN, min_size=1, max_size=6), st.lists(NAME, max_size=3), NAMES)
def test_the_quick_search_never_misses_what_pathspec_ignores(
    patterns: list[str], parts: list[bytes], names: dict[bytes, bool]
) -> None:
    directory = b"/".join(parts)
    ignore = Ignore(b"/nonexistent", patterns, ())
    rules = Rules(b"", b"", [pattern.encode() for pattern in patterns], [])
    plain = {n for n, is_dir in names.items() if rules.verdict(directory + b"/" + n if directory else n, is_dir) is True}
    found = ignore.ignored(directory, sorted(names), {name for name, is_dir in names.items() if is_dir})
    assert found == plain


@settings(max_examples=300, deadline=None)
@given(PATTERN.map(str.encode), NAME)
def test_a_name_that_matches_contains_a_needle(line: bytes, name: bytes) -> None:
    line = trimmed(line)
    if not line.strip(b"!/") or line.startswith(b"!") or unusable(line):
        return
    needles = needles_of(line)
    if needles and any(Rules(b"", b"", [line], []).verdict(name, is_dir) for is_dir in (False, True)):
        assert any(needle in b"\0" + name + b"\0" for needle in needles)


def git_ignored(root: Path, paths: list[bytes]) -> set[bytes]:
    done = subprocess.run(
        ["git", "-c", "core.excludesFile=", "check-ignore", "--stdin", "-z", "--no-index"],
        cwd=root,
        input=b"\0".join(paths) + b"\0",
        capture_output=True,
        env={"PATH": os.environ["PATH"], "HOME": str(root), "GIT_CONFIG_NOSYSTEM": "1"},
    )
    assert done.returncode in (0, 1), done.stderr
    return set(done.stdout.split(b"\0")) - {b""}


def own_ignored(root: Path, paths: list[bytes]) -> set[bytes]:
    ignore = Ignore(os.fsencode(root), [], FILES)
    return {path for path in paths if ignore.is_ignored(path, (root / os.fsdecode(path)).is_dir())}


def git_tree(root: Path) -> Path:
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    return root


def everything(root: Path) -> list[bytes]:
    found = []
    for base, directories, files in os.walk(os.fsencode(root)):
        if b".git" in directories:
            directories.remove(b".git")
        found += [os.path.relpath(os.path.join(base, name), os.fsencode(root)) for name in directories + files]
    return sorted(found)


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_git_gives_the_same_answers_on_a_real_tree(tmp_path: Path) -> None:
    root = git_tree(tmp_path / "tree")
    for directory in ("a/b/c", "foo/bar", "docs/_build/html", "x/foo/y", "build", "src/build", "a/build", "white/list/sub"):
        (root / directory).mkdir(parents=True)
    names = [b"x.c", b"x.o", b"keep.o", b"foo", b"a.pyc", b"caf\xc3\xa0", b"bad\xff", b"new\nline"]
    names += [b" lead", b"tail ", b"#x", b"!y", b"*"]
    for base, _, _ in list(os.walk(os.fsencode(root))):
        if b"/.git" not in base:
            for name in names:
                path = os.path.join(base, name)
                if not os.path.isdir(path):
                    Path(os.fsdecode(path)).touch()
    (root / ".gitignore").write_bytes(
        b"*.o\n!keep.o\n/build\ndocs/_build/\nfoo/*\n!foo/bar\n"
        b"*.py[co]\ncaf\xc3\xa0\nbad?\nnew?line\n\\#x\n\\!y\n lead\ntail\\ \n\\*\n"
    )
    (root / "a/.gitignore").write_text("build/\n*\n!*/\n!x.c\n!.gitignore\r\n")
    (root / "x/.gitignore").write_text("!foo\n")
    (root / "white/.gitignore").write_text("/*\n!/list\n/list/*\n!/list/sub/\n**/a.pyc\n")
    paths = everything(root)
    assert own_ignored(root, paths) == git_ignored(root, paths)


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(top=st.lists(PATTERN, max_size=5), deep=st.lists(PATTERN, max_size=4))
def test_git_gives_the_same_answers_for_any_patterns(
    tmp_path_factory: pytest.TempPathFactory, top: list[str], deep: list[str]
) -> None:
    root = tmp_path_factory.getbasetemp() / "any"
    if not root.exists():
        git_tree(root)
        for directory in ("a/b/ab", "ab/a/b", "b/x.c", "a~/a"):
            (root / directory).mkdir(parents=True, exist_ok=True)
        for base, _, _ in list(os.walk(os.fsencode(root))):
            if b"/.git" not in base:
                for name in (b"ba", b"a.b", b"b~", b"x.c", b"*", b"a b", b"a\xc3\xa0", b"\xc3\xa0", b"a\n", b".a"):
                    if not os.path.isdir(os.path.join(base, name)):
                        Path(os.fsdecode(os.path.join(base, name))).touch()
    usable = [[p for p in lines if not unusable(trimmed(p.encode()))] for lines in (top, deep)]
    (root / ".gitignore").write_bytes("\n".join(usable[0]).encode())
    (root / "a/.gitignore").write_bytes("\n".join(usable[1]).encode())
    paths = everything(root)
    assert own_ignored(root, paths) == git_ignored(root, paths)
