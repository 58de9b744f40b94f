"""Every key of the configuration: its type, default and range. Why a default is what it is stands in etc/autoops.toml."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import get_args

from autoops import log, names
from autoops.config import checks
from autoops.config.alerts import AlertsConfig, ChannelConfig, InhibitConfig
from autoops.config.backup import ArchiveConfig, BackupConfig, DrillConfig
from autoops.config.field import YEAR_S, key
from autoops.config.health import HealthConfig
from autoops.config.playbooks import PlaybookConfig, PlaybooksConfig
from autoops.config.reports import ReportsConfig
from autoops.model import ClassRule, Policy

MIB = 1024 * 1024
NETWORK_TYPES = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "davfs", "lustre", "gfs2", "ocfs2", "virtiofs")
FUSE_TYPES = tuple(f"fuse.{name}" for name in ("sshfs", "s3fs", "rclone", "gcsfuse", "glusterfs", "vmhgfs-fuse"))
POLICIES: tuple[Policy, ...] = get_args(Policy)


@dataclass(frozen=True)
class RootConfig:
    """One watched tree."""

    path: bytes = key(b"", required=True)
    name: str = key("", check=checks.not_empty)  # "": the path, as names.text gives it
    policy: Policy = key("register", choices=POLICIES)  # noqa: RUF009  # a field, like the others
    ignore: tuple[str, ...] = key((), check=checks.pattern)
    ignore_files: tuple[str, ...] = key((".autoopsignore",), check=checks.file_name)
    rename_skip: tuple[str, ...] = key((".*",), check=checks.pattern)
    canary: bool = key(False)

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", names.text(self.path))


@dataclass(frozen=True)
class WatchConfig:
    """How changes are noticed."""

    ignore: tuple[str, ...] = key(
        (".git/", ".hg/", ".svn/", "__pycache__/", "node_modules/", "*.swp", "*.swx", "*~", ".#*", "4913"), check=checks.pattern
    )
    settle_s: float = key(1.0, low=0, high=3600)
    min_age_s: float = key(0.0, low=0, high=YEAR_S)
    poll_interval_s: float = key(30.0, low=0.1, high=86400)
    poll_types: tuple[str, ...] = key(
        (*NETWORK_TYPES, *FUSE_TYPES),
        check=checks.not_empty,
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
    interval_s: float = key(86400.0, low=0, high=86400)
    days: int = key(30, low=3, high=3650)
    bytes_per_s: int = key(50 * MIB, low=1024, high=1024 * 1024 * MIB)
    window: str = key("", check=checks.hours)
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

    rule: str = key("", check=checks.not_empty, required=True)
    class_name: str = key("", check=checks.not_empty, name="class", required=True)
    glob: tuple[str, ...] = key((), check=checks.pattern)
    type: tuple[str, ...] = key((), check=checks.mime)
    shebang: tuple[str, ...] = key((), check=checks.not_empty)
    content: str = key("", check=checks.regex)
    descriptor: tuple[tuple[str, str], ...] = key((), check=checks.pattern)
    confidence: int = key(80, low=0, high=100)
    tags: tuple[str, ...] = key((), check=checks.not_empty)


def rule_of(table: ClassConfig) -> ClassRule:
    """Return the rule that a [[class]] table describes."""
    return ClassRule(**{name: getattr(table, name) for name in ClassRule._fields})


CATALOG_FORMATS = ("jsonl", "csv", "markdown", "html", "hashdeep", "bagit", "command")


@dataclass(frozen=True)
class CatalogConfig:
    """One catalog: which part of the registry, in which form."""

    name: str = key("", check=checks.catalog_name, required=True)
    format: str = key("jsonl", choices=CATALOG_FORMATS)
    root: str = key("")  # "": all
    class_name: str = key("", name="class")  # "": all
    status: str = key("active", choices=("active", "missing", "retired", ""))  # "": all
    command: tuple[str, ...] = key((), check=checks.argument)
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

    interval_s: float = key(3600.0, low=0, high=YEAR_S)
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


@dataclass(frozen=True)
class ReplicaConfig:
    """Another copy of this registry, compared with it."""

    name: str = key("", check=checks.not_empty, required=True)
    where: str = key("", check=checks.place, required=True)
    rows: bool = key(True)
    behind_s: float = key(604800.0, low=0, high=10 * YEAR_S)
    ssh: str = key("ssh", check=checks.not_empty)
    timeout_s: float = key(300.0, low=0.1, high=86400)


@dataclass(frozen=True)
class CheckpointConfig:
    """A file of digests that somebody else writes, and who is asked what the digest should be."""

    name: str = key("", check=checks.not_empty, required=True)
    file: bytes = key(b"", required=True)
    digest_key: str = key("digest", check=checks.not_empty)
    command: tuple[str, ...] = key((), check=checks.not_empty)
    export: str = key("", check=checks.export)
    url: str = key("", check=checks.url)
    timeout_s: float = key(30.0, low=0.1, high=86400)
    interval_s: float = key(300.0, low=1, high=YEAR_S)
    stale_after_s: float = key(3600.0, low=1, high=10 * YEAR_S)


@dataclass(frozen=True)
class RefreshConfig:
    """What is done once about a foreign checkpoint that disagrees, before it is reported."""

    enabled: bool = key(False)
    command: tuple[str, ...] = key((), check=checks.not_empty)
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
    backup: BackupConfig = BackupConfig()  # noqa: RUF009  # frozen, as the others are
    archive: ArchiveConfig = ArchiveConfig()  # noqa: RUF009  # frozen, as the others are
    drill: DrillConfig = DrillConfig()  # noqa: RUF009  # frozen, as the others are
    alerts: AlertsConfig = AlertsConfig()  # noqa: RUF009  # frozen, as the others are
    channels: tuple[ChannelConfig, ...] = field(default=(), metadata={"name": "channel"})
    inhibitions: tuple[InhibitConfig, ...] = field(default=(), metadata={"name": "inhibit"})
    playbooks: PlaybooksConfig = PlaybooksConfig()  # noqa: RUF009  # frozen, as the others are
    playbook_tables: tuple[PlaybookConfig, ...] = field(default=(), metadata={"name": "playbook"})
    reports: ReportsConfig = ReportsConfig()  # noqa: RUF009  # frozen, as the others are
    health: HealthConfig = HealthConfig()  # noqa: RUF009  # frozen, as the others are
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
