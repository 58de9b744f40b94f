"""`autoops up`: the whole suite in the foreground, and a live view of it.

Starts the same programs that systemd would (`autoops-watcher`, `-worker`, `-tailer`, `-shipper`; `autoops-catalog --follow` when
catalogs are declared) with their logs in the state directory, now and then a reconciler and a scrub (rounds.py), and shows what the
databases say. Ends when it is told to, or when one of the services ends.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from autoops import clock, names
from autoops.acting import as_owner_of
from autoops.cli.context import Context, is_terminal
from autoops.cli.logs import end_of
from autoops.cli.output import say
from autoops.cli.rounds import PAUSED, Now, Round, Rounds
from autoops.config import Config
from autoops.core.canonical import parse
from autoops.core.ledger import Head
from autoops.core.spoken import counted
from autoops.errors import AutoopsError, CheckFailed, NotWritten
from autoops.runtime.signals import Signals
from autoops.store.backlog import Backlog
from autoops.store.database import Database
from autoops.store.operations import Gaps, Heartbeats
from autoops.store.records import UNFIT
from autoops.store.registry import Registry

if TYPE_CHECKING:
    from rich.console import Group

_REFRESH_S = 0.5
_PLAIN_S = 2.0
_LATEST = 8
_ALERTS_S = 60.0
_PLAYBOOKS_S = 300.0  # as often as systemd has the health checked
_TOLD_BY_LOG = ("reconciler", "scrub", "snapshot", "drill")  # what they print besides is for who runs them by hand
_ENDED = (  # in this order
    *("playbooks", "alerts", "drill", "snapshot", "scrub", "reconciler"),
    *("catalog", "tailer", "shipper", "watcher", "worker"),
)
_PARSED_BYTES = 64 * 1024  # records of a scan are megabytes; one line says enough about them


class Picture(NamedTuple):
    """What the live view shows."""

    entries: int
    rate: float  # entries a second, over the last seconds
    head: Head
    queue: Mapping[str, int]
    to_describe: int
    gaps: int
    doing: dict[str, str]
    halted: str  # who does not work at present
    latest: list[str]


Show = Callable[[Picture], None]


class Eyes:
    """Reads the databases for the live view."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._database: Database = context.queue_db(writable=False)
        self._rates: deque[tuple[float, int]] = deque(maxlen=8)
        self._latest: deque[str] = deque(maxlen=_LATEST)
        self._inode, self._registry = self._inode_there(), context.registry()
        self._sequence = self._registry.head().sequence

    def _inode_there(self) -> int:
        try:
            return self._context.state.registry_db.stat().st_ino
        except OSError:  # which is told by who opens it
            return 0

    def look(self) -> Picture:
        """Return how things stand. Raises StorageError; then a later look may do better."""
        inode = self._inode_there()
        if inode != self._inode:  # a snapshot was put in its place
            registry: Registry = self._context.registry()
            self._registry.close()
            self._inode, self._registry = inode, registry
            self._sequence = registry.head().sequence
        beats = Heartbeats(self._database).list()
        entries = self._registry.count()
        self._rates.append((time.monotonic(), entries))
        (then_s, before), (now_s, now) = self._rates[0], self._rates[-1]
        head = self._registry.head()
        for record in self._registry.records(max(self._sequence, head.sequence - _LATEST)):
            try:
                self._latest += _lines(record.sequence, record.text)
            except UNFIT:  # which is told by who proves the registry
                self._latest.append(f"commit {record.sequence}: its record cannot be read")
        self._sequence = head.sequence
        return Picture(
            entries,
            (now - before) / (now_s - then_s) if now_s > then_s else 0.0,
            head,
            {str(state): count for state, count in Backlog(self._database).counts().items()},
            self._registry.pending_count(),
            len(Gaps(self._database).open_gaps()),
            {beat.process: beat.status for beat in beats},
            ", ".join(f"{beat.process} {beat.state}" for beat in beats if beat.state in ("paused", "held")),
            list(self._latest),
        )

    def close(self) -> None:
        """Close the databases."""
        self._registry.close()
        self._database.close()


def _lines(sequence: int, text: str) -> list[str]:
    """Return what one commit did, a line for each of its first patches."""
    if len(text) > _PARSED_BYTES:
        return [f"commit {sequence}: a batch of {text.count(chr(34) + 'op' + chr(34) + ':'):,} changes"]
    record = parse(text)
    lines = [] if record["patches"] else [f"commit {sequence}: {record['reason']}"]
    for patch in record["patches"][:_LATEST]:
        if patch["op"] == "create":
            lines.append(f"{patch['entry']['id']}  new       {patch['entry']['path']}")
        else:
            changed = ", ".join(patch["set"])
            where = patch["set"].get("path", "")
            lines.append(f"{patch['id']}  {patch['evidence'].get('kind', ''):9} {where or changed}")
    return lines


def run_suite(context: Context) -> int:
    """Run worker, watcher, tailer and shipper until a signal, or until one of them ends. Raises CheckFailed when one fails."""
    logs = context.state.directory / "log"
    logs.mkdir(mode=0o700, exist_ok=True)
    config = context.config()
    services = ("worker", "watcher", "tailer", "shipper", *(("catalog",) if config.catalog_tables else ()))
    children: dict[str, subprocess.Popen[bytes]] = {}
    with Signals() as signals:
        rounds = Rounds(context.state, rounds_of(config), lambda name: _start_round(context, name, logs / f"{name}.log"), _now())
        try:
            for name in services:
                children[name] = _start(context, name, logs / f"{name}.log")
            with contextlib.closing(Eyes(context)) as eyes, _view(context, logs) as show:
                stopped = _watch(eyes, children, rounds, signals, show)
        finally:
            _end({**rounds.running, **children})
    failed = [name for name, child in children.items() if child.returncode]
    if failed and not stopped:
        code, words = children[failed[0]].returncode, _last_words(logs / f"{failed[0]}.log")
        raise CheckFailed(detail=f"autoops-{failed[0]} ended with status {code}: {words}")
    say("stopped")
    return 0


def rounds_of(config: Config) -> list[Round]:
    """Return what is run now and then. (A reconciler that finds something ends with 1, a scrub without a worker with 3.)"""
    return [
        Round("reconciler", config.reconcile.interval_s, (0, 1, PAUSED)),
        Round("scrub", config.scrub.interval_s if config.scrub.enabled else 0.0, (0, 3, PAUSED)),
        Round("snapshot", config.backup.interval_s, (0,)),
        Round("drill", config.drill.interval_s, (0,)),
        Round("playbooks", _PLAYBOOKS_S if config.playbooks.enabled else 0.0, (0, PAUSED)),
        Round("alerts", _ALERTS_S if config.channels else 0.0, (0,), in_window=True),
    ]


def _watch(eyes: Eyes, children: dict[str, subprocess.Popen[bytes]], rounds: Rounds, signals: Signals, show: Show) -> bool:
    """Show how things stand until a signal (True) or the end of a child (False); see to it that the rounds are made."""
    while all(child.poll() is None for child in children.values()):
        now = _now()
        for name, code in rounds.tend(now):
            say(f"autoops-{name} ended with status {code}: autoops logs {name}")
        with contextlib.suppress(AutoopsError):  # a reader may meet a locked or paused database; the next look will not
            picture = eyes.look()
            show(picture._replace(doing=picture.doing | rounds.status(now)))
        select.select([signals.fileno()], [], [], _REFRESH_S)
        if signals.take():
            return True
    return False


def _now() -> Now:
    return Now(clock.boottime_ns() / 1e9, time.time())


def _start_round(context: Context, name: str, log: Path) -> subprocess.Popen[bytes]:
    """Start what ends by itself, also where it can have no log (a full disk, say): that is no reason to end the services."""
    try:
        return _start(context, name, log)
    except NotWritten:
        return _start(context, name, Path(os.devnull))


def _start(context: Context, name: str, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "autoops.cli.daemon", name, "--state", os.fspath(context.state.directory)]
    if context.config_file:
        command += ["--config", os.fspath(context.config_file)]
    if name == "catalog":
        command += ["--follow"]
    else:
        for root in context.roots:
            command += ["--root", os.fspath(root)]
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # no link, no wait for a FIFO
    try:
        with as_owner_of(log.parent):
            out = os.fdopen(os.open(log, flags, 0o666), "ab")
    except OSError as error:
        raise NotWritten.because(log, error) from None
    with out:
        said = subprocess.DEVNULL if name in _TOLD_BY_LOG else out
        # their own process group: Ctrl+C is for us, we end them in order
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=out, start_new_session=True)


def _end(children: dict[str, subprocess.Popen[bytes]]) -> None:
    # the worker last: it still takes what the watcher stored
    for name in _ENDED:
        child = children.get(name)
        if child is None:
            continue
        if child.poll() is None:
            child.terminate()
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _last_words(log: Path) -> str:
    try:
        lines = end_of(log, 2000).splitlines()
    except OSError:  # a link, say
        lines = []
    return names.show(lines[-1]) if lines else f"see {log}"


@contextlib.contextmanager
def _view(context: Context, logs: Path) -> Iterator[Show]:
    if not is_terminal():
        yield Plain(context, logs)
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(highlight=False), refresh_per_second=4, transient=False) as live:
        yield lambda picture: live.update(_drawn(context, logs, picture))


class Plain:
    """The view where nobody has a terminal: a line when something has changed."""

    def __init__(self, context: Context, logs: Path) -> None:
        self._said, self._at_s = "", 0.0
        say(f"state: {context.state.directory}; logs: {logs}")

    def __call__(self, picture: Picture) -> None:
        line = _headline(picture)
        if line != self._said and time.monotonic() - self._at_s > _PLAIN_S:
            self._said, self._at_s = line, time.monotonic()
            say(line)


def _headline(picture: Picture) -> str:
    queue = ", ".join(f"{count:,} {state}" for state, count in picture.queue.items() if count and state != "completed")
    rate = f" ({picture.rate:,.0f}/s)" if picture.rate >= 1 else ""
    return (
        f"{counted(picture.entries, 'file')} registered{rate}, {picture.to_describe:,} to describe; queue: {queue or 'empty'};"
        f" commit {picture.head.sequence:,}, digest {picture.head.digest.hex()[:16]}"
        + (f"; {picture.halted}" if picture.halted else "")
    )


def _drawn(context: Context, logs: Path, picture: Picture) -> Group:
    from rich.console import Group
    from rich.text import Text

    lines = [_headline(picture)]
    lines += [f"{name}: {names.show(status)}" for name, status in picture.doing.items()]
    if picture.gaps:
        lines.append(f"not watched: {counted(picture.gaps, 'place')}, see autoops coverage")
    lines += ["", "latest:", *(f"  {names.show(line)}" for line in picture.latest)]
    where = names.show(os.fsencode(context.state.directory))
    lines += ["", f"look further: autoops status|list|explain PATH|verify --state {where}; logs in {names.show(os.fsencode(logs))}"]
    lines.append("Ctrl+C stops")
    return Group(*(Text(line, no_wrap=True, overflow="ellipsis") for line in lines))
