"""Commands about trust: validate-registry, verify, submit, rollback."""

from __future__ import annotations

import contextlib
import sys
import time
import uuid
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from autoops.cli.caller import caller
from autoops.cli.context import Context
from autoops.cli.options import ConfigOption, DryRunOption, JsonOption, RootOption, StateOption, context
from autoops.cli.output import as_json, say
from autoops.core import patch as patches
from autoops.core.signing import Verifier
from autoops.errors import AutoopsError, CannotTell, NotFound, Paused, Refused, UsageError
from autoops.model import JSON, PRIORITY_OPERATOR, Change, Work
from autoops.prove import verify as proofs
from autoops.prove.verify import Fault
from autoops.runtime import maintenance
from autoops.store.backlog import Backlog

_SHOWN = 20
WaitOption = Annotated[bool, typer.Option("--wait", help="Wait until it is applied or refused.")]
TimeoutOption = Annotated[float, typer.Option("--timeout", metavar="S", help="With --wait: give up after so many seconds.")]


def validate_registry(state: StateOption = None, json: JsonOption = False) -> None:
    """Check the registry: database, entries, digest and the ledger's end. 0 when it is right, 1 when not."""
    ctx = context(state)
    registry = ctx.registry()
    with registry.snapshot():
        head = registry.head()
        faults = [*proofs.database(registry), *proofs.entries(registry, head)]
    passed = not faults
    if json:
        as_json({"digest": head.digest.hex(), "faults": [fault._asdict() for fault in faults], "passed": passed})
    else:
        say(f"Registry hash: {head.digest.hex()[:16]}...")
        for fault in faults[:_SHOWN]:
            say(f"  {fault.check}: {fault.detail}")
        say(f"Validation: {'PASSED' if passed else 'FAILED'}")
    raise typer.Exit(0 if passed else 1)


AgainstOption = Annotated[
    Path | None,
    typer.Option(
        "--against",
        metavar="FILE",
        readable=False,
        help="Also check a copy of checkpoints.jsonl, or its last line, that was kept elsewhere.",
    ),
]
_Proof = tuple[str, Iterator[Fault]]  # its name, and the faults it finds when asked


def _proofs(ctx: Context, against: Path | None) -> Iterator[_Proof]:
    registry = ctx.registry()
    verifier = Verifier(ctx.public_key())
    with registry.snapshot():
        head = registry.head()
        yield "database", proofs.database(registry)
        yield "entries and digest", proofs.entries(registry, head)
        yield "key and last ID", proofs.notes(registry, verifier.public)
        yield "ledger chain and signatures", proofs.ledger(registry, verifier)
    yield "checkpoints", proofs.checkpoints(ctx.state.checkpoints, registry, verifier)
    if against:
        yield "checkpoints kept elsewhere", proofs.checkpoints(against.resolve(), registry, verifier, needed=True)


def _deep_proofs(ctx: Context) -> Iterator[_Proof]:
    registry = ctx.registry()
    with registry.snapshot():
        yield "replay of the ledger", proofs.replay(registry, registry.head())
    yield "every file's content", _files(ctx)


def _files(ctx: Context) -> Iterator[Fault]:
    from autoops.cli.reconciling import find_out, sentence, told

    for one in told(find_out(ctx, ctx.config_with_roots(), None, hashes=True, parts=("files",))):
        yield Fault("file", sentence(one))


def verify(
    state: StateOption = None,
    config: ConfigOption = None,
    root: RootOption = None,
    deep: Annotated[bool, typer.Option("--deep", help="Also replay the whole ledger, and read every file.")] = False,
    against: AgainstOption = None,
    json: JsonOption = False,
) -> None:
    """Prove the registry: database, digest, ledger chain and signatures, checkpoints; 0 when all agree, 1 when not."""
    ctx = context(state, config, root)
    results: dict[str, list[Fault]] = {}
    for name, found in chain(_proofs(ctx, against), _deep_proofs(ctx) if deep else ()):
        started_s = time.monotonic()
        results[name] = list(found)
        if not json:
            _say_result(name, results[name], time.monotonic() - started_s)
    good = not any(results.values())
    if json:
        as_json({"good": good, "faults": {name: [fault._asdict() for fault in found] for name, found in results.items()}})
    else:
        say(f"Verification: {'PASSED' if good else 'FAILED'}")
    raise typer.Exit(0 if good else 1)


def _say_result(name: str, faults: list[Fault], took_s: float) -> None:
    say(f"{name}: {f'{len(faults)} FAULT(S)' if faults else 'good'} ({took_s:.1f} s)")
    for fault in faults[:_SHOWN]:
        say(f"  {fault.detail}")


def submit(
    patch: Annotated[Path, typer.Argument(readable=False, help="A patch document (docs/formats.md); - reads standard input.")],
    state: StateOption = None,
    wait: WaitOption = False,
    timeout: TimeoutOption = 60.0,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Submit a patch. The worker applies it whole, or refuses it whole and says why."""
    ctx = context(state)
    text = _read(patch)
    parsed = patches.read(text)
    if dry_run:
        registry = ctx.registry()
        entries, digest = registry.by_id(parsed.ids), registry.head().digest.hex()
        _show_changes(patches.resolve(parsed, entries, digest, caller(), int(time.time())), json)
        return
    _enqueue(ctx, {"actor": caller(), "patch": text}, wait, timeout, json)


def _read(path: Path) -> str:
    try:
        source = sys.stdin.buffer if str(path) == "-" else path.open("rb")
        with source:
            return source.read(patches.MAX_PATCH_BYTES + 1).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(detail=f"the patch {path} cannot be read: {error}") from None


def _show_changes(changes: list[Change], json: bool) -> None:
    from autoops.core.canonical import changed_fields

    found = {change.after.id: changed_fields(change) for change in changes}
    if json:
        as_json(found)
        return
    for entry_id, fields in found.items():
        say(f"{entry_id}: would set {', '.join(f'{name} = {value}' for name, value in fields.items())}")
    if not found:
        say("nothing would change")


def rollback(
    what: Annotated[str, typer.Argument(metavar="SEQ|ID", help="A commit's sequence, or a document's ID: its last change.")],
    state: StateOption = None,
    wait: WaitOption = False,
    timeout: TimeoutOption = 60.0,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Undo a commit, or a document's last change, by a new commit that restores the values from before."""
    if not (what.isascii() and what.isdigit()):
        raise UsageError(detail=f"{what!r} is neither a commit's sequence nor a document's ID of 16 digits")
    ctx = context(state)
    registry = ctx.registry()
    if len(what) == 16:
        if not registry.by_id([what]):
            raise NotFound(what=what)
    elif len(what) > 18 or registry.record(int(what)) is None:
        raise NotFound(what=f"commit {what}")
    if dry_run:
        from autoops.work.patches import undo

        changes, _, _ = undo(registry, what, caller(), int(time.time()))
        _show_changes(changes, json)
        return
    _enqueue(ctx, {"actor": caller(), "rollback": what}, wait, timeout, json)


def _enqueue(ctx: Context, facts: JSON, wait: bool, timeout_s: float, json: bool) -> None:
    submission = str(uuid.uuid4())
    queue = ctx.queue()
    queue.enqueue([Work("patch", submission.encode(), PRIORITY_OPERATOR, facts)])
    ctx.wake_worker()
    sequence = _outcome(ctx, submission, timeout_s) if wait else None
    if json:
        as_json({"sequence": sequence, "submission": submission})
    elif not wait:
        say(f"submitted as {submission}; autoops queue list shows it if it is refused")
    else:
        say(f"applied as commit {sequence}" if sequence else "applied: there was nothing to change")


def _outcome(ctx: Context, submission: str, timeout_s: float) -> int | None:
    """Wait for a submission's commit; None when it changed nothing. Raises Refused with the worker's reason, CannotTell."""
    deadline_s = time.monotonic() + timeout_s
    with ctx.queue_db(writable=False) as database, contextlib.closing(ctx.registry()) as registry:
        backlog, key = Backlog(database), submission.encode()
        while time.monotonic() < deadline_s:
            waiting = backlog.job_at("patch", key)
            sequence = registry.sequence_of(submission)
            if sequence is not None or waiting is None:
                return sequence
            state, reason = waiting
            if state == "dead_letter":
                ctx.queue().purge([job.id for job in backlog.list("dead_letter", "patch", limit=-1) if job.key == key])
                raise _refusal(reason)  # which has been told by that
            if maintenance.is_set(ctx.state.flag):
                raise Paused(flag=ctx.state.flag, why=f"; submission {submission} waits in the queue until it is over")
            time.sleep(0.02)
    remedy = "it stays enqueued; is the worker running? autoops status"
    raise CannotTell(detail=f"submission {submission} was not answered within {timeout_s:g} s", remedy=remedy)


def _refusal(reason: str) -> AutoopsError:
    prefix = "Refused: "
    return Refused(detail=reason.removeprefix(prefix).rstrip("."))


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command("validate-registry")(validate_registry)
    app.command()(verify)
    app.command()(submit)
    app.command()(rollback)
