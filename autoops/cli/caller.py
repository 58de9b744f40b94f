"""Who runs a command, as ledger, findings and alerts name them."""

from __future__ import annotations

import getpass
import os

from autoops import names


def caller() -> str:
    """Return a name: behind sudo(8) that of the person, not root; where nobody has this user number, the number."""
    try:
        return names.show(os.environ.get("SUDO_USER") or getpass.getuser())
    except (KeyError, OSError):  # since Python 3.13 the second
        return f"user {os.getuid()}"
