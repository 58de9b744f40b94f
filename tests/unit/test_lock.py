"""A lock on a file: one at a time, who is refused is told by whom, and no link is followed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from autoops.files.lock import locked

HOLDER = """
import sys, time
from pathlib import Path
from autoops.files.lock import locked
with locked(Path(sys.argv[1]), RuntimeError):
    print("held", flush=True)
    time.sleep(600)
"""


class Refused(Exception):
    """By process ..."""


def test_who_is_refused_is_told_by_whom_until_that_one_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE) as holder:
        assert holder.stdout and holder.stdout.readline() == b"held\n"
        for wait_s in (0.0, 0.1):
            with pytest.raises(Refused) as refused, locked(path, Refused, wait_s):
                pass
            assert refused.value.args == (str(holder.pid),)
        holder.kill()
        with locked(path, Refused, 30.0):
            assert path.read_text() == f"{os.getpid()}\n"


def test_what_fails_while_it_is_held_is_not_taken_for_a_refusal_and_gives_it_up(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with pytest.raises(BlockingIOError), locked(path, Refused):
        raise BlockingIOError
    with locked(path, Refused):
        pass


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="Too many levels"), locked(tmp_path / "lock", Refused):
        pass
    assert not (tmp_path / "elsewhere").exists()
