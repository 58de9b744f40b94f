"""The configuration: one TOML file, every key of which has a default.

Guarantees: a bad file is refused as a whole, with every fault and its line at once; what `as_toml` prints loads as the same
configuration. Reads the file it is given, or /etc/autoops/autoops.toml when that exists; writes nothing.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from autoops import names
from autoops.config.alerts import AlertsConfig, ChannelConfig, InhibitConfig
from autoops.config.backup import ArchiveConfig, BackupConfig, DrillConfig
from autoops.config.check import Fault, Where, find_lines, key_of, parse
from autoops.config.edit import quoted
from autoops.config.health import HealthConfig, pairs
from autoops.config.playbooks import PlaybookConfig, PlaybooksConfig
from autoops.config.playbooks import contradictions as playbook_contradictions
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
from autoops.model import CANARY

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
        said += [f"--root {names.show(path)}: given twice" for path in sorted(_doubles(given))]
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
    return config, sorted([*faults, *_contradictions(config, raw)])


def _contradictions(config: Config, raw: bytes) -> Iterator[Fault]:
    """Yield what no key alone is guilty of."""
    lines = find_lines(raw.decode(errors="replace"))
    seen: dict[bytes | str, int] = {}
    for number, root in enumerate(config.roots):
        line = lines.get(("root", number, "path"), lines.get(("root", number), 1))
        for key, value in (("path", root.path), ("name", root.name)):
            if value and value in seen:
                yield Fault(line, f"root.{key}", f"{names.show(value)} is a root already, in line {seen[value]}")
                break  # the default name repeats the path's fault
            seen[value] = line
    rules: dict[str, int] = {}
    for number, table in enumerate(config.classes):
        line = lines.get(("class", number, "rule"), 1)
        if table.rule and table.rule in rules:
            yield Fault(line, "class.rule", f"{table.rule!r} is a rule already, in line {rules[table.rule]}")
        rules.setdefault(table.rule, line)
    yield from _unlike(config, lines)
    yield from _alert_contradictions(config, lines)
    yield from _catalog_contradictions(config.catalog_tables, lines)
    yield from _health_contradictions(config, lines)
    catalogs, roots = [one.name for one in config.catalog_tables], [one.name for one in config.roots]
    yield from playbook_contradictions(config.playbook_tables, catalogs, roots, lines)
    queue = config.queue
    if queue.backoff_first_s > queue.backoff_max_s:
        line = lines.get(("queue", "backoff_max_s"), lines.get(("queue", "backoff_first_s"), 1))
        yield Fault(line, "queue.backoff_max_s", f"must not be below backoff_first_s, which is {queue.backoff_first_s}")


def _unlike(config: Config, lines: dict[Where, int]) -> Iterator[Fault]:
    """Yield checkpoints and replicas of one name, and checkpoints that name no provider, or several."""
    named = {"replica": [one.name for one in config.replicas], "checkpoint": [one.name for one in config.checkpoints]}
    named["channel"] = [one.name for one in config.channels]
    for kind, texts in named.items():
        seen: dict[str, int] = {}
        for number, name in enumerate(texts):
            line = lines.get((kind, number, "name"), 1)
            if name and name in seen:
                yield Fault(line, f"{kind}.name", f"{name!r} is a {kind} already, in line {seen[name]}")
            seen.setdefault(name, line)
    for number, one in enumerate(config.checkpoints):
        given = [key for key in ("command", "export", "url") if getattr(one, key)]
        if len(given) != 1:
            said = f"there are {' and '.join(given)}" if given else "there is none"
            yield Fault(lines.get(("checkpoint", number), 1), "checkpoint", f"needs one of command, export and url; {said}")


def _alert_contradictions(config: Config, lines: Mapping[Where, int]) -> Iterator[Fault]:
    """Yield thresholds that make no sense, and channels without an address, or with two."""
    alerts = config.alerts
    for low, high in (("warning_seen", "warning_of"), ("retry_first_s", "retry_max_s"), ("dead_after_s", "give_up_s")):
        if getattr(alerts, low) > getattr(alerts, high):
            line = lines.get(("alerts", high), lines.get(("alerts", low), 1))
            yield Fault(line, f"alerts.{high}", f"must not be below {low}, which is {getattr(alerts, low)}")
    for number, one in enumerate(config.channels):
        line = lines.get(("channel", number, "name"), 1)
        if bool(one.url) == bool(one.url_credential):
            yield Fault(line, "channel.url", "one of url and url_credential says where it goes, and not both")
        if one.kind == "alertmanager" and one.url and not one.url.startswith(("http://", "https://", _HIDDEN)):
            yield Fault(line, "channel.url", 'of kind "alertmanager" must begin with http:// or https://')
        if not one.severities:
            yield Fault(line, "channel.severities", "is empty: the channel would hear nothing")


def _catalog_contradictions(tables: Sequence[CatalogConfig], lines: Mapping[Where, int]) -> Iterator[Fault]:
    seen: dict[str, int] = {}
    for number, table in enumerate(tables):
        line = lines.get(("catalog", number, "name"), lines.get(("catalog", number), 1))
        if table.name and table.name in seen:
            yield Fault(line, "catalog.name", f"{table.name!r} is a catalog already, in line {seen[table.name]}")
        seen.setdefault(table.name, line)
        line = lines.get(("catalog", number, "command"), line)
        if table.format == "command" and not (table.command and table.command[0].startswith("/")):
            yield Fault(line, "catalog.command", 'format "command" needs one, and its first word is an absolute path')
        if table.format != "command" and table.command:
            yield Fault(line, "catalog.command", f'is for format "command" only, and this one is {table.format!r}')


def _health_contradictions(config: Config, lines: Mapping[Where, int]) -> Iterator[Fault]:
    """Yield limits that contradict each other, and canaries that no registry would ever show."""
    for pair in pairs():
        warning, critical = getattr(config.health, pair.warning), getattr(config.health, pair.critical)
        if (warning < critical) if pair.less_is_worse else (warning > critical):
            line = lines.get(("health", pair.critical), lines.get(("health", pair.warning), 1))
            said = f"is {critical}, and {pair.warning} is {warning}: it would be critical before it is a warning"
            yield Fault(line, f"health.{pair.critical}", said)
    for number, root in enumerate(config.roots):
        if not root.canary:
            continue
        line = lines.get(("root", number, "canary"), 1)
        if root.policy == "observe":
            yield Fault(line, "root.canary", 'policy "observe" registers nothing, so a canary would never be seen')
        if root.policy == "rename" and not any(fnmatch.fnmatchcase(CANARY, pattern) for pattern in root.rename_skip):
            yield Fault(line, "root.canary", f'policy "rename" would rename it: rename_skip must have ".*" or "{CANARY}"')


def _doubles(paths: Iterable[bytes]) -> set[bytes]:
    seen: set[bytes] = set()
    return {path for path in paths if path in seen or seen.add(path)}  # type: ignore[func-returns-value]


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


_HIDDEN = "removed://secret"  # it is an address, so that the file is a good one


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
