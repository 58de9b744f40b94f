"""There are no watches left, or a directory may not be read: health says which part is not watched, and nothing is lost there.

The limit is that of a user namespace (user.max_inotify_watches), so that nobody else on this machine is short of watches. The
control is a watcher that does not say what it could not watch.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from changing import changed
from judge import require_whole
from running import Suite, environment

WATCHES, DIRECTORIES = 8, 20
OWN_LIMIT = ("unshare", "--user", "--map-root-user")
LIMITED = (*OWN_LIMIT, "sh", "-c", f'echo {WATCHES} >/proc/sys/user/max_inotify_watches && exec "$@"', "sh")
MORTAL = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all")
SILENT = """
from autoops.watch.coverage import Coverage
Coverage.open_gap = lambda *_: None
"""


@pytest.fixture
def suite(suite: Suite) -> Suite:
    for number in range(DIRECTORIES):
        (suite.root / f"d{number:02}").mkdir()
        (suite.root / f"d{number:02}" / "before").write_text(f"{number}\n")
    return suite


def need(*command: str) -> None:
    if not shutil.which(command[0]) or subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip(f"{command[0]} cannot do that here")


def unheard(suite: Suite) -> set[str]:
    """Return the directories in which a new file is not heard of."""
    for number in range(DIRECTORIES):
        (suite.root / f"d{number:02}" / "probe").write_text(f"probe {number}\n")
    suite.idle()
    return {f"d{number:02}" for number in range(DIRECTORIES)} - {
        os.fsdecode(path).partition("/probe")[0] for _, path in suite.active()
    }


def require_told(suite: Suite, unwatched: set[str], reason: str) -> None:
    """Health says that it is a part only, and names it; `coverage` names all of it."""
    told = suite.check("coverage")
    assert told["level"] == "WARNING" and f"{len(unwatched)} place" in told["text"] and reason in told["text"], told["text"]
    named = [word.rstrip(",") for word in told["text"].split() if word.startswith("tree/")]
    assert len(named) == min(3, len(unwatched)) and {name.removeprefix("tree/") for name in named} <= unwatched, told
    now = suite.run("coverage", "--json", config=True).json["now"]
    assert {(gap["path"], gap["reason"]) for gap in now} == {(path, reason) for path in unwatched}


def start_limited(suite: Suite) -> set[str]:
    """Start services, the watcher with few watches; return the directories in which it hears nothing."""
    need(*LIMITED)
    suite.start("worker")
    suite.start("watcher", before=LIMITED)
    suite.idle()
    unwatched = unheard(suite)
    assert len(unwatched) > DIRECTORIES - WATCHES
    return unwatched


def test_directories_over_the_watch_limit_are_named_and_what_is_in_them_is_found_by_a_scan(suite: Suite) -> None:
    require_told(suite, start_limited(suite), "watch-limit")
    suite.run("scan", config=True)
    suite.idle()
    suite.require_disk_registered()
    suite.stop("watcher")
    suite.start("watcher")
    suite.until(lambda: suite.check("coverage")["level"] == "OK", "with watches, everything is watched")
    for number in range(DIRECTORIES):
        (suite.root / f"d{number:02}" / "probe").unlink()
    suite.idle()
    assert unheard(suite) == set()
    require_whole(suite)


def test_control_a_watcher_that_does_not_say_so_seems_to_watch_everything(suite: Suite) -> None:
    with changed(suite, SILENT):
        unwatched = start_limited(suite)
    with pytest.raises(AssertionError, match="everything is watched"):
        require_told(suite, unwatched, "watch-limit")


def start_mortal(suite: Suite) -> None:
    """Start services that obey file permissions, even for root, with a directory that they may not read."""
    if os.geteuid() == 0:
        need(*MORTAL)
    suite.once()
    (suite.root / "d00").chmod(0)
    suite.start(before=MORTAL if os.geteuid() == 0 else ())
    suite.run("scan", config=True)
    suite.idle()


def test_a_directory_that_may_not_be_read_is_named_until_it_may_and_nothing_in_it_is_called_missing(suite: Suite) -> None:
    start_mortal(suite)
    require_told(suite, {"d00"}, "unreadable")
    assert "unreadable: Permission denied" in suite.run("coverage", config=True).out
    assert ("tree", b"d00/before") in suite.active()
    (suite.root / "d00").chmod(0o755)
    suite.until(lambda: suite.check("coverage")["level"] == "OK", "it is watched at once")
    assert unheard(suite) == set()
    (over,) = suite.run("coverage", "--json", config=True).json["unwatched"]
    assert over["reason"] == "unreadable" and not over["still"]
    require_whole(suite)


def test_control_a_watcher_that_does_not_say_so_seems_to_watch_what_it_may_not_read(suite: Suite) -> None:
    try:
        with changed(suite, SILENT):
            start_mortal(suite)
        with pytest.raises(AssertionError, match="everything is watched"):
            require_told(suite, {"d00"}, "unreadable")
    finally:
        (suite.root / "d00").chmod(0o755)


AGAIN = """
import os
from pathlib import Path
from watching import watching
limit = Path("/proc/sys/user/max_inotify_watches")
limit.write_text("8")
top = Path(os.environ["TOP"])
for number in range(20):
    (top / f"root/d{number:02}").mkdir(parents=True)
with watching(top / "root", top / "state") as watch:
    watch.until(lambda: len(watch.kept.gaps) >= 14)
    assert set(watch.kept.gaps.values()) == {"watch-limit"}, watch.kept.gaps
    assert "gaps" in watch.watcher.status() and " 0 gaps" not in watch.watcher.status()
    watch.kept.forget()
    limit.write_text("1000")
    watch.until(lambda: not watch.kept.gaps)
    assert len(watch.kept.scans()) >= 14
    assert watch.blind() == set()
"""


def test_when_there_are_watches_again_the_same_watcher_takes_them(tmp_path: Path) -> None:
    need(*OWN_LIMIT)
    env = environment(PYTHONPATH=str(Path(__file__).parents[1] / "process"), TOP=str(tmp_path))
    done = subprocess.run([*OWN_LIMIT, sys.executable, "-c", AGAIN], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
