"""The words of autoops as values. No behaviour beyond conversion, no I/O, no dependency on any room.

NamedTuples, not dataclasses: a frozen dataclass with slots costs 1.2 µs to make, a NamedTuple 0.3 µs, and a first scan makes a
million of them.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

Kind = Literal["file", "link", "fifo", "socket", "block", "char"]
Status = Literal["active", "missing", "retired"]
Policy = Literal["observe", "register", "rename"]
JobKind = Literal["path", "scan", "describe", "patch", "catalog", "note", "checkpoint"]
JobState = Literal["queued", "running", "completed", "failed", "dead_letter"]

CANARY = ".autoops-canary"  # the file in a root that the health check rewrites to see that it is noticed

JSON = dict[str, Any]
File = tuple[int, int]  # inode, birth time in ns: an inode number alone is given to another file the moment this one is deleted

PRIORITY_OPERATOR = 0  # a person waits
PRIORITY_LIVE = 10  # somebody just changed this file
PRIORITY_RETRY = 20  # a file that could not be taken at once
PRIORITY_SCAN = 50
PRIORITY_CATALOG = 70
PRIORITY_SCRUB = 80  # a file that is read again only to see that it still is what it was
PRIORITY_DESCRIBE = 90
PRIORITIES = (
    *(PRIORITY_OPERATOR, PRIORITY_LIVE, PRIORITY_RETRY, PRIORITY_SCAN),
    *(PRIORITY_CATALOG, PRIORITY_SCRUB, PRIORITY_DESCRIBE),
)


class Observation(NamedTuple):
    """What the disk says about one path now. Times in nanoseconds since 1970."""

    kind: Kind
    size_bytes: int
    mtime_ns: int
    inode: int
    birth_ns: int  # 0: the file system does not say
    sha256: bytes | None  # of the content, or of a link's target; None for what is never opened
    mime: str

    @property
    def file(self) -> File:
        """Which file it is, whatever it is called and holds."""
        return self.inode, self.birth_ns


class Described(NamedTuple):
    """What stage two found out about one content."""

    sha256: bytes | None = None  # the content it was made from
    descriptor: JSON | None = None
    class_name: str | None = None
    class_rule: str | None = None  # which rule decided; "operator:NAME" when a person did
    confidence: int | None = None  # percent
    tags: tuple[str, ...] = ()


UNDESCRIBED = Described()


class Entry(NamedTuple):
    """What the registry says about one document."""

    id: str  # 16 digits, "" until the commit gives one
    rev: int  # 1 when created, one more with each change
    root: str  # the root's name
    path: bytes  # below the root
    observation: Observation
    status: Status = "active"
    since_s: int = 0  # when the status began, seconds since 1970
    described: Described = UNDESCRIBED


class Change(NamedTuple):
    """One patch, decided but not yet committed: `before` None creates, else a compare-and-swap on `before.rev`."""

    before: Entry | None
    after: Entry
    evidence: JSON  # {"kind": …, "confidence": percent, …}: why this is the same, or a new, document
    ctime_ns: int = 0  # the inode's change time when the content was read, negative if it proves nothing; not part of the entry


class Job(NamedTuple):
    """One row of the queue, as claimed."""

    id: int
    attempt: int  # the fence: complete, fail and extend must carry it
    kind: JobKind
    key: bytes
    priority: int
    facts: JSON
    attempts: int  # how often it was claimed, this time included
    waited_s: float = 0.0  # from when it was due until it was claimed


class Work(NamedTuple):
    """One job to enqueue."""

    kind: JobKind
    key: bytes
    priority: int = PRIORITY_LIVE
    facts: JSON | None = None
    delay_s: float = 0.0


def note(key: str, actor: str, source: str, reason: str) -> Work:
    """Return a job that has the ledger say something: a record without patches, written once for each key, however often it is
    enqueued. `actor`, `source` and `reason` are those of the record."""
    return Work("note", key.encode(), PRIORITY_OPERATOR, {"actor": actor, "reason": reason, "source": source})


CHECKPOINT = Work("checkpoint", b"registry", PRIORITY_OPERATOR)  # has the worker carry over the registry's WAL, which is its own


def path_key(root: str, path: bytes) -> bytes:
    """Return the queue key of a file or directory: root name, NUL, path below the root."""
    return root.encode() + b"\0" + path


def split_key(key: bytes) -> tuple[str, bytes]:
    """Return (root name, path below the root) of a key made by `path_key`."""
    root, _, path = key.partition(b"\0")
    return root.decode(), path


class ClassRule(NamedTuple):
    """One classification rule; every condition that is given must hold. First match wins, in the order of the configuration."""

    rule: str  # its name, kept with the entry as "which rule decided"
    class_name: str
    glob: tuple[str, ...] = ()  # on the path below the root, or on the name alone when it has no slash
    type: tuple[str, ...] = ()  # MIME types, "text/*" allowed
    shebang: tuple[str, ...] = ()  # interpreter names: "python3", "bash"
    content: str = ""  # regular expression, searched in the first 4096 bytes as text
    descriptor: tuple[tuple[str, str], ...] = ()  # ("kind", "python"), ("front_matter.type", "policy*"): dotted field, glob
    confidence: int = 80  # percent
    tags: tuple[str, ...] = ()
