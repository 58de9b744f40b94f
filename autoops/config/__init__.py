"""The configuration: one TOML file, every key of which has a default.

Guarantees: a bad file is refused as a whole, with every fault and its line at once; what `as_toml` prints loads, and if it was not
to leave out secrets, as the same configuration. Reads the file it is given, or /etc/autoops/autoops.toml when that exists; writes
nothing.
"""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autoops import names
from autoops.config.alerts import AlertsConfig, ChannelConfig, InhibitConfig
from autoops.config.backup import ArchiveConfig, BackupConfig, DrillConfig
from autoops.config.check import Fault, find_lines, key_of, parse
from autoops.config.conflicts import contradictions
from autoops.config.edit import quoted
from autoops.config.health import HealthConfig
from autoops.config.playbooks import PlaybookConfig, PlaybooksConfig
from autoops.config.roots import check_roots, root_around, state_below
from autoops.config.schema import (
    CatalogConfig,
    CatalogsConfig,
    CheckpointConfig,
    ClassConfig,
    Config,
    DescribeConfig,
    LogConfig,
    QueueConfig,
    ReconcileConfig,
    RefreshConfig,
    ReplicaConfig,
    RootConfig,
    ScrubConfig,
    ServiceConfig,
    WatchConfig,
    WorkerConfig,
)
from autoops.errors import ConfigError

__all__ = [
    "AlertsConfig",
    "ArchiveConfig",
    "BackupConfig",
    "CatalogConfig",
    "CatalogsConfig",
    "ChannelConfig",
    "CheckpointConfig",
    "ClassConfig",
    "Config",
    "DescribeConfig",
    "DrillConfig",
    "HealthConfig",
    "InhibitConfig",
    "LogConfig",
    "PlaybookConfig",
    "PlaybooksConfig",
    "QueueConfig",
    "ReconcileConfig",
    "RefreshConfig",
    "ReplicaConfig",
    "RootConfig",
    "ScrubConfig",
    "ServiceConfig",
    "WatchConfig",
    "WorkerConfig",
    "as_toml",
    "check_roots",
    "load",
    "parse_file",
    "root_around",
    "state_below",
]

DEFAULT_FILE = Path("/etc/autoops/autoops.toml")


def load(path: Path | None, roots: Sequence[Path] = ()) -> Config:
    """Return the configuration in `path` (None: the default file if it exists, else the defaults).

    `roots` replace the file's; one that the file names too keeps what the file says about it. Raises ConfigError.
    """
    source = path or DEFAULT_FILE
    config, faults = _read(source, optional=path is None)
    said = [fault.said(str(source)) for fault in faults]
    if roots:
        configured = {root.path: root for root in config.roots}
        given = [os.path.abspath(os.fsencode(root)) for root in roots]
        config = dataclasses.replace(config, roots=tuple(configured.get(path, RootConfig(path)) for path in given))
        said += [f"--root {names.show(path)}: given twice" for path, times in sorted(Counter(given).items()) if times > 1]
    if said:
        raise ConfigError(count=len(said), faults="\n".join(said))
    return config


def parse_file(raw: bytes, source: Path) -> Config:
    """Return the configuration that a file with this content would be. Raises ConfigError."""
    config, faults = _parsed(raw)
    if faults:
        raise ConfigError(count=len(faults), faults="\n".join(fault.said(str(source)) for fault in faults))
    return config


def _read(source: Path, optional: bool) -> tuple[Config, list[Fault]]:
    try:
        raw = source.read_bytes()
    except OSError as error:
        if optional and isinstance(error, FileNotFoundError):
            return Config(), []
        return Config(), [Fault(0, "", f"cannot be read: {error.strerror}; is the path right, and may you read it?")]
    return _parsed(raw)


def _parsed(raw: bytes) -> tuple[Config, list[Fault]]:
    config, faults = parse(raw, Config)
    return config, sorted([*faults, *contradictions(config, find_lines(raw.decode(errors="replace")))])


def as_toml(config: Config, *, secrets: bool = False) -> str:
    """Return the configuration as a file with every key in it, but for names that the path implies, and without secrets."""
    blocks = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        header = f"[[{key_of(field)}]]" if isinstance(value, tuple) else f"[{key_of(field)}]"
        for table in value if isinstance(value, tuple) else (value,):
            lines = [
                f"{key_of(each)} = {_toml(_HIDDEN if _hides(table, each, secrets) else getattr(table, each.name), each.name)}"
                for each in dataclasses.fields(table)
                if not (each.name == "name" and table == dataclasses.replace(table, name=""))
            ]
            blocks.append("\n".join([header, *lines]) + "\n")
    return "\n".join(blocks)


_HIDDEN = "https://removed.invalid/"  # good for each key, so that the file is a good one; no host has that name (RFC 2606)


def _hides(table: Any, field: dataclasses.Field[Any], secrets: bool) -> bool:
    return not secrets and bool(field.metadata["secret"]) and bool(getattr(table, field.name))


def _toml(value: Any, key: str) -> str:
    if isinstance(value, bytes):
        return quoted(names.text(value))
    if isinstance(value, str):
        return quoted(value)
    if key == "descriptor":
        return "{ " + ", ".join(f"{quoted(name)} = {quoted(glob)}" for name, glob in value) + " }" if value else "{}"
    if isinstance(value, tuple):
        return "[" + ", ".join(quoted(item) for item in value) + "]"
    return str(value).lower() if isinstance(value, bool) else repr(value)
