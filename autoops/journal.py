"""The journal's native protocol: records with fields of their own (systemd.io/JOURNAL_NATIVE_PROTOCOL).

Guarantee: `send` says whether the record was handed over; it waits at most a second and raises nothing the network may raise.
Writes to journald's datagram socket.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Mapping
from typing import Any, Final

ADDRESS: Final = "/run/systemd/journal/socket"
SEND_TIMEOUT_S: Final = 1.0  # a journal that hangs must not hang a daemon
_NAME = re.compile(r"[A-Z0-9][A-Z0-9_]{0,63}")  # journald drops every other field


def is_journal(stream: str, file: Any) -> bool:
    """Say whether an open file is the journal, given JOURNAL_STREAM ("device:inode", systemd.exec(5)).

    Children inherit the variable but may have their output redirected, so the numbers must match.
    """
    try:
        there = os.fstat(file.fileno())
    except (OSError, ValueError):  # closed, or no real file
        return False
    return stream == f"{there.st_dev}:{there.st_ino}"


def is_stderr() -> bool:
    """Say whether standard error is the journal: elsewhere a person, or cron, reads what a command prints."""
    return is_journal(os.environ.get("JOURNAL_STREAM", ""), sys.stderr)


def encode(fields: Mapping[str, str]) -> bytes:
    """Return one record; a value with newlines goes with its length, so that it cannot add a field."""
    record = bytearray()
    for name, value in fields.items():
        assert _NAME.fullmatch(name), name
        raw = value.encode()
        if b"\n" in raw:
            record += name.encode() + b"\n" + len(raw).to_bytes(8, "little") + raw + b"\n"
        else:
            record += name.encode() + b"=" + raw + b"\n"
    return bytes(record)


def send(fields: Mapping[str, str], address: str = ADDRESS) -> bool:
    """Hand one record to the journal; False when it cannot be: nobody there, too large (EMSGSIZE), no answer in time.

    A socket a record (10 µs) rather than one kept open: journald may be restarted, and pool children may be forked.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(SEND_TIMEOUT_S)
            sender.sendto(encode(fields), address)
    except OSError:
        return False
    return True
