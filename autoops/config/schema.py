"""Every key of the configuration: its type, default and range. Why a default is what it is stands in etc/autoops.toml."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from autoops import log, names
from autoops.model import ClassRule, Policy

MIB = 1024 * 1024
YEAR_S = 366 * 86400.0
NETWORK_TYPES = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "davfs", "lustre", "gfs2", "ocfs2", "virtiofs")
FUSE_TYPES = tuple(f"fuse.{name}" for name in ("sshfs", "s3fs", "rclone", "gcsfuse", "glusterfs", "vmhgfs-fuse"))
POLICIES: tuple[str, ...] = get_args(Policy)


def key(
    default: Any,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[str] = (),
    check: Callable[[str], str] | None = None,
    name: str = "",
    required: bool = False,
) -> Any:
    """Return the field of one key. `check` looks at each text of the value and returns what is wrong with it, or ""."""
    facts = {"low": low, "high": high, "choices": tuple(choices), "check": check, "name": name, "required": required}
    return field(default=default, metadata=facts)


def _not_empty(text: str) -> str:
    return "" if text.strip() and text.isprintable() else "must be a word or sentence of one line"


def _pattern(text: str) -> str:
    """Check a gitignore line or a glob; what is left open matches only itself, which nobody means."""
    if not text.strip() or not text.isprintable():
        return "must be a pattern of one line"
    without = re.sub(r"\\.|\[[!^]?\]?[^]]*\]", "", text)
    return "a [ is never closed" if "[" in without else ""


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        return f"not a regular expression: {error}"
    return ""


def _hours(text: str) -> str:
    found = _HOURS.fullmatch(text) if text else None
    if text and not found:
        return "must be two times of day such as 01:00-05:00, or empty"
    return "begins when it ends" if found and found[1] == found[2] else ""


_HOURS = re.compile(r"((?:[01]\d|2[0-3]):[0-5]\d)-((?:[01]\d|2[0-3]):[0-5]\d)")


def _file_name(text: str) -> str:
    return "must be a file name, without /" if not text or "/" in text or "\0" in text or text in (".", "..") else ""


def _mime(text: str) -> str:
    return "" if fnmatch.fnmatch(text, "?*/?*") else "must be a MIME type such as text/x-python or text/*"


@dataclass(frozen=True)
class RootConfig:
    """One watched tree."""

    path: bytes = key(b"", required=True)
    name: str = key("", check=_not_empty)  # "": the path, as names.text gives it
    policy: Policy = key("register", choices=POLICIES)  # noqa: RUF009  # a field, like the others
    ignore: tuple[str, ...] = key((), check=_pattern)
    ignore_files: tuple[str, ...] = key((".autoopsignore",), check=_file_name)
    rename_skip: tuple[str, ...] = key((".*",), check=_pattern)

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", names.text(self.path))


@dataclass(frozen=True)
class WatchConfig:
    """How changes are noticed."""

    ignore: tuple[str, ...] = key(
        (".git/", ".hg/", ".svn/", "__pycache__/", "node_modules/", "*.swp", "*.swx", "*~", ".#*", "4913"), check=_pattern
    )
    settle_s: float = key(1.0, low=0, high=3600)
    min_age_s: float = key(0.0, low=0, high=YEAR_S)
    poll_interval_s: float = key(30.0, low=0.1, high=86400)
    poll_types: tuple[str, ...] = key(
        (*NETWORK_TYPES, *FUSE_TYPES),
        check=_not_empty,
    )
    rescan_s: float = key(3600.0, low=0, high=YEAR_S)


@dataclass(frozen=True)
class QueueConfig:
    """How jobs are leased and retried."""

    lease_s: float = key(60.0, low=0.1, high=86400)
    max_attempts: int = key(5, low=1, high=1000)
    backoff_first_s: float = key(2.0, low=0, high=86400)
    backoff_max_s: float = key(3600.0, low=0, high=YEAR_S)
    checkpoint_bytes: int = key(16 * MIB, low=65536, high=1024 * MIB)


@dataclass(frozen=True)
class WorkerConfig:
    """How files are read and registered."""

    pool_size: int = key(0, low=0, high=256)
    pool_idle_s: float = key(10.0, low=0, high=86400)
    task_timeout_s: float = key(300.0, low=0.1, high=86400)
    commit_files: int = key(2048, low=1, high=65536)
    missing_grace_s: float = key(604800.0, low=0, high=10 * YEAR_S)
    xattr_id: bool = key(False)


@dataclass(frozen=True)
class DescribeConfig:
    """How contents are described."""

    enabled: bool = key(True)
    max_bytes: int = key(4 * MIB, low=1, high=1024 * MIB)
    timeout_s: float = key(10.0, low=0.1, high=3600)


@dataclass(frozen=True)
class ScrubConfig:
    """How files are read again, to see that they still are what they were."""

    enabled: bool = key(True)
    days: int = key(30, low=3, high=3650)
    bytes_per_s: int = key(50 * MIB, low=1024, high=1024 * 1024 * MIB)
    window: str = key("", check=_hours)
    max_load: float = key(1.5, low=0, high=1000)
    batch_files: int = key(4096, low=1, high=65536)

    @property
    def hours(self) -> tuple[int, int] | None:
        """Return the window as minutes of the day, from and until; None: at any time."""
        if not self.window:
            return None
        hours = [int(part) for time in self.window.split("-") for part in time.split(":")]
        return hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]


@dataclass(frozen=True)
class ClassConfig:
    """One classification rule as the file has it; `rule_of` gives the form that the program works with."""

    rule: str = key("", check=_not_empty, required=True)
    class_name: str = key("", check=_not_empty, name="class", required=True)
    glob: tuple[str, ...] = key((), check=_pattern)
    type: tuple[str, ...] = key((), check=_mime)
    shebang: tuple[str, ...] = key((), check=_not_empty)
    content: str = key("", check=_regex)
    descriptor: tuple[tuple[str, str], ...] = key((), check=_pattern)
    confidence: int = key(80, low=0, high=100)
    tags: tuple[str, ...] = key((), check=_not_empty)


def rule_of(table: ClassConfig) -> ClassRule:
    """Return the rule that a [[class]] table describes."""
    return ClassRule(**{name: getattr(table, name) for name in ClassRule._fields})


_CATALOG_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
CATALOG_FORMATS = ("jsonl", "csv", "markdown", "html", "hashdeep", "bagit", "command")


def _catalog_name(text: str) -> str:
    """Check a catalog's name; it becomes the name of its directory, and the beginning of its files' names."""
    return "" if _CATALOG_NAME.fullmatch(text) else "must be letters, digits, '.', '_' and '-', at most 64, the first no '.'"


def _argument(text: str) -> str:
    return "cannot hold a NUL" if "\0" in text else ""


@dataclass(frozen=True)
class CatalogConfig:
    """One catalog: which part of the registry, in which form."""

    name: str = key("", check=_catalog_name, required=True)
    format: str = key("jsonl", choices=CATALOG_FORMATS)
    root: str = key("")  # "": all
    class_name: str = key("", name="class")  # "": all
    status: str = key("active", choices=("active", "missing", "retired", ""))  # "": all
    command: tuple[str, ...] = key((), check=_argument)
    timeout_s: float = key(600.0, low=0.1, high=86400)
    max_bytes: int = key(1024 * MIB, low=1, high=1024 * 1024 * MIB)


@dataclass(frozen=True)
class CatalogsConfig:
    """How catalogs are built."""

    debounce_s: float = key(5.0, low=0, high=86400)
    part_entries: int = key(1000, low=1, high=1_000_000)


@dataclass(frozen=True)
class ReconcileConfig:
    """How disagreements are looked for and mended."""

    repair: bool = key(True)
    missing_share: float = key(0.5, low=0.01, high=1.0)
    missing_least: int = key(20, low=1, high=1_000_000)
    findings: int = key(10_000, low=1, high=1_000_000)


@dataclass(frozen=True)
class LogConfig:
    """What is reported, and in which form."""

    level: str = key("info", choices=log.LEVELS)
    format: str = key("auto", choices=log.FORMATS)


@dataclass(frozen=True)
class ServiceConfig:
    """How processes live."""

    heartbeat_s: float = key(30.0, low=0.1, high=3600)


def _place(text: str) -> str:
    return (
        "" if text.startswith(("/", "ssh://")) and text.isprintable() else "must be an absolute path, or ssh://host/path/of/state"
    )


def _export(text: str) -> str:
    return _place(text) if text else ""  # "": another provider is named


def _url(text: str) -> str:
    good = not text or (text.isprintable() and re.fullmatch(r"https?://[^/\s@]+(/\S*)?", text))
    return "" if good else "must be an http:// or https:// address, without a password"


@dataclass(frozen=True)
class ReplicaConfig:
    """Another copy of this registry, compared with it."""

    name: str = key("", check=_not_empty, required=True)
    where: str = key("", check=_place, required=True)
    rows: bool = key(True)
    behind_s: float = key(604800.0, low=0, high=10 * YEAR_S)
    ssh: str = key("ssh", check=_not_empty)
    timeout_s: float = key(300.0, low=0.1, high=86400)


@dataclass(frozen=True)
class CheckpointConfig:
    """A file of digests that somebody else writes, and who is asked what the digest should be."""

    name: str = key("", check=_not_empty, required=True)
    file: bytes = key(b"", required=True)
    digest_key: str = key("digest", check=_not_empty)
    command: tuple[str, ...] = key((), check=_not_empty)
    export: str = key("", check=_export)
    url: str = key("", check=_url)
    timeout_s: float = key(30.0, low=0.1, high=86400)
    interval_s: float = key(300.0, low=1, high=YEAR_S)
    stale_after_s: float = key(3600.0, low=1, high=10 * YEAR_S)


@dataclass(frozen=True)
class RefreshConfig:
    """What is done once about a foreign checkpoint that disagrees, before it is reported."""

    enabled: bool = key(False)
    command: tuple[str, ...] = key((), check=_not_empty)
    wait_s: float = key(600.0, low=1, high=86400)


@dataclass(frozen=True)
class Config:
    """The whole configuration; attribute names are key names, but for the arrays of tables."""

    roots: tuple[RootConfig, ...] = field(default=(), metadata={"name": "root"})
    watch: WatchConfig = WatchConfig()
    queue: QueueConfig = QueueConfig()
    worker: WorkerConfig = WorkerConfig()
    describe: DescribeConfig = DescribeConfig()
    reconcile: ReconcileConfig = ReconcileConfig()
    scrub: ScrubConfig = ScrubConfig()
    classes: tuple[ClassConfig, ...] = field(default=(), metadata={"name": "class"})
    replicas: tuple[ReplicaConfig, ...] = field(default=(), metadata={"name": "replica"})
    checkpoints: tuple[CheckpointConfig, ...] = field(default=(), metadata={"name": "checkpoint"})
    refresh: RefreshConfig = RefreshConfig()
    catalogs: CatalogsConfig = CatalogsConfig()
    catalog_tables: tuple[CatalogConfig, ...] = field(default=(), metadata={"name": "catalog"})
    log: LogConfig = LogConfig()
    service: ServiceConfig = ServiceConfig()

    def locate(self, path: bytes) -> tuple[str, bytes] | None:
        """Return (root name, path below the root) of an absolute path; None when it lies in no root."""
        for root in self.roots:
            if path == root.path:
                return root.name, b""
            if path.startswith(root.path.rstrip(b"/") + b"/"):
                return root.name, path[len(root.path.rstrip(b"/")) + 1 :]
        return None

    @property
    def class_rules(self) -> tuple[ClassRule, ...]:
        """Return the classification rules in the order of the file."""
        return tuple(rule_of(table) for table in self.classes)
