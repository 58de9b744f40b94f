"""What `autoops report` reads, and how its weekly page gets into the outbox. Writes queue/weekly.* and queue.db, for that alone."""

from __future__ import annotations

import contextlib
import functools
import socket
import time
from collections.abc import Iterator, Sequence

from autoops.alert import letter
from autoops.cli.alerting import takers_of_reports
from autoops.cli.checking import looking
from autoops.cli.context import Context, require_state
from autoops.core.drift import GRAVE, REGISTRY_EDITED
from autoops.errors import CannotTell, NobodyTakesReports, NotWritten, StorageCorrupt, StorageError
from autoops.files.last import Last, recall
from autoops.health import doctor
from autoops.health import run as checks
from autoops.health.result import Level, Result
from autoops.model import JSON
from autoops.reconcile import coverage
from autoops.report import text
from autoops.report import weekly as pages
from autoops.report.errors import Asked
from autoops.report.page import Page
from autoops.report.web import html
from autoops.report.weekly import Judged
from autoops.runtime import maintenance
from autoops.store.database import Database
from autoops.store.findings import Findings
from autoops.store.outbox import Item, Outbox
from autoops.store.registry import Registry

_CHECKS = ("permissions", "suspect", "key", "certificates", "clock")
_DOCTOR = ("state directory", "single writer, by the units", "single writer, by the kernel", "sandbox in force")
_OF_TRUST = (
    REGISTRY_EDITED,
    *(kind for kind in GRAVE if kind in ("ledger_broken", "checkpoint_mismatch", "ledger_forked", "corrupt")),
)


@contextlib.contextmanager
def reading(ctx: Context) -> Iterator[Database]:
    """Open queue.db for reading. Raises CannotTell when it is damaged; StorageError."""
    try:
        with ctx.queue_db(writable=False) as database:
            yield database
    except StorageCorrupt as error:
        raise CannotTell(detail=str(error).removesuffix("."), remedy=error.advice) from None


def lasts(ctx: Context) -> dict[str, Last | None]:
    """Return how snapshots, drills and archives ended last."""
    state = ctx.state
    places = {
        "snapshot": state.last_snapshot,
        "drill": state.last_drill,
        "archive": state.last_archive,
        "archive check": state.last_archive_check,
        "archive drill": state.last_archive_drill,
    }
    return {name: recall(path) for name, path in places.items()}


def begun_s(ctx: Context) -> int | str | None:
    """Return when the first commit was made, None before it, or why that is not known."""
    try:
        with contextlib.closing(ctx.registry()) as registry:
            return registry.began_s()
    except StorageError as error:
        return str(error)


def weekly(ctx: Context, asked: Asked) -> JSON:
    """Return what the weekly page tells. Raises StorageMissing, ConfigError."""
    require_state(ctx.state)
    settings, window = ctx.running_config(), maintenance.read(ctx.state.flag)
    with contextlib.ExitStack() as opened:

        @functools.cache
        def queue() -> Database:
            return opened.enter_context(ctx.queue_db(writable=False))

        @functools.cache
        def registry() -> Registry:
            return opened.enter_context(contextlib.closing(ctx.registry()))

        def covered() -> JSON:
            return coverage.report(queue(), registry(), settings, asked.until_s, asked.since_s)

        paused = (str(window) or "since when and why is not said") if window is not None else ""
        sources = pages.Sources(
            queue,
            registry,
            covered,
            lambda: security(ctx, queue()),
            [root.name for root in settings.roots],
            lasts(ctx),
            paused,
            socket.gethostname(),
        )
        return pages.gathered(sources, asked)


def security(ctx: Context, database: Database) -> Sequence[Judged]:
    """Return what can be said about who may do what, and what was done past the ledger. Raises StorageError."""
    settings = looking(ctx)
    wanted = [one for one in checks.CHECKS if one[0] in _CHECKS]
    results = [*checks.run(settings, wanted), *(doctor.check_one(name, settings) for name in _DOCTOR)]
    counts = Findings(database).counts()
    standing = {kind: counts[kind] for kind in _OF_TRUST if counts.get(kind)}
    said = ", ".join(f"{count} {kind}" for kind, count in standing.items()) or "no finding about it stands"
    results.append(Result("what proves the registry", Level.CRITICAL if standing else Level.OK, said))
    return [Judged(one.name, one.level.name, one.text) for one in results]


def post(ctx: Context, facts: JSON, page: Page, *, dry_run: bool) -> list[str]:
    """Put the weekly page into the outbox; return the channels that it goes to. Raises NobodyTakesReports, StorageError."""
    channels = takers_of_reports(ctx.running_config())
    if not channels:
        raise NobodyTakesReports
    if dry_run:
        return channels
    title = f"weekly report, {facts['since'][:10]} to {facts['at'][:10]}"
    state = ctx.state
    with ctx.queue_db() as database:  # first: who may not write it has written nothing
        try:
            letter.put(state.letter, state.letter_page, title, "\n".join(text.lines(page)), html(page))
        except OSError as error:
            raise NotWritten.because(state.letter, error) from None
        items = [Item(channel, "info", letter.REPORT, "firing") for channel in channels]
        Outbox(database, uniform=lambda: 0.0).enqueue(items, int(time.time()))
    return channels
