"""Which program a script names in its first line. Pure; apart, because a pool process that only hashes needs no more of core."""

from __future__ import annotations


def interpreter(head: bytes) -> str:
    """Return the program a script names in its first line ("python3", "bash"), "" when it names none.

    `#!/usr/bin/env` is looked through, with its options and assignments (env(1), -S).
    """
    if not head.startswith(b"#!"):
        return ""
    words = head[2:258].partition(b"\n")[0].split()
    if words and words[0].endswith(b"/env"):
        words = [word for word in words[1:] if not word.startswith(b"-") and b"=" not in word]
    program = words[0].rpartition(b"/")[2] if words else b""
    return program.decode("ascii", "ignore")
