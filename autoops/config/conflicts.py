"""What no key of a configuration alone is guilty of: names given twice, limits that contradict each other, and the like.

Each function yields faults, with the line of the table or key that is to be changed. Pure.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence

from autoops import names
from autoops.config import playbooks
from autoops.config.check import Fault, Where
from autoops.config.health import pairs
from autoops.config.schema import CatalogConfig, CheckpointConfig, Config, RootConfig
from autoops.model import CANARY


def contradictions(config: Config, lines: Mapping[Where, int]) -> Iterator[Fault]:
    """Yield all of them; `lines`: where each table and key stands (check.find_lines)."""
    yield from _roots(config.roots, lines)
    named = {
        "replica": [table.name for table in config.replicas],
        "checkpoint": [table.name for table in config.checkpoints],
        "channel": [table.name for table in config.channels],
        "catalog": [table.name for table in config.catalog_tables],
        "playbook": [table.name for table in config.playbook_tables],
    }
    for array, given in named.items():
        yield from _twice(array, "name", given, lines)
    yield from _twice("class", "rule", [table.rule for table in config.classes], lines)
    yield from _checkpoints(config.checkpoints, lines)
    yield from _alerts(config, lines)
    yield from _catalogs(config.catalog_tables, lines)
    yield from _health(config, lines)
    catalogs, roots = [one.name for one in config.catalog_tables], [one.name for one in config.roots]
    yield from playbooks.contradictions(config.playbook_tables, catalogs, roots, lines)
    queue = config.queue
    if queue.backoff_first_s > queue.backoff_max_s:
        line = lines.get(("queue", "backoff_max_s"), lines.get(("queue", "backoff_first_s"), 1))
        yield Fault(line, "queue.backoff_max_s", f"must not be below backoff_first_s, which is {queue.backoff_first_s}")


def _twice(array: str, key: str, values: Sequence[str], lines: Mapping[Where, int]) -> Iterator[Fault]:
    """Yield the tables of an array in which a key says what it said in one before; no value is told elsewhere."""
    what = array if key == "name" else key
    seen: dict[str, int] = {}
    for number, value in enumerate(values):
        line = lines.get((array, number, key), lines.get((array, number), 1))
        if value and value in seen:
            yield Fault(line, f"{array}.{key}", f"{value!r} is a {what} already, in line {seen[value]}")
        seen.setdefault(value, line)


def _roots(roots: Sequence[RootConfig], lines: Mapping[Where, int]) -> Iterator[Fault]:
    seen: dict[bytes | str, int] = {}
    for number, root in enumerate(roots):
        line = lines.get(("root", number, "path"), lines.get(("root", number), 1))
        for key, value in (("path", root.path), ("name", root.name)):
            if value and value in seen:
                yield Fault(line, f"root.{key}", f"{names.show(value)} is a root already, in line {seen[value]}")
                break  # the default name repeats the path's fault
            seen[value] = line


def _checkpoints(tables: Sequence[CheckpointConfig], lines: Mapping[Where, int]) -> Iterator[Fault]:
    """Yield checkpoints that name no provider, or several."""
    for number, one in enumerate(tables):
        given = [key for key in ("command", "export", "url") if getattr(one, key)]
        if len(given) != 1:
            said = f"there are {' and '.join(given)}" if given else "there is none"
            yield Fault(lines.get(("checkpoint", number), 1), "checkpoint", f"needs one of command, export and url; {said}")


def _alerts(config: Config, lines: Mapping[Where, int]) -> Iterator[Fault]:
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
        if one.kind == "alertmanager" and one.url and not one.url.startswith(("http://", "https://")):
            yield Fault(line, "channel.url", 'of kind "alertmanager" must begin with http:// or https://')
        if not one.severities:
            yield Fault(line, "channel.severities", "is empty: the channel would hear nothing")


def _catalogs(tables: Sequence[CatalogConfig], lines: Mapping[Where, int]) -> Iterator[Fault]:
    """Yield catalogs whose command does not go with their format."""
    for number, table in enumerate(tables):
        table_line = lines.get(("catalog", number, "name"), lines.get(("catalog", number), 1))
        line = lines.get(("catalog", number, "command"), table_line)
        if table.format == "command" and not (table.command and table.command[0].startswith("/")):
            yield Fault(line, "catalog.command", 'format "command" needs one, and its first word is an absolute path')
        if table.format != "command" and table.command:
            yield Fault(line, "catalog.command", f'is for format "command" only, and this one is {table.format!r}')


def _health(config: Config, lines: Mapping[Where, int]) -> Iterator[Fault]:
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
