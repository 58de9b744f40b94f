"""Command lines of the programs that register and check trees, shared by the workloads W1 and W2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from shlex import quote

NEEDS = {"aide": "program aide", "hashdeep": "program hashdeep", "git": "program git", "restic": "program restic"}

_AIDE = """database_in=file:{work}/aide.db
database_out=file:{work}/aide.new
gzip_dbout=no
num_workers=2
report_url=file:{work}/aide.report
Everything = ftype+p+i+n+u+g+s+m+c+sha256
{tree} Everything
"""


def shell(command: str) -> list[str]:
    """Return a command line that runs a pipeline."""
    return ["sh", "-c", command]


def run(command: str, environment: dict[str, str]) -> None:
    """Run a pipeline that prepares something. Raises CalledProcessError."""
    subprocess.run(shell(command), env=environment, check=True, stdin=subprocess.DEVNULL, capture_output=True)


def floor(what: str, *paths: Path) -> list[str]:
    """Return the command line of one of our own floors."""
    return [sys.executable, "-m", "bench.floor", what, *map(str, paths)]


def each_file(tree: Path, program: str) -> str:
    """Return a pipeline that gives every file to a program, two processes at a time."""
    return f"find {quote(str(tree))} -type f -print0 | xargs -0 -P2 -n 500 {program}"


def write_aide_rules(tree: Path, work: Path) -> None:
    """Write aide's configuration: sha256 and everything a registry notes, two readers."""
    (work / "aide.conf").write_text(_AIDE.format(work=work, tree=tree))


def aide(work: Path, action: str) -> str:
    """Return the pipeline of an action of aide."""
    return f"aide --config={quote(str(work / 'aide.conf'))} --{action}"


def git(tree: Path, work: Path) -> str:
    """Return the beginning of a git command whose repository lies outside the tree."""
    return f"git --git-dir={quote(str(work / 'git'))} --work-tree={quote(str(tree))} -c gc.auto=0"


def restic(work: Path) -> str:
    """Return the beginning of a restic command; its repository and cache lie in the working directory."""
    place = quote(str(work))
    return f"RESTIC_PASSWORD=bench RESTIC_PROGRESS_FPS=0.01 restic --cache-dir {place}/restic-cache -r {place}/restic"


def hashdeep(tree: Path) -> str:
    """Return the beginning of a hashdeep command; the tree comes last."""
    return f"hashdeep -r -c sha256 {quote(str(tree))}"
