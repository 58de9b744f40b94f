"""`autoops replica ...`: another registry compared with this one, and this one served to another."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from autoops import names
from autoops.cli.options import JsonOption, StateOption, context
from autoops.cli.output import as_json, say
from autoops.replica import place
from autoops.replica.compare import LISTED, Comparison, compare
from autoops.replica.place import How
from autoops.replica.side import of_registry

replica_app = typer.Typer(help="Other registries: compare one with this one, serve this one.", no_args_is_help=True)

WhereArgument = Annotated[
    str,
    typer.Argument(
        metavar="WHAT", help="A registry.db, an export, a state directory, ssh://[user@]host[:port]/path/of/state, or -: an export."
    ),
]
RowsOption = Annotated[
    bool, typer.Option("--rows", help="Read every entry, not only the stored hashes: sees what was changed past the ledger too.")
]
SshOption = Annotated[str, typer.Option("--ssh", metavar="PROGRAM", help="The program that takes the place of ssh.")]
TimeoutOption = Annotated[float, typer.Option("--timeout", metavar="S", min=0.1, help="For each answer of another host.")]


@replica_app.command("verify")
def verify(
    where: WhereArgument,
    state: StateOption = None,
    rows: RowsOption = False,
    limit: Annotated[int, typer.Option(min=0, help="Name at most so many differing entries; all are counted.")] = LISTED,
    ssh: SshOption = "ssh",
    timeout: TimeoutOption = place.TIMEOUT_S,
    json: JsonOption = False,
) -> None:
    """Compare another registry with this one, entry by entry but moving what differs only. 0 equal, 1 not, 3 cannot tell."""
    with (
        place.opened(where, How(rows, ssh, timeout)) as there,
        contextlib.closing(context(state).registry()) as registry,
        of_registry(registry, rows=rows) as here,
    ):
        found = compare(here, there, limit)
    if json:
        as_json({**found.facts(), "where": where})
    else:
        _say(found, rows=rows)
    raise typer.Exit(0 if found.equal else 1)


def _say(found: Comparison, *, rows: bool) -> None:
    counts = found.counts
    say(f"here:  {found.here.hex()}")
    say(f"there: {found.there.hex()}")
    say(
        f"ledger there: {found.relation}" + ("" if found.relation.faithful or found.relation.standing == "unknown" else _UNFAITHFUL)
    )
    for one in found.listed:
        where = names.show(f"{one.root}:{one.path}") if one.path else ""
        say(f"  {_WORDS[one.kind]:<12}{one.id}  {where}  {', '.join(one.fields)}".rstrip())
    if sum(counts.values()) > len(found.listed):
        say(f"  ... and {sum(counts.values()) - len(found.listed)} more (--limit)")
    say(f"moved: {found.sent_bytes + found.received_bytes:,} bytes")
    said = f"{counts['missing']} only there, {counts['unexpected']} only here, {counts['different']} different"
    equal = "EQUAL" if rows else "EQUAL by what commits stored (--rows also reads every entry)"
    say(f"Replica: {equal if found.equal else f'DIFFERS ({said})'}")


_WORDS = {"missing": "only there", "unexpected": "only here", "different": "different"}
_UNFAITHFUL = "; its entries are not what that ledger says"


@replica_app.command("digest")
def digest(
    where: WhereArgument = "",
    state: StateOption = None,
    rows: RowsOption = False,
    ssh: SshOption = "ssh",
    timeout: TimeoutOption = place.TIMEOUT_S,
    json: JsonOption = False,
) -> None:
    """Show the digest of another registry; of this one, when none is named."""
    wanted = where or str(context(state).state.directory)
    with place.opened(wanted, How(rows, ssh, timeout)) as there:
        found = there.root().hex()
    if json:
        as_json({"digest": found})
    else:
        say(found)


@replica_app.command("serve")
def serve(
    where: Annotated[
        Path | None, typer.Argument(metavar="[PATH]", readable=False, help="A registry.db or state directory.")
    ] = None,
    state: StateOption = None,
    idle: Annotated[float, typer.Option("--idle", metavar="S", min=0.1, help="End when nothing was asked for so long.")] = 600.0,
) -> None:
    """Answer another host's comparison on standard input and output (docs/formats.md); what `replica verify ssh://...` runs."""
    from autoops.replica.serve import serve as answer

    with contextlib.closing(place.open_registry(where) if where else context(state).registry()) as registry:
        answer(registry, sys.stdin.fileno(), sys.stdout.fileno(), idle)


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.add_typer(replica_app, name="replica")
