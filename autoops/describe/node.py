"""Describe what is no regular content: a symbolic link by where it points, a file without content, a device by nothing more."""

from __future__ import annotations

from autoops import names
from autoops.model import JSON

NAME = "node"
VERSION = 1
LINK = "inode/symlink"  # file(1)'s words
EMPTY = "inode/x-empty"


def described(mime: str, data: bytes) -> JSON | None:
    """Return the descriptor of a file-system object, None for a type that is content.

    `data` is the target of a link.
    """
    if mime == LINK:
        return {"kind": "link", "target": names.show(data)}
    if mime == EMPTY:
        return {"kind": "empty"}
    return {"kind": "special"} if mime.startswith("inode/") else None
