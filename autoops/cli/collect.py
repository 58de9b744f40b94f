"""`autoops collect`: everything that a bug report needs, in one file; the secrets it finds are taken out.

Reads what the other commands show, the logs, and what systemd says; writes one .tar.gz that only its owner may read.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import io
import json
import os
import platform
import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from autoops import __version__, names
from autoops import config as configuration
from autoops.cli import catalog, logs, status
from autoops.cli.checking import looking
from autoops.cli.context import Context
from autoops.cli.coverage import gap_facts
from autoops.cli.findings import finding_facts
from autoops.cli.options import ConfigOption, StateOption, context, file_name
from autoops.cli.output import say
from autoops.core.catalog import METADATA
from autoops.core.ledger import utc
from autoops.core.redact import REMOVED, redact
from autoops.errors import AutoopsError, NotWritten, Refused
from autoops.health import doctor, host, report
from autoops.health import run as checks
from autoops.prove import catalogs as proofs
from autoops.store.backlog import Backlog, Listed
from autoops.store.findings import Findings
from autoops.store.operations import Gaps
from autoops.store.version import sqlite_version
from autoops.units import systemd

_LISTED = 1000  # jobs, findings and gaps
_LOG_BYTES = 512 * 1024  # of each log file, its end
_METADATA_BYTES = 4 << 20  # of each catalog: 20,000 parts
_JOURNAL_LINES = 5000
_TIMEOUT_S = 30.0

_ABOUT = f"""What `autoops collect` of autoops {__version__} found.

It contains names of files and directories, of units, users and this host, and what the services reported. The private key is not in
it; what looked like a password, a token or a secret was replaced by "(removed)". That finds what is called so, and nothing else:
look through it before you give it away.
"""

_ADDRESS = re.compile(r"""(?m)^(.*\burl\b[^=\n]*=)\s*(?:\"{3}(?s:.*?)\"{3}|'{3}(?s:.*?)'{3}|.*$)""")

Part = tuple[str, Callable[[], str]]  # name in the archive, what makes its text


def collect(
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="The file to make. Default: ./autoops-TIME.tar.gz.", readable=False)
    ] = None,
    state: StateOption = None,
    config: ConfigOption = None,
) -> None:
    """Collect what a bug report needs into a .tar.gz: status, health, doctor, findings, jobs, configuration, logs; no secrets."""
    ctx = context(state, config)
    now = datetime.datetime.now(datetime.UTC)
    path = file_name(out, "--out") if out else Path(f"autoops-{now:%Y%m%d-%H%M%S}.tar.gz")
    faults = write(path, parts(ctx), int(now.timestamp()))
    say(f"written: {path} ({path.stat().st_size:,} bytes)")
    for name, fault in faults:
        say(f"  {name}: {fault}")
    say(
        "it contains names of files, and what the services reported; secrets that are called so were removed: look through it first"
    )


def parts(ctx: Context) -> Iterator[Part]:
    """Yield what is collected; each part is made when it is asked for, and may fail alone."""
    settings = looking(ctx)
    yield "about.txt", lambda: _ABOUT
    yield "versions.json", lambda: _json(_versions())
    yield "status.json", lambda: _json(status.facts_of(ctx))
    yield "health.json", lambda: _json(report.as_facts(checks.run(settings), utc(time.time())))
    yield "doctor.json", lambda: _json(report.as_facts(doctor.run(settings), utc(time.time())))
    yield "findings.json", lambda: _json(_from_queue(ctx, lambda db: finding_facts(Findings(db).list(limit=_LISTED))))
    yield "coverage.json", lambda: _json(_from_queue(ctx, lambda db: gap_facts(Gaps(db).history(_LISTED))))
    yield "queue.json", lambda: _json(_from_queue(ctx, _jobs))
    yield "configuration.toml", lambda: configuration.as_toml(ctx.running_config())
    yield (
        "configuration-file.toml",
        lambda: _without_addresses(ctx.file.read_text(errors="replace")),
    )
    yield "catalogs.json", lambda: _json(catalog.status_facts(ctx))
    for name in _declared(ctx):
        yield f"catalogs/{name}.json", functools.partial(_metadata, ctx, name)
    yield "state.txt", lambda: _listing(ctx.state.directory)
    yield "units.txt", _units
    yield "journal.txt", _journal
    for path in sorted((ctx.state.directory / "log").glob("*.log")):
        yield f"log/{path.name}", functools.partial(_end_of, path)


def _without_addresses(text: str) -> str:
    """Return a configuration file without the addresses of channels, any part of which may be a key."""
    return _ADDRESS.sub(rf'\1 "{REMOVED}"', text)


def write(path: Path, found: Iterator[Part], at_s: int) -> list[tuple[str, str]]:
    """Write a new archive that only its owner may read; return (part, why) of what could not be had. Raises Refused, NotWritten."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise Refused(detail=f"{names.show(os.fsencode(path))} exists already; name another file with --out") from None
    except OSError as error:
        raise NotWritten.because(path, error) from None
    faults = []
    try:
        with os.fdopen(fd, "wb") as target, tarfile.open(fileobj=target, mode="w:gz") as archive:
            for name, make in found:
                text, fault = _made(make)
                faults += [(name, fault)] if fault else []
                _add(archive, name, redact(text), at_s)
    except BaseException as error:  # Ctrl+C too: what has the name is whole
        path.unlink()
        if isinstance(error, OSError):
            raise NotWritten.because(path, error) from None
        raise
    return faults


def _made(make: Callable[[], str]) -> tuple[str, str]:
    """Return a part's text, and what kept it from being made, "" when nothing did."""
    try:
        return make(), ""
    except AutoopsError as error:
        fault = str(error)
    except OSError as error:
        said = error.strerror or str(error)
        fault = f"{names.show(os.fsencode(error.filename))}: {said}" if error.filename else said
    except subprocess.SubprocessError as error:
        fault = str(error)
    return f"could not be had: {fault}\n", names.show(fault)


def _add(archive: tarfile.TarFile, name: str, text: str, at_s: int) -> None:
    raw = text.encode("utf-8", "surrogateescape")
    entry = tarfile.TarInfo(f"autoops/{name}")
    entry.size, entry.mtime, entry.mode = len(raw), at_s, 0o600
    archive.addfile(entry, io.BytesIO(raw))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True, default=str) + "\n"


def _versions() -> dict[str, object]:
    release = Path("/etc/os-release")
    return {
        "autoops": __version__,
        "kernel": platform.release(),
        "libraries": host.library_versions(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "sqlite": ".".join(map(str, sqlite_version())),
        "system": platform.freedesktop_os_release() if release.exists() else {},
    }


def _from_queue(ctx: Context, read: Callable[[Any], Any]) -> Any:
    with ctx.queue_db(writable=False) as database:
        return read(database)


def _jobs(database: Any) -> dict[str, object]:
    backlog = Backlog(database)
    listed = {"dead_letters": backlog.list("dead_letter", limit=_LISTED), "newest": backlog.list(limit=_LISTED)}
    return {"counts": backlog.counts(), **{name: [_job(job) for job in jobs] for name, jobs in listed.items()}}


def _job(job: Listed) -> dict[str, object]:
    facts = {name: value for name, value in job.facts.items() if name != "patch"}  # which may hold anything
    return {**job._asdict(), "facts": facts, "key": names.text(job.key.replace(b"\0", b"/"))}


def _listing(directory: Path) -> str:
    lines = []
    for path in [directory, *sorted(directory.rglob("*"))]:
        with contextlib.suppress(FileNotFoundError):  # gone meanwhile
            there = path.lstat()
            shown = names.show(os.fsencode(path))
            lines.append(f"{there.st_mode:o} {there.st_uid}:{there.st_gid} {there.st_size:>12} {utc(there.st_mtime)} {shown}\n")
    return "".join(lines)


def _units() -> str:
    return systemd.ask("show", "--", *systemd.installed())


def _journal() -> str:
    systemd.installed()  # says why there is none
    if shutil.which("journalctl") is None:
        return "journalctl is not installed\n"
    command = logs.journal_command([], follow=False, since="", lines=_JOURNAL_LINES)
    run = subprocess.run(
        [*command, "--no-pager", "--output=short-iso-precise"], capture_output=True, timeout=_TIMEOUT_S, check=False
    )
    return (run.stdout + run.stderr).decode(errors="replace")


def _declared(ctx: Context) -> list[str]:
    with contextlib.suppress(AutoopsError):  # the configuration's own part says why
        return [table.name for table in ctx.running_config().catalog_tables]
    return []


def _metadata(ctx: Context, name: str) -> str:
    with proofs.opened(ctx.state, name) as fd:  # no link in it is followed, whoever put it there
        if fd is None:
            return "it was never built\n"
        with proofs.open_file(fd, METADATA) as source:
            return source.read(_METADATA_BYTES).decode("utf-8", "surrogateescape")


def _end_of(path: Path) -> str:
    return logs.end_of(path, _LOG_BYTES).decode("utf-8", "surrogateescape")


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(collect)
