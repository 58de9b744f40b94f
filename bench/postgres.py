"""A throw-away PostgreSQL on a Unix socket, with its default durability, for the peers that need one."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ACCOUNT = "postgres"  # PostgreSQL refuses to run as root


def programs() -> Path | None:
    """Return the directory of PostgreSQL's programs; Debian keeps them out of PATH, pg_config tells where."""
    if found := shutil.which("pg_ctl"):
        return Path(found).parent
    if asker := shutil.which("pg_config"):
        said = subprocess.run([asker, "--bindir"], capture_output=True, text=True, check=False).stdout.strip()
        if said and (Path(said) / "pg_ctl").exists():
            return Path(said)
    return None


@contextlib.contextmanager
def running(place: Path) -> Iterator[dict[str, str]]:
    """Run a server whose data lie in `place`, an empty directory; give the variables by which clients find it.

    Raises CalledProcessError when it does not start; its log is place/log.
    """
    where = programs()
    assert where, "asked only when there is one"
    data = place / "data"
    become: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="autoops-bench-pg-") as socket:  # a socket's path must be short (unix(7))
        if os.geteuid() == 0:
            owner = pwd.getpwnam(ACCOUNT)
            become = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
            for directory in (place, Path(socket)):
                os.chown(directory, owner.pw_uid, owner.pw_gid)

        def call(*words: str) -> None:
            subprocess.run(words, check=True, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **become)

        control = str(where / "pg_ctl")
        call(str(where / "initdb"), "-D", str(data), "-U", ACCOUNT, "-A", "trust")
        call(control, "-D", str(data), "-w", "-l", str(place / "log"), "-o", f"-c listen_addresses='' -k '{socket}'", "start")
        try:
            yield {"PGHOST": socket, "PGUSER": ACCOUNT, "PGDATABASE": ACCOUNT}
        finally:
            call(control, "-D", str(data), "-w", "-m", "fast", "stop")
