"""`autoops checkpoints ...`: how the tailer stands, and the whole file checked by hand."""

from __future__ import annotations

import contextlib
import itertools
import time
from typing import Annotated

import typer

from autoops import clock
from autoops.cli.options import JsonOption, StateOption, context
from autoops.cli.output import as_json, say, table
from autoops.core.signing import Verifier
from autoops.errors import CannotTell
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
    say(f"read: {facts['position']['lines']} lines, {facts['position']['offset']} of {facts['size_bytes']} bytes")
    age = f", {last['age_s']:.0f} s ago" if last["age_s"] is not None else ""
    say(f"last line: commit {last['sequence']}, digest {last['digest'][:16] or 'none'}{age}")
    say(f"faults: {facts['faults']}" + (f", the first: {facts['fault']}" if facts["fault"] else ""))
    say(f"findings: {', '.join(f'{count} {kind}' for kind, count in facts['findings'].items()) or 'none'} (autoops findings)")
    taken = {name: one for name, one in facts["samples"].items() if one}
    rows = [(name, one["total"], *(f"{one[key]:.3f}" for key in ("p50", "p95", "p99"))) for name, one in taken.items()]
    if rows:
        table([("seconds", "times", "p50", "p95", "p99"), *rows])


def _facts(state: State, database: Database, now_s: float) -> JSON:
    kept = memory.load(state.tail)
    beat = next((beat for beat in Heartbeats(database).list() if beat.process == "tailer"), None)
    at_s = written_at(kept.at)
    found = Findings(database).counts()
    taken = {name: Samples(database).percentiles(name) for name in (notes.LATENCY, notes.DETECTION)}
    size_bytes = 0
    with contextlib.suppress(OSError):
        size_bytes = state.checkpoints.lstat().st_size
    return {
        **memory.facts(kept),
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
        say(f"Checkpoints: {'PASSED' if not total else f'FAILED ({total} fault(s))'}")
    raise typer.Exit(0 if not total else 1)


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.add_typer(checkpoints_app, name="checkpoints")
