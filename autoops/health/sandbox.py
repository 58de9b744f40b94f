"""Is there really but one writer, and are the services really shut in? By what systemd was told, and by what the kernel does.

The functions that judge are pure, over text as systemctl and /proc give it; the others read /proc. Writes nothing.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from autoops.errors import CannotTell
from autoops.files import mounts
from autoops.health.result import Level, Result
from autoops.names import show
from autoops.units import backups as backup_units
from autoops.units.systemd import Shown

WORKER = "autoops-worker.service"
PROPERTIES = (
    "ActiveState", "MainPID", "ProtectSystem", "ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths", "StateDirectory",
    "NoNewPrivileges", "PrivateUsers", "User",
)  # fmt: skip
_STATE_BASE = "/var/lib/"  # StateDirectory= is below it, systemd.exec(5)
_READ_ANYTHING = 1 << 2  # CAP_DAC_READ_SEARCH, which `autoops root add --read-all` gives


class Process(NamedTuple):
    """What the kernel says about one running service."""

    unit: str
    pid: int
    status: dict[str, str]  # /proc/PID/status
    mounts: list[mounts.Mount]  # as it sees them


# what systemd was told


def may_write(shown: Shown, path: str) -> bool:
    """Tell whether a unit, as systemd was told, may write a path: the deepest setting that covers it decides."""
    writable = [entry.lstrip("+-") for entry in shown.get("ReadWritePaths", "").split()]
    writable += [_STATE_BASE + entry.partition(":")[0] for entry in shown.get("StateDirectory", "").split()]
    closed = [entry.lstrip("+-") for name in ("ReadOnlyPaths", "InaccessiblePaths") for entry in shown.get(name, "").split()]
    open_depth, closed_depth = _depth(writable, path), _depth(closed, path)
    if open_depth < 0 and closed_depth < 0:
        return shown.get("ProtectSystem") != "strict"
    return open_depth > closed_depth


def _depth(entries: Sequence[str], path: str) -> int:
    return max((len(entry) for entry in entries if (path + "/").startswith(entry.rstrip("/") + "/")), default=-1)


def told(services: Sequence[Shown], registry: str, backups: str) -> Result:
    """Judge whether systemd was told that only the worker may write the registry."""
    name = "single writer, by the units"
    if not services:
        return Result(name, Level.OK, "no units are installed; the worker's lock is all there is")
    wrong = [one["Id"] for one in services if one["Id"] != WORKER and may_write(one, registry)]
    wrong += [one["Id"] for one in services if one["Id"] not in backup_units.UNITS and may_write(one, backups)]
    if wrong:
        said = f"{', '.join(sorted(set(wrong)))} may write {registry} or {backups}"
        remedy = f"systemctl cat {wrong[0]}: take away the drop-in that allows it, then systemctl daemon-reload and restart"
        return Result(name, Level.CRITICAL, said, remedy=remedy)
    worker = next((one for one in services if one["Id"] == WORKER), None)
    if worker is not None and not may_write(worker, registry):
        return Result(name, Level.CRITICAL, f"{WORKER} may not write {registry}", remedy=f"systemctl cat {WORKER}")
    return Result(name, Level.OK, f"of {len(services)} services only the worker may write {registry}")


# what the kernel does


def parse_status(text: str) -> dict[str, str]:
    """Return the fields of /proc/PID/status (proc_pid_status(5))."""
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


def loose(process: Process) -> list[str]:
    """Return in what a process is not shut in."""
    found = []
    status = process.status
    if status.get("NoNewPrivs") != "1":
        found.append("it may gain rights (NoNewPrivs)")
    if status.get("Seccomp") != "2":
        found.append("it may call anything (Seccomp)")
    capabilities = int(status.get("CapEff", "0") or "0", 16)
    if capabilities & ~_READ_ANYTHING:
        found.append(f"it has capabilities (CapEff {capabilities:x})")
    if status.get("Uid", "0").split()[:1] == ["0"]:
        found.append("it runs as root")
    return found


def in_force(processes: Sequence[Process]) -> Result:
    """Judge whether the running services are shut in."""
    name = "sandbox in force"
    if not processes:
        return Result(name, Level.OK, "no service runs under systemd: nothing to look at")
    for process in processes:
        found = loose(process)
        if found:
            remedy = f"systemctl cat {process.unit}; systemd-analyze security {process.unit}; then restart it"
            return Result(name, Level.CRITICAL, f"{process.unit} (process {process.pid}): {'; '.join(found)}", remedy=remedy)
    units = ", ".join(process.unit for process in processes)
    return Result(name, Level.OK, f"{units}: no new privileges, system calls filtered, no capability to write")


def registry_mounts(processes: Sequence[Process], registry: bytes) -> Result:
    """Judge whether the kernel lets only the worker write the registry."""
    name = "single writer, by the kernel"
    if not processes:
        return Result(name, Level.OK, "no service runs under systemd: nothing to look at")
    for process in processes:
        mount = mounts.deepest(registry, process.mounts)
        is_closed = mount is not None and mount.is_read_only
        if is_closed == (process.unit == WORKER):
            said = f"{process.unit} (process {process.pid}) sees {show(registry)} {'read-only' if is_closed else 'writable'}"
            return Result(name, Level.CRITICAL, said, remedy=f"systemctl cat {process.unit}; systemctl restart {process.unit}")
    return Result(name, Level.OK, f"{show(registry)} is read-only for every running service but the worker")


def processes(services: Sequence[Shown]) -> list[Process]:
    """Return the main processes of running services. Raises CannotTell when the kernel does not let us look at one."""
    found = []
    for shown in services:
        pid = int(shown.get("MainPID", "0") or "0")
        if pid <= 0 or shown.get("ActiveState") not in ("active", "reloading"):
            continue
        try:
            status = parse_status(Path(f"/proc/{pid}/status").read_text(errors="replace"))
            found.append(Process(shown["Id"], pid, status, mounts.parse(Path(f"/proc/{pid}/mountinfo").read_bytes())))
        except PermissionError:
            raise CannotTell(detail=f"how process {pid} is shut in: it is another user's", remedy="ask as root") from None
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            continue
    return found


# who holds the registry


def lock_holder(locks: str, inode: int) -> int | None:
    """Return which process holds the flock(2) on a file, None when none does (/proc/locks, proc_locks(5)).

    The device is not compared: some file systems show another one there than stat(2) does.
    """
    for line in locks.splitlines():
        fields = line.split()
        if len(fields) >= 6 and fields[1] == "FLOCK" and fields[3] == "WRITE" and fields[5].rpartition(":")[2] == str(inode):
            return int(fields[4])
    return None


def writers_of(path: Path) -> Iterator[int]:
    """Yield the processes, of those that we may look at, that have a file open for writing. Raises OSError."""
    wanted = path.stat()
    for name in os.listdir("/proc"):
        if name.isdecimal() and _has_open(int(name), wanted):
            yield int(name)


def _has_open(pid: int, wanted: os.stat_result) -> bool:
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            found = os.stat(f"/proc/{pid}/fd/{fd}")
            if os.path.samestat(found, wanted) and stat.S_ISREG(found.st_mode) and _is_writing(pid, fd):
                return True
    except OSError:  # another user's, or it has just ended
        pass
    return False


def _is_writing(pid: int, fd: str) -> bool:
    info = Path(f"/proc/{pid}/fdinfo/{fd}").read_text()
    flags = re.search(r"^flags:\s*([0-7]+)$", info, re.MULTILINE)
    return flags is not None and int(flags[1], 8) & os.O_ACCMODE != os.O_RDONLY


def lock(holder: int | None, worker: int | None, writers: Sequence[int]) -> Result:
    """Judge who holds the worker's lock and who else writes the registry.

    holder: the process with the lock; worker: the one whose heartbeat says that it is the worker and lives; writers: those that
    have registry.db open for writing.
    """
    name = "single writer, by the lock"
    if worker is not None and holder != worker:
        who = "nobody" if holder is None else f"process {holder}"
        return Result(
            name, Level.CRITICAL, f"process {worker} is the worker, but {who} holds its lock", remedy="restart the worker"
        )
    others = [pid for pid in writers if pid not in (holder, worker)]
    if others:
        said = f"process {others[0]} has registry.db open for writing, and is not the worker"
        return Result(name, Level.CRITICAL, said, remedy=f"ps -o user,args -p {others[0]}; edit in a maintenance window only")
    if holder is None:
        return Result(name, Level.OK, "no worker runs, and nobody else has the registry open for writing")
    return Result(name, Level.OK, f"process {holder} holds the lock, and nobody else has the registry open for writing")
