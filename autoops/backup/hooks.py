"""Programs of the operator around a snapshot: what stands in pre-snapshot.d is run before it, what in post-snapshot.d after it.

As run-parts(8) has it: names of letters, digits, "-" and "_", executable, in the order of their names; the rest is left alone. One
that others than root or this user may change is not run, and counts as failed. A hook gets its own process group, which is killed
when its time is over, and, with whatever it left behind, when it ends; PATH, LANG and AUTOOPS_* for an environment; / to stand in.
Writes nothing itself.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from autoops import names
from autoops.backup.errors import HookFailed
from autoops.log import emit
from autoops.runtime.child import Child

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_ENVIRONMENT = {"LANG": "C.UTF-8", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
_SAID_BYTES = 2000  # of what a hook says, the end is told
When = Literal["pre", "post"]


class Hooks(NamedTuple):
    """What hooks are run with. `directory` holds pre-snapshot.d and post-snapshot.d; `timeout_s` is for each."""

    directory: Path
    state: Path
    timeout_s: float


def run_before(hooks: Hooks, snapshot: str) -> None:
    """Run what comes before a snapshot of this name. Raises HookFailed at the first that fails: then there is to be no snapshot."""
    for hook in _found(hooks, "pre"):
        _run(hook, hooks, {"AUTOOPS_HOOK": "pre", "AUTOOPS_SNAPSHOT": snapshot})


def run_after(hooks: Hooks, snapshot: str, path: Path) -> list[HookFailed]:
    """Run all that comes after a snapshot, which lies at `path`; return what failed. The snapshot stays good whatever they do."""
    failed = []
    told = {"AUTOOPS_HOOK": "post", "AUTOOPS_SNAPSHOT": snapshot, "AUTOOPS_SNAPSHOT_PATH": str(path)}
    try:
        found = _found(hooks, "post")
    except HookFailed as error:
        return [error]
    for hook in found:
        try:
            _run(hook, hooks, told)
        except HookFailed as error:
            failed.append(error)
    return failed


def _found(hooks: Hooks, when: When) -> list[Path]:
    """Return the hooks there are, in their order. Raises HookFailed when their directory cannot be read."""
    directory = hooks.directory / f"{when}-snapshot.d"
    try:
        paths = [directory / name for name in sorted(os.listdir(directory)) if _NAME.fullmatch(name)]
        return [path for path in paths if path.is_file() and os.access(path, os.X_OK, effective_ids=True)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise HookFailed(hook=directory, reason=f"it cannot be read ({error.strerror})") from None


def _run(hook: Path, hooks: Hooks, told: Mapping[str, str]) -> None:
    began_s = time.monotonic()
    said = b""
    try:
        if unsafe := _unsafe(hook.parent) or _unsafe(hook):
            raise HookFailed(hook=hook, reason=unsafe)
        environment = {**_ENVIRONMENT, **told, "AUTOOPS_STATE": str(hooks.state)}
        child = Child([str(hook)], environment=environment, directory=Path("/"))
    except OSError as error:
        raise HookFailed(hook=hook, reason=f"it cannot be started ({error.strerror})") from None
    try:
        child.close_input()
        for part in child.output(began_s + hooks.timeout_s):
            said = (said + part)[-_SAID_BYTES:]
        reason = _how(child.ended())
    except TimeoutError:
        reason = f"it took longer than {hooks.timeout_s:g} s"
    finally:
        words = _last_line(child.said()) or _last_line(said)
        child.close()
    if reason:
        raise HookFailed(hook=hook, reason=f"{reason}; it said: {words}" if words else reason)
    emit("hook_ran", hook=str(hook), took_s=round(time.monotonic() - began_s, 3))


def _unsafe(path: Path) -> str:
    """Return why nobody knows who wrote what stands at a path; "" when only root or this user can have."""
    found = path.stat()
    if found.st_uid not in (0, os.geteuid()):
        return f"{path} belongs to user {found.st_uid}: it must be root's, or of the user that takes the snapshot ({os.geteuid()})"
    if stat.S_IMODE(found.st_mode) & 0o022:
        return f"others may write {path}: chmod go-w"
    return ""


def _how(status: int | None) -> str:
    if not status:
        return ""
    return f"it was killed by signal {-status}" if status < 0 else f"it ended with status {status}"


def _last_line(said: bytes) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    return names.show(lines[-1][-300:]) if lines else ""
