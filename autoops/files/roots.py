"""What a root's top directory is, so that an unmounted tree is told from an emptied one."""

from __future__ import annotations

import json
import os

from autoops.files import opening


def identity(root: bytes) -> str:
    """Return what the top directory of a root is: its inode and its file system's id, as JSON. Raises OSError.

    Not its device number: that is given anew at each boot. `f_fsid` comes from the file system's UUID where it has one.
    """
    found = os.stat(root)
    return json.dumps({"fsid": os.statvfs(root).f_fsid, "inode": found.st_ino}, sort_keys=True)


def holds_any(root: bytes, paths: list[bytes]) -> bool:
    """Tell whether at least one of these paths exists below a root, without a link in the way."""
    return any(opening.file_at(root, path) for path in paths)
