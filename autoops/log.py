"""What happened, as events: one catalogue, one function to report with, one form for each reader.

Guarantees: an event is one record, whatever a file is called (every value goes through `names.show`); a journal that does not
answer loses nothing, the record goes to standard error instead; what cannot be written there ends nothing. Reads JOURNAL_STREAM;
writes to standard error or, when that is the journal, to journald's own socket (journal.py), so that `journalctl AUTOOPS_PATH=...`
or `AUTOOPS_DOC_ID=...` finds things.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from autoops import journal, names

FORMATS: Final = ("auto", "text", "json", "journal")
VALUE_LIMIT: Final = 16384  # characters; room for a path of 4096 bytes, all of them escaped. A datagram holds about 200 KiB
_FIELDS: Final = {"id": "DOC_ID"}  # in the journal a field says of itself what it is the ID of
PRIORITIES: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}  # syslog(3)
LEVELS: Final = tuple(PRIORITIES)

# event: (level, keys it must have). Of commits with many changes (a checkout moves 20,000) single ones are reported in debug only.
EVENTS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "service_started": ("info", ("service",)),
    "service_ready": ("info", ("service",)),
    "service_stopping": ("info", ("service", "reason")),
    "service_stopped": ("info", ("service",)),
    "service_failed": ("error", ("service", "reason")),
    "heartbeat_missed": ("warning", ("service", "reason")),
    "notification_failed": ("warning", ("reason",)),
    "configuration_reloaded": ("info", ()),
    "configuration_refused": ("error", ("reason",)),
    "paused": ("info", ("flag", "why")),
    "resumed": ("info", ("flag",)),
    "held": ("error", ("service", "reason")),
    "window_alarm": ("error", ("flag", "reason")),
    "edited_by_hand": ("warning", ("sequence", "entries", "undeclared", "who")),
    "jobs_enqueued": ("debug", ("count",)),
    "jobs_claimed": ("debug", ("count",)),
    "batch_committed": ("info", ("sequence", "patches", "digest", "root")),
    "job_failed": ("warning", ("kind", "path", "reason", "attempts")),
    "job_dead": ("error", ("kind", "path", "reason", "attempts")),
    "lease_lost": ("warning", ("kind", "path")),
    "scan_started": ("info", ("root", "path")),
    "scan_finished": ("info", ("root", "path", "files", "directories", "changed", "missing", "duration_s")),
    "file_unreadable": ("warning", ("path", "reason")),
    "file_unsettled": ("debug", ("path",)),
    "finding_opened": ("warning", ("kind", "path", "detail")),
    "finding_closed": ("info", ("kind", "path")),
    "entry_created": ("info", ("id", "path")),
    "entry_moved": ("info", ("id", "path", "was", "evidence")),
    "entry_changed": ("info", ("id", "path")),
    "entry_missing": ("info", ("id", "path")),
    "entry_retired": ("info", ("id", "path")),
    "entry_renamed": ("debug", ("id", "path", "was")),
    "watch_overflowed": ("warning", ("root",)),
    "watch_gap_opened": ("warning", ("root", "path", "reason")),
    "watch_gap_closed": ("info", ("root", "path")),
    "watch_restarted": ("warning", ("root", "reason")),
    "reconciled": ("info", ("findings", "repairs")),
    "repair_held": ("warning", ("path", "reason")),
    "refresh_started": ("info", ("checkpoint",)),
    "look_put_off": ("warning", ("service", "reason")),
    "root_absent": ("warning", ("detail",)),
    "pool_started": ("debug", ("size",)),
    "pool_stopped": ("debug", ()),
    "child_killed": ("warning", ("reason", "path")),
    "checkpoint_failed": ("error", ("reason",)),
    "checkpoint_written": ("debug", ("sequence", "digest")),
    "storage_suspect": ("critical", ("database", "detail")),
    "scrub_started": ("info", ("files", "bytes")),
    "scrub_finished": ("info", ("reason", "files", "bytes", "left")),
    "patch_refused": ("warning", ("key", "reason")),
    "rolled_back": ("info", ("sequence",)),
    "snapshot_taken": ("info", ("name", "kind", "sequence", "size_bytes")),
    "drill_ended": ("info", ("snapshot", "sequence", "entries", "fault")),
    "snapshot_pruned": ("info", ("name",)),
    "snapshot_found_unsound": ("warning", ("name", "fault")),
    "catalog_built": ("info", ("name", "done", "reason", "sequence", "entries", "parts_made", "left_out", "took_s")),
    "catalog_failed": ("error", ("name", "reason")),
    "hook_ran": ("info", ("hook", "took_s")),
    "archived": ("info", ("archive", "snapshot", "added_bytes")),
    "archive_failed": ("error", ("reason",)),
    "unit_failed": ("error", ("unit", "result")),
    "alert_fired": ("warning", ("fingerprint", "name", "severity")),
    "alert_resolved": ("info", ("fingerprint", "name")),
    "message_delivered": ("info", ("channel", "message", "severity")),
    "delivery_failed": ("warning", ("channel", "message", "attempt", "reason")),
    "alerts_without_store": ("error", ("reason",)),
    "playbook_ran": ("info", ("playbook", "cause", "took_s")),
    "playbook_failed": ("warning", ("playbook", "cause", "reason", "took_s")),
    "playbook_held": ("error", ("playbook", "reason")),
    "playbooks_without_store": ("warning", ("playbook", "action", "reason")),
    "report_failed": ("error", ("reason",)),
    "stamp_failed": ("warning", ("file", "reason")),
}

_STRICT = "PYTEST_VERSION" in os.environ or os.environ.get("AUTOOPS_STRICT_EVENTS") == "1"
_threshold = PRIORITIES["info"]
_logger: Any = None
_settings: tuple[str, str, str, str] = ("info", "auto", "autoops", journal.ADDRESS)
_collected: list[dict[str, Any]] | None = None


def emit(event: str, /, **facts: object) -> None:
    """Report that something happened: a name from EVENTS, and its facts (bytes, text, numbers; more than the keys is allowed).

    `exc_info=True` adds the traceback of the exception being handled. Under pytest or AUTOOPS_STRICT_EVENTS=1 an event that is
    not in the catalogue, or lacks a key, is an AssertionError; elsewhere it is logged as it is.
    """
    level, keys = EVENTS.get(event, ("warning", ()))
    if _STRICT:
        assert event in EVENTS, f"{event} is not in autoops.log.EVENTS"
        assert facts.keys() >= set(keys), f"{event} lacks {sorted(set(keys) - facts.keys())}"
    if _collected is not None:
        _collected.append({"event": event, "level": level, **facts})
    elif PRIORITIES[level] <= _threshold:
        getattr(get_logger(), level)(event, **facts)


def is_verbose() -> bool:
    """Tell whether debug events are reported, for those who would have to gather their facts a million times."""
    return _collected is not None or _threshold >= PRIORITIES["debug"]


@contextlib.contextmanager
def captured() -> Iterator[list[dict[str, Any]]]:
    """Collect the events of every thread, of all levels and as they were emitted, instead of writing them: for tests."""
    global _collected  # noqa: PLW0603
    before, _collected = _collected, []
    try:
        yield _collected
    finally:
        _collected = before


def configure(level: str = "info", format: str = "auto", program: str = "autoops", address: str = journal.ADDRESS) -> None:
    """Set what is reported (a name of LEVELS), in which form (one of FORMATS), and under which identifier.

    structlog itself is loaded with the first event that is reported: that is 50 ms which most commands never need.
    """
    global _logger, _threshold, _settings
    _threshold, _settings, _logger = PRIORITIES[level], (level, format, program, address), None


def _built(level: str, format: str, program: str, address: str) -> Any:
    structlog = _structlog()
    write = _writer(_resolved(format), program, address)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            _shown,
            lambda _logger, _method, facts: ((facts,), {}),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(10 * (LEVELS.index(level) + 1)),  # the numbers of logging
        logger_factory=lambda *_arguments: _Output(write),
        cache_logger_on_first_use=False,
    )
    return structlog.get_logger().bind()  # bound once: binding costs 3 µs a call


def get_logger() -> Any:
    """Return the structlog logger, configured with the defaults if nobody did; `emit` is what the program reports with."""
    global _logger  # noqa: PLW0603
    if _logger is None:
        _logger = _built(*_settings)
    return _logger


class _Output:
    """What structlog writes through: every level ends in one function of the facts."""

    def __init__(self, write: Callable[[dict[str, Any]], None]) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = self.msg = write


def _structlog() -> Any:
    """Import structlog without rich, which it takes in only because it is there (typer brings it).

    Measured: 21.4 MiB resident and 52 ms instead of 25.9 MiB and 97 ms, for each daemon.
    Whoever imports rich later gets it.
    """
    if "rich" in sys.modules:
        import structlog
    else:
        sys.modules["rich"] = None  # type: ignore[assignment]  # import then fails, importlib's own convention
        try:
            import structlog
        finally:
            del sys.modules["rich"]
    return structlog


def _resolved(format: str) -> str:
    if format != "auto":
        return format
    if journal.is_stderr():
        return "journal"
    return "text" if sys.stderr.isatty() else "json"


def _shown(_logger: Any, _method: str, facts: dict[str, Any]) -> dict[str, Any]:
    trace = facts.pop("exception", None)
    shown = {key: _show(value) for key, value in facts.items()}
    if trace is not None:  # its own lines are kept
        shown["exception"] = "\n".join(names.show(line) for line in str(trace)[-VALUE_LIMIT:].split("\n"))
    return shown


def _show(value: object) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, dict):
        return {str(_show(key)): _show(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_show(item) for item in value]
    form = names.show(value if isinstance(value, bytes) else str(value))
    return form if len(form) <= VALUE_LIMIT else f"{form[:VALUE_LIMIT]}… (cut, {len(form)} characters)"


def sentence(facts: dict[str, Any]) -> str:
    """Return what a person reads: the event's words, then its facts; nothing in a value can look like another fact."""
    hidden = ("event", "level", "exception")
    said = ", ".join(f"{key}={_quoted(value)}" for key, value in facts.items() if key not in hidden)
    words = str(facts["event"]).replace("_", " ")
    return f"{words}: {said}" if said else words


def _quoted(value: object) -> str:
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if value and not any(char in value for char in ' ,="'):
        return value
    return '"' + value.replace('"', r"\x22") + '"'  # the escape of autoops.names, which adds no second layer


def _writer(format: str, program: str, address: str) -> Callable[[dict[str, Any]], None]:
    """Return the function that writes one record in a form of FORMATS but "auto"."""

    def text(facts: dict[str, Any]) -> None:
        trace = "".join(f"\n    {line}" for line in facts.get("exception", "").splitlines())
        _write(f"{time.strftime('%H:%M:%S')} {facts['level']:<8} {sentence(facts)}{trace}")

    def as_json(facts: dict[str, Any], prefix: str = "") -> None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        head = {"timestamp": now, "program": program, "level": facts["level"], "event": facts["event"]}
        _write(prefix + json.dumps(head | facts, ensure_ascii=False))

    def to_journal(facts: dict[str, Any]) -> None:
        level = PRIORITIES[facts["level"]]
        own = {f"AUTOOPS_{_FIELDS.get(key, key.upper())}": _field(value) for key, value in facts.items() if key != "level"}
        message = f"{sentence(facts)}\n{facts['exception']}" if "exception" in facts else sentence(facts)
        if not journal.send({"MESSAGE": message, "PRIORITY": str(level), "SYSLOG_IDENTIFIER": program} | own, address):
            as_json(facts, prefix=f"<{level}>")  # sd-daemon(3)

    return {"text": text, "json": as_json, "journal": to_journal}[format]


def _field(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _write(line: str) -> None:
    with contextlib.suppress(OSError):  # full, or nobody reads it any more: no reason to end the work, and nobody is left to tell
        sys.stderr.write(line + "\n")  # in one piece: threads share it
        sys.stderr.flush()
