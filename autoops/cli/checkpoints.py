"""`autoops checkpoints ...`: how the tailer stands, and the whole file checked by hand."""

from __future__ import annotations

import contextlib
import itertools
import time
from pathlib import Path
from typing import Annotated

import typer

from autoops import clock
from autoops.cli.options import JsonOption, StateOption, context
from autoops.cli.output import as_json, say, table
from autoops.core.signing import Verifier
from autoops.core.spoken import counted
from autoops.errors import CannotTell
from autoops.files.following import Position
from autoops.model import JSON
from autoops.prove import verify as proofs
from autoops.state import State
from autoops.store.database import Database
from autoops.store.findings import Findings
from autoops.store.operations import Heartbeats
from autoops.store.samples import Samples
from autoops.tail import memory, notes
from autoops.tail.own import written_at

checkpoints_app = typer.Typer(
    help="The signed checkpoints: how they are followed, and whether they are right.", no_args_is_help=True
)

_KINDS = (notes.CHECKPOINT, *notes.FOREIGN)


@checkpoints_app.command("status")
def status(state: StateOption = None, json: JsonOption = False) -> None:
    """Show how far checkpoints.jsonl is read, what disagrees, and how soon lines were checked."""
    ctx = context(state)
    with ctx.queue_db(writable=False) as database:
        facts = _facts(ctx.state, database, time.time())
    if json:
        as_json(facts)
        return
    last = facts["last"]
    say(f"tailer: {'running' if facts['running'] else 'not running'}")
    say(f"read: {_progress(facts)}")
    age = f", {last['age_s']:.0f} s ago" if last["age_s"] is not None else ""
    say(f"last line: commit {last['sequence']}, digest {last['digest'][:16] or 'none'}{age}")
    say(f"faults: {facts['faults']}" + (f", the first: {facts['fault']}" if facts["fault"] else ""))
    say(f"findings: {', '.join(f'{count} {kind}' for kind, count in facts['findings'].items()) or 'none'} (autoops findings)")
    taken = {name: one for name, one in facts["samples"].items() if one}
    rows = [(name, one["total"], *(f"{one[key]:.3f}" for key in ("p50", "p95", "p99"))) for name, one in taken.items()]
    if rows:
        table([("seconds", "times", "p50", "p95", "p99"), *rows])


def _progress(facts: JSON) -> str:
    lines, size_bytes = counted(facts["position"]["lines"], "line"), facts["size_bytes"]
    match facts["file"]:
        case "absent":
            of = f"{lines} of a file that is gone" if facts["position"]["lines"] else "nothing: there is no file"
            return f"{of}; the next commit begins one"
        case "another":
            return f"nothing yet of the {counted(size_bytes, 'byte')} that are there; {lines} of the file before it"
    return f"{lines}, {facts['position']['offset']:,} of {counted(size_bytes, 'byte')}"


def _stands(path: Path, read: Position) -> tuple[str, int]:
    """Return whether the file at the name is the one that was read ("this"), "another" or "absent"; and its size in bytes."""
    try:
        found = path.lstat()
    except OSError:
        return "absent", 0
    is_this = read.inode in (0, found.st_ino) and found.st_size >= read.offset
    return "this" if is_this else "another", found.st_size


def _facts(state: State, database: Database, now_s: float) -> JSON:
    kept = memory.load(state.tail)
    beat = Heartbeats(database).of("tailer")
    at_s = written_at(kept.at)
    found = Findings(database).counts()
    taken = {name: Samples(database).percentiles(name) for name in (notes.LATENCY, notes.DETECTION)}
    stands, size_bytes = _stands(state.checkpoints, kept.position)
    return {
        **memory.facts(kept),
        "file": stands,
        "findings": {kind: found[kind] for kind in _KINDS if kind in found},
        "last": {"age_s": None if at_s is None else now_s - at_s, "at": kept.at, "digest": kept.digest, "sequence": kept.sequence},
        "running": beat is not None and clock.is_alive(beat.boot_id, beat.pid, beat.start),
        "samples": {name: one._asdict() if one else None for name, one in taken.items()},
        "size_bytes": size_bytes,
    }


@checkpoints_app.command("verify")
def verify(
    state: StateOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most so many faults.")] = 20,
    json: JsonOption = False,
) -> None:
    """Check every line of checkpoints.jsonl against key and ledger. 0 when all agree, 1 when not, 3 when there is no such file."""
    ctx = context(state)
    if not ctx.state.checkpoints.exists():
        raise CannotTell(
            detail=f"whether the checkpoints are right: there is no {ctx.state.checkpoints}", remedy="the worker writes it"
        )
    with contextlib.closing(ctx.registry()) as registry:
        found = proofs.checkpoints(ctx.state.checkpoints, registry, Verifier(ctx.public_key()))
        shown = list(itertools.islice(found, limit))
        total = len(shown) + sum(1 for _ in found)
    if json:
        as_json({"faults": [fault.detail for fault in shown], "good": not total, "total": total})
    else:
        for fault in shown:
            say(fault.detail)
        say(f"Checkpoints: FAILED ({counted(total, 'fault')})" if total else "Checkpoints: PASSED")
    raise typer.Exit(0 if not total else 1)


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.add_typer(checkpoints_app, name="checkpoints")
