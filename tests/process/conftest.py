"""The fixtures of the process tests."""

from archiving import archived_state, make_vault, s3, sshd, vault
from suites import make_shared, make_suite, shared, still, suite
from telling import sink, told

__all__ = [
    "archived_state",
    "make_shared",
    "make_suite",
    "make_vault",
    "s3",
    "shared",
    "sink",
    "sshd",
    "still",
    "suite",
    "told",
    "vault",
]
