"""`autoops-backup recover`."""

from __future__ import annotations

import time
from collections.abc import Iterator

import typer

from autoops.backup.recover import Recovered, Recovery
from autoops.cli.backup_restore import FromOption, PublicKeyOption, actor, named, verifier_of
from autoops.cli.options import ConfigOption, DryRunOption, JsonOption, StateOption, context
from autoops.cli.output import as_json, say
from autoops.cli.progress import Progress
from autoops.core.ledger import stamp
from autoops.model import JSON


def recover(
    source: FromOption = None,
    public_key: PublicKeyOption = None,
    state: StateOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Make damaged databases good again: SQLite's recovery, then the last good backup and the ledger. 1: commits were lost."""
    ctx = context(state, config)
    place = ctx.backups()
    verifier = verifier_of(ctx, public_key, in_place=True)
    progress = Progress()
    steps: list[str] = []

    def tell(line: str) -> None:
        progress.end()
        steps.append(line)
        if not json:
            say(line)

    recovery = Recovery(ctx.state, place, verifier, tell, progress.bytes, named(source) if source else None)
    done = recovery.run(stamp(time.time()), actor(), dry_run=dry_run)
    progress.end()
    if json:
        as_json(_recovered_facts(done, steps) | {"dry_run": dry_run})
    else:
        for line in _recovered_lines(done, dry_run=dry_run):
            say(line)
    raise typer.Exit(1 if done.lost else 0)


def _recovered_lines(done: Recovered, *, dry_run: bool) -> Iterator[str]:
    for path in done.kept:
        yield f"kept: {path}"
    if done.report:
        yield f"what was lost is written down: {done.report}"
    if dry_run:
        yield "nothing was put in its place (--dry-run)"
    elif done.installed:
        yield f"recovered: commit {done.head.sequence}, digest {done.head.digest.hex()[:16]}; a scan of every root is enqueued"
    elif done.queue:
        yield "recovered: queue.db; a scan of every root is enqueued"
    else:
        more = "what was lost is in nothing that is left" if done.lost else "nothing to recover"
        yield f"{more}: both databases are whole, registry at commit {done.head.sequence}"


def _recovered_facts(done: Recovered, steps: list[str]) -> JSON:
    return {
        "digest": done.head.digest.hex(),
        "kept": [str(path) for path in done.kept],
        "lost": [one._asdict() for one in done.lost],
        "queue": str(done.queue) if done.queue else None,
        "registry_replaced": done.installed is not None,
        "report": str(done.report) if done.report else None,
        "sequence": done.head.sequence,
        "steps": steps,
    }


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(recover)
