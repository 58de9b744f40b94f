"""`autoops logs`: what the services reported, from the journal where systemd runs them, else from the files that `up` writes."""

from __future__ import annotations

import contextlib
import datetime
import heapq
import io
import json
import os
import re
import shutil
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from autoops import log, names
from autoops.acting import as_owner_of
from autoops.cli.options import DryRunOption, StateOption, context
from autoops.cli.output import say
from autoops.cli.spans import span_s
from autoops.errors import CannotTell, NotWritten, UsageError
from autoops.files import opening
from autoops.units import systemd

_SERVICE = re.compile(r"[a-z][a-z-]*")
_LOOK_S = 0.3
_CHUNK_BYTES = 1 << 20


class Line(NamedTuple):
    """One line of a log file."""

    at: str  # ISO 8601 in UTC; "" when the line does not say
    text: str  # as it is shown


def logs(
    service: Annotated[list[str] | None, typer.Argument(metavar="[worker|watcher|...]", help="Only of these services.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl+C.")] = False,
    since: Annotated[str, typer.Option("--since", metavar="S", help="90s, 5m, 2h, 1d ago, or a time: 2026-01-31 12:00.")] = "",
    lines: Annotated[int, typer.Option("--lines", "-n", metavar="N", help="At most the last so many lines.")] = 50,
    state: StateOption = None,
    vacuum: Annotated[
        int | None,
        typer.Option("--vacuum", min=0, metavar="BYTES", help="Show nothing: cut each log file of `up` to its newest bytes."),
    ] = None,
    dry_run: DryRunOption = False,
) -> None:
    """Show what the services reported: from the journal, or from the state directory's log files."""
    if vacuum is not None:
        _vacuum(context(state).state.directory / "log", vacuum, dry_run=dry_run)
        return
    wanted = [name.removeprefix("autoops-").removesuffix(".service") for name in service or ()]
    for name in wanted:
        if not _SERVICE.fullmatch(name):
            raise UsageError(detail=f"{names.show(name)} is not the name of a service, such as worker or watcher")
    if state is None and _has_units():
        command = journal_command(wanted, follow=follow, since=since, lines=lines)
        os.execvp(command[0], command)  # does not return
    directory = context(state).state.directory / "log"
    files = [directory / f"{name}.log" for name in wanted] or sorted(directory.glob("*.log"))
    missing = [str(path) for path in files if not path.exists()]
    if missing or not files:
        raise CannotTell(
            detail=f"what the services reported: there is no {missing[0] if missing else directory / '*.log'}",
            remedy="`autoops up` writes them; services that you started by hand write to their own standard error",
        )
    tails = [Tail(path) for path in files]  # first, so that no line falls between what is shown and what is followed
    _show(tails, after=since_time(since, datetime.datetime.now(datetime.UTC)), lines=lines)
    if follow:
        with contextlib.suppress(KeyboardInterrupt):  # the way to end it
            _follow(tails)


@contextlib.contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Have it said which log file cannot be read. Raises CannotTell."""
    try:
        yield
    except OSError as error:
        shown = names.show(os.fsencode(path))
        raise CannotTell(detail=f"what is in {shown}: {error.strerror}", remedy="ask as root, or as who runs autoops up") from None


def _opened(path: Path) -> io.BufferedReader:
    """Open a log file with the rights of its directory's owner: no link is followed, no FIFO waited for. Raises OSError."""
    with as_owner_of(path.parent):
        return opening.plain(path)


def end_of(path: Path, size_bytes: int) -> bytes:
    """Return the newest bytes of a log file. Raises OSError, also for a link."""
    with _opened(path) as source:
        source.seek(max(0, source.seek(0, os.SEEK_END) - size_bytes))
        return source.read(size_bytes)


def _vacuum(directory: Path, keep_bytes: int, *, dry_run: bool) -> None:
    for path in sorted(directory.glob("*.log")):
        size_bytes = path.lstat().st_size
        if path.is_symlink() or size_bytes <= keep_bytes:
            continue
        if not dry_run:
            try:
                with as_owner_of(directory):
                    cut(path, keep_bytes)
            except OSError as error:
                raise NotWritten.because(names.show(os.fsencode(path)), error) from None
        say(f"{'would be cut' if dry_run else 'cut'}: {path}, {size_bytes:,} bytes to {keep_bytes:,} at most")


def cut(path: Path, keep_bytes: int) -> None:
    """Leave of a log file its newest whole lines. Raises OSError.

    What is kept is moved to the front inside of the file: its writers have it open, appending, and on a full disk there is no room
    for another one. A line that is written meanwhile may be lost.
    """
    with os.fdopen(os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC), "r+b", buffering=0) as file:
        file.seek(-keep_bytes, os.SEEK_END)
        if keep_bytes and b"\n" in (part := file.read(min(keep_bytes, _CHUNK_BYTES))):
            file.seek(len(part) * -1 + part.index(b"\n") + 1, os.SEEK_CUR)
        source, target = file.tell(), 0
        while chunk := os.pread(file.fileno(), _CHUNK_BYTES, source):
            os.pwrite(file.fileno(), chunk, target)
            source, target = source + len(chunk), target + len(chunk)
        file.truncate(target)


def _has_units() -> bool:
    with contextlib.suppress(CannotTell):
        return systemd.is_booted() and shutil.which("journalctl") is not None and bool(systemd.installed())
    return False


def journal_command(wanted: Sequence[str], *, follow: bool, since: str, lines: int) -> list[str]:
    """Return the journalctl command that shows what is wanted: of all units of ours, or of these services."""
    units = [f"autoops-{name}.service" for name in wanted] or [systemd.OURS]
    command = ["journalctl", *(f"--unit={unit}" for unit in units), f"--lines={lines}"]
    if since:
        command.append(f"--since={'' if span_s(since) is None else '-'}{since}")
    return [*command, "--follow"] if follow else command


def since_time(text: str, now: datetime.datetime) -> str:
    """Return from when on, in UTC as the log files have it; "" for always. Raises UsageError."""
    if not text:
        return ""
    back_s = span_s(text)
    try:
        if back_s is not None:
            return _iso(now - datetime.timedelta(seconds=back_s))
        return _iso(datetime.datetime.fromisoformat(text).astimezone(datetime.UTC))
    except (ValueError, OverflowError):
        raise UsageError(detail=f"--since {names.show(text)} is neither a span such as 90s, 5m, 2h, 1d nor a time") from None


def _iso(at: datetime.datetime) -> str:
    return at.isoformat(timespec="milliseconds")


def rendered(raw: bytes, service: str) -> Line:
    """Return one line of a service's log file for a person; what is no record is shown as it is."""
    text = raw.decode("utf-8", "surrogateescape")
    try:
        facts = json.loads(text)
        at, level = str(facts.pop("timestamp")), str(facts.pop("level"))
        facts.pop("program", None)
        said = log.sentence(facts)
        when = datetime.datetime.fromisoformat(at).astimezone().strftime("%b %d %H:%M:%S")
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return Line("", names.show(f"{service}: {text}"))
    trace = "".join(f"\n    {names.show(line)}" for line in str(facts.get("exception", "")).splitlines())
    return Line(at, names.show(f"{when} {service} {level}: {said}") + trace)


def _show(tails: Sequence[Tail], *, after: str, lines: int) -> None:
    """Print the last lines of all files together, in the order of their times."""
    last = deque(_merged(tails, after), maxlen=max(0, lines))
    for line in last:
        print(line.text, flush=True)


def _merged(tails: Sequence[Tail], after: str) -> Iterator[Line]:
    """Yield the lines of all files by time; one that does not say its time stays behind the one before it."""

    def timed(tail: Tail) -> Iterator[tuple[str, Line]]:
        at = ""
        for raw in tail.lines_before():
            line = rendered(raw, tail.name)
            at = line.at or at
            if at >= after:
                yield at, line

    for _, line in heapq.merge(*map(timed, tails), key=lambda pair: pair[0]):
        yield line


class Tail:
    """The end of one file as it grows; begun anew when it is cut or replaced. Raises CannotTell, when made and asked."""

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        self._path = path
        with _telling(path):
            self._source = _opened(path)
            self._begin = self._source.seek(0, os.SEEK_END)
        self._rest = b""

    def lines_before(self) -> Iterator[bytes]:
        """Yield the lines up to where the tail begins; a last one that is still being written belongs to the tail."""
        left = self._begin
        with _telling(self._path):
            self._source.seek(0)
            while raw := self._source.readline(left):
                left -= len(raw)
                if raw.endswith(b"\n"):
                    yield raw[:-1]
                else:
                    self._rest = raw
            self._source.seek(self._begin - left)

    def new_lines(self) -> list[bytes]:
        """Return the whole lines that have come."""
        with _telling(self._path):
            *whole, self._rest = (self._rest + self._source.read()).split(b"\n")
            with contextlib.suppress(FileNotFoundError):  # between two files
                there, ours = self._path.lstat(), os.fstat(self._source.fileno())
                if (there.st_ino, there.st_dev) != (ours.st_ino, ours.st_dev):
                    following = _opened(self._path)
                    self._source.close()
                    self._source, self._rest = following, b""
                elif ours.st_size < self._source.tell():
                    self._source.seek(0)
                    self._rest = b""
        return whole


def _follow(tails: Sequence[Tail]) -> None:
    while True:
        for tail in tails:
            for raw in tail.new_lines():
                print(rendered(raw, tail.name).text, flush=True)
        time.sleep(_LOOK_S)


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(logs)
