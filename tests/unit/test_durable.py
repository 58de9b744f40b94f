"""Files are replaced whole, whatever a writer that died left behind."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from autoops.acting import as_owner_of
from autoops.files import durable

DIES_HALF_WAY = """
import os, signal, sys
from pathlib import Path
from autoops.files import durable
os.fsync = lambda _fd: os.kill(os.getpid(), signal.SIGKILL)
durable.write(Path(sys.argv[1]), b"half" * 1000)
"""


def test_a_writer_that_is_killed_leaves_the_old_content_and_the_next_one_takes_its_leavings_over(tmp_path: Path) -> None:
    path = tmp_path / "file"
    durable.write(path, b"old")
    died = subprocess.run([sys.executable, "-c", DIES_HALF_WAY, str(path)])
    assert died.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 2
    durable.write(path, b"new")
    assert path.read_bytes() == b"new" and list(tmp_path.iterdir()) == [path]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_cannot_be_written_leaves_no_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    with pytest.raises(IsADirectoryError):
        durable.write(tmp_path / "directory", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["directory"]


def test_what_somebody_put_where_the_temporary_file_goes_is_not_written(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"other")
    os.link(other, tmp_path / ".file.tmp")
    durable.write(tmp_path / "file", b"new")
    assert (other.read_bytes(), (tmp_path / "file").read_bytes()) == (b"other", b"new")


def test_the_name_of_a_new_file_is_synced_with_its_first_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = list[str]()
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    durable.append_line(tmp_path / "lines", b"one")
    assert synced == [str(tmp_path)]
    durable.append_line(tmp_path / "lines", b"two")
    assert synced == [str(tmp_path)]


def test_a_line_is_appended_after_a_torn_one(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    durable.append_line(path, b"one")
    with path.open("ab") as out:
        out.write(b"to")
    durable.append_line(path, b"three")
    assert path.read_bytes() == b"one\nto\nthree\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_root_has_no_more_rights_in_a_directory_than_its_owner(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.write_bytes(b"ours")
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)
    opened = os.open(ours.parent, os.O_RDONLY)
    before = os.getgroups()
    try:
        with as_owner_of(theirs):
            assert (os.geteuid(), os.getegid(), os.getgroups()) == (65534, 65534, [65534])
            with pytest.raises(PermissionError):
                os.chown("ours", 65534, 65534, dir_fd=opened)
    finally:
        os.close(opened)
    assert (os.geteuid(), os.getegid(), os.getgroups()) == (0, 0, before)
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    os.chown(link, 65534, 65534, follow_symlinks=False)
    with as_owner_of(link):
        assert os.geteuid() == 65534, "who made the link decides, not what it leads to"
