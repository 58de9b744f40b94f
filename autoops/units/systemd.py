"""What systemd says about units, by way of systemctl.

Guarantee: a question is answered within ten seconds, or CannotTell; a unit's name is never taken for an option. Reads what
systemctl prints and /proc/self/cgroup; changes something only in `act`.
"""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from autoops.errors import CannotTell

BOOTED = Path("/run/systemd/system")  # sd_booted(3)
OURS = "autoops*"
DAEMONS = ("autoops-worker.service", "autoops-watcher.service")
TARGET = "autoops.target"
_TIMEOUT_S = 10.0
_PLAIN = {"LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": "", "SYSTEMD_URLIFY": "0", "TZ": "UTC"}
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]+\.[a-z]+")  # systemd.unit(5)

_NOT_HERE = "what systemd knows: it does not run here"

Shown = Mapping[str, str]  # property: value, as `systemctl show` has them


def is_booted() -> bool:
    """Tell whether systemd runs this machine (or container)."""
    return BOOTED.is_dir()


def is_unit(name: str) -> bool:
    """Tell whether this can be the name of one unit: no pattern, no option."""
    return _UNIT.fullmatch(name) is not None and not name.startswith("-")


def ask(*arguments: str, limit_s: float | None = _TIMEOUT_S) -> str:
    """Return what systemctl prints. Raises CannotTell when there is none, or it fails, or does not answer within `limit_s`."""
    if not is_booted():
        raise CannotTell(detail=_NOT_HERE, remedy="")
    import shutil  # 15 ms, where there is somebody to ask
    import subprocess

    program = shutil.which("systemctl")
    if program is None:
        raise CannotTell(detail=_NOT_HERE, remedy="")

    command = [program, "--no-pager", *arguments]
    try:
        run = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit_s, env={**os.environ, **_PLAIN}, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotTell(detail=f"what systemd knows: {error}", remedy="systemctl status") from None
    if run.returncode != 0:
        said = run.stderr.decode(errors="replace").strip().splitlines()
        reason = said[0] if said else f"systemctl ended with {run.returncode}"
        raise CannotTell(detail=f"what systemd knows: {reason}", remedy="ask as root, outside of a sandbox")
    return run.stdout.decode(errors="surrogateescape")


def act(*arguments: str) -> None:
    """Have systemctl change something, and wait for the end of it. Raises CannotTell when it does not.

    That may take minutes: a worker ends its batch first, a watcher is ready when all is watched. How long, the units say.
    """
    ask(*arguments, limit_s=None)


def show(units: Sequence[str], properties: Iterable[str]) -> list[Shown]:
    """Return these properties of each unit, in the order given; [] for no units. Raises CannotTell."""
    if not units:
        return []
    return parse_shown(ask("show", "--property", ",".join(["Id", *properties]), "--", *units))


def parse_shown(text: str) -> list[Shown]:
    """Return what `systemctl show` printed: a block of NAME=VALUE lines for each unit, an empty line between two."""
    found: list[dict[str, str]] = []
    for block in re.split(r"\n\n+", text.strip("\n")):
        lines = (line.partition("=") for line in block.split("\n") if "=" in line)
        found.append({name: value for name, _, value in lines})
    return [shown for shown in found if shown]


def seconds(value: str) -> int | None:
    """Return a point in time as `ask` has it ("Wed 2026-11-25 03:55:19 UTC"), in seconds since 1970; None for never."""
    found = re.fullmatch(r"\w+ (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC", value)
    return int(datetime.datetime.fromisoformat(f"{found[1]}+00:00").timestamp()) if found else None


def installed(pattern: str = OURS) -> list[str]:
    """Return the unit files that are installed, templates left out. Raises CannotTell."""
    return parse_names(ask("list-unit-files", "--no-legend", "--plain", "--full", "--", pattern))


def parse_names(text: str) -> list[str]:
    """Return the units, no templates, that `systemctl list-unit-files` or `list-units` listed, one a line."""
    first = (line.split()[0] for line in text.splitlines() if line.strip())
    return [name for name in first if "@." not in name]


def own_unit(cgroup: str | None = None) -> str:
    """Return the service that this process runs in, "" when it is none (proc_pid_cgroup in proc(5))."""
    try:
        text = Path("/proc/self/cgroup").read_text(errors="replace") if cgroup is None else cgroup
    except OSError:
        return ""
    for line in text.splitlines():
        part = line.rpartition("/")[2]
        if part.endswith(".service"):
            return part
    return ""
