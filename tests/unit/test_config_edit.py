"""A root is added to, and taken out of, what somebody wrote; the rest stays byte for byte."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from autoops import config as configuration
from autoops.config import RootConfig, edit

SHIPPED = Path(__file__).parents[2] / "etc" / "autoops.toml"
ROOT = RootConfig(b"/srv/d", "docs", "rename")
NAMES = [b"/srv/d", b"/srv/a b", b"/srv/\xff", b'/srv/"', b"/srv/\\", b"/srv/a\nb", "/srv/é\u202e".encode()]


def roots(text: str) -> tuple[RootConfig, ...]:
    return configuration.parse_file(text.encode(), Path("x.toml")).roots


@pytest.mark.parametrize("path", NAMES)
@pytest.mark.parametrize("text", ["", "[log]\nlevel = 'info'", "[log]\nlevel = 'info'\n", "# nothing\n\n"])
def test_a_root_is_added_at_the_end_whatever_it_is_called(text: str, path: bytes) -> None:
    for root in (RootConfig(path), RootConfig(path, "a 'name'"), RootConfig(path, "", "observe")):
        changed = edit.with_root(text, root)
        assert changed.startswith(text) and roots(changed) == (root,)


def test_the_shipped_file_takes_a_root_and_gives_it_back() -> None:
    text = SHIPPED.read_text()
    assert roots(edit.with_root(text, ROOT)) == (ROOT,)
    assert edit.without_root(edit.with_root(text, ROOT), 0) == text


THREE = """# mine
[[root]]
path = "/a"

# about b
[[root]]
path = "/b"
ignore = [
    "x",
    # a comment
    "[[root]]",
]
name = "b" # its name

# about c
[[root]]
path = "/c"

# about the log
[log]
level = "info"
"""


@pytest.mark.parametrize("number", [0, 1, 2])
def test_one_of_several_roots_is_taken_out(number: int) -> None:
    before = roots(THREE)
    changed = edit.without_root(THREE, number)
    assert roots(changed) == before[:number] + before[number + 1 :]
    assert [line for line in THREE.splitlines() if line.startswith("#")] == [
        line for line in changed.splitlines() if line.startswith("#")
    ], "comments are kept: nobody knows what they are about"
    assert "\n\n\n" not in changed and changed.endswith('[log]\nlevel = "info"\n')


def test_roots_that_are_no_tables_are_not_guessed_at() -> None:
    with pytest.raises(KeyError):
        edit.without_root('root = [{ path = "/a" }]\n', 0)


# the backup directory


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing",
        "[log]\nlevel = 'info'\n",
        "[backup]\n",
        "[backup] # where\nkeep_last = 4\n\n[log]\nlevel = 'info'\n",
        "[backup]\nkeep_last = 4\ndirectory = '/old' # the old one\n",
        "backup.directory = '/old'\n",
        SHIPPED.read_text(),
    ],
)
@pytest.mark.parametrize("directory", ["/mnt/disk/autoops", '/mnt/it\'s \\ "mine"\t\u202e', ""])
def test_another_backup_directory_is_all_that_changes(text: str, directory: str) -> None:
    before = configuration.parse_file(text.encode(), Path("x.toml"))
    changed = edit.with_backup_directory(text, directory)
    wanted = dataclasses.replace(before, backup=dataclasses.replace(before.backup, directory=directory))
    assert configuration.parse_file(changed.encode(), Path("x.toml")) == wanted
    assert len(set(text.splitlines()) - set(changed.splitlines())) <= 1
