"""One runner of playbooks at a time."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from autoops.files.lock import locked
from autoops.playbook.errors import AnotherRunner


def held(path: Path) -> AbstractContextManager[None]:
    """Hold the lock. Raises AnotherRunner at once, OSError."""
    return locked(path, lambda pid: AnotherRunner(pid=pid))
