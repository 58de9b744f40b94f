"""`autoops catalog ...`: build, verify, list, status."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Annotated, NamedTuple

import typer

from autoops.acting import as_owner_of
from autoops.catalog.build import Outcome, Settings, build
from autoops.cli.context import Context, require_state, workers_of
from autoops.cli.options import ConfigOption, DryRunOption, JsonOption, StateOption, context
from autoops.cli.output import as_json, say, table, warn
from autoops.cli.progress import Progress
from autoops.config import CatalogConfig
from autoops.core.catalog import Metadata, spoken
from autoops.core.spoken import counted
from autoops.errors import CatalogFailed, CatalogUnknown, UsageError
from autoops.model import JSON
from autoops.prove import catalog_lines
from autoops.prove import catalogs as proofs
from autoops.store.registry import Registry

_SHOWN = 20

catalog_app = typer.Typer(help="Catalogs: what is made of the registry for others to read.", no_args_is_help=True)

NamesArgument = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Catalogs; nothing: all that are declared.")]


@catalog_app.command("build")
def build_catalogs(
    wanted: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Catalogs to bring up to date.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that are declared.")] = False,
    anew: Annotated[bool, typer.Option("--anew", help="From nothing, whatever is there.")] = False,
    verify_files: Annotated[
        bool, typer.Option("--verify", help="Read the files that are there, and make anew what is not what it was.")
    ] = False,
    workers: Annotated[
        str, typer.Option("--workers", metavar="N", help="Processes for a build from nothing; auto: as many as there are cores.")
    ] = "auto",
    state: StateOption = None,
    config: ConfigOption = None,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Bring catalogs up to date. 1: one was not built, and stays what it was; 4: another process builds; 5: paused."""
    ctx = context(state, config)
    require_state(ctx.state)
    if bool(wanted) == every:
        raise UsageError(detail="say which catalogs to build: their names, or --all")
    ctx.refuse_window()
    settings = ctx.running_config()
    how = Settings(settings.catalogs.part_entries, workers_of(workers), verify_files, dry_run, anew=anew)
    outcomes, failures = [], []
    for one in _chosen(settings.catalog_tables, wanted or ()):
        try:
            outcomes.append(_built(ctx, one, how))
        except CatalogFailed as error:
            failures.append(error)
        else:
            if not json:
                say(_sentence(outcomes[-1], dry_run=dry_run))
    if json:
        as_json([outcome._asdict() for outcome in outcomes])
    for failure in failures[:-1]:
        warn(f"autoops: {failure}")
    if failures:
        raise failures[-1]


def _built(ctx: Context, one: CatalogConfig, how: Settings) -> Outcome:
    owner_of = ctx.state.catalogs if ctx.state.catalogs.exists() else ctx.state.directory
    with as_owner_of(owner_of), Progress() as progress:
        return build(ctx.state, one, how, lambda done, total: progress.show(f"{one.name}: {done} of {total} parts"), time.time())


def _sentence(outcome: Outcome, *, dry_run: bool) -> str:
    left_out = spoken(outcome.left_out)
    about = f"{counted(outcome.entries, 'entry')}, commit {outcome.sequence:,}" + (f"; {left_out}" if left_out else "")
    parts = f"{outcome.parts_made:,} of {counted(outcome.parts, 'part')}"
    match outcome.done:
        case "fresh":
            return f"{outcome.name}: nothing to do; {about}"
        case "built":
            what = f"from nothing, because {outcome.reason}"
        case "updated":
            what = parts
        case _:
            what = "its metadata alone: no commit since touched its entries"
    if dry_run:
        return f"{outcome.name}: would be made anew: {what}; {about}"
    return f"{outcome.name}: made anew: {what}; {about}; {outcome.took_s:.2f} s"


def _chosen(tables: Sequence[CatalogConfig], wanted: Sequence[str]) -> list[CatalogConfig]:
    """Return the catalogs of these names, or all. Raises CatalogUnknown."""
    known = {one.name: one for one in tables}
    for name in wanted:
        if name not in known:
            raise CatalogUnknown(name=name, known=", ".join(known) or "none")
    return [known[name] for name in dict.fromkeys(wanted)] if wanted else list(tables)


@catalog_app.command("verify")
def verify_catalogs(
    wanted: NamesArgument = None, state: StateOption = None, config: ConfigOption = None, json: JsonOption = False
) -> None:
    """Check every file of catalogs against their metadata, all their entries against the registry, and JSON Lines line by line."""
    ctx = context(state, config)
    tables = _chosen(ctx.running_config().catalog_tables, wanted or ())
    registry = ctx.registry()
    results = {one.name: _verified(ctx, registry, one) for one in tables}
    bad = any(results.values())
    if json:
        facts = {name: [{"kind": kind, **detail} for kind, detail in found] for name, found in results.items()}
        as_json({"catalogs": facts, "good": not bad})
    else:
        for name, found in results.items():
            say(f"{name}: {f'{len(found)} FAULT(S)' if found else 'good'}")
            for kind, detail in found[:_SHOWN]:
                say(f"  {kind}: {_told(detail)}")
        say(f"Verification: {'FAILED' if bad else 'PASSED'}")
    raise typer.Exit(1 if bad else 0)


def _verified(ctx: Context, registry: Registry, one: CatalogConfig) -> list[tuple[str, JSON]]:
    found = [(kind, detail) for kind, _, detail in proofs.check(ctx.state, registry, [one], every_part=True)]
    if one.format == "jsonl" and not any(kind == proofs.CHECKSUM for kind, _ in found):
        found += [(proofs.CHECKSUM, {"file": file, **detail}) for file, detail in catalog_lines.line_faults(ctx.state, one.name)]
    return found


def _told(detail: JSON) -> str:
    return ", ".join([str(detail["reason"]), *(f"{key} {value}" for key, value in detail.items() if key != "reason")])


@catalog_app.command("list")
def list_catalogs(state: StateOption = None, config: ConfigOption = None, json: JsonOption = False) -> None:
    """List the catalogs that are declared, and directories of those that no longer are."""
    ctx = context(state, config)
    tables = ctx.running_config().catalog_tables
    left = _left_over(ctx, tables)
    if json:
        facts = [
            {
                "class": one.class_name,
                "declared": True,
                "format": one.format,
                "name": one.name,
                "root": one.root,
                "status": one.status,
            }
            for one in tables
        ]
        as_json([*facts, *({"declared": False, "name": name} for name in left)])
        return
    if not tables and not left:
        say("no catalog is declared: a [[catalog]] table of the configuration declares one")
        return
    rows = [(one.name, one.format, one.root or "all", one.class_name or "all", one.status or "all") for one in tables]
    rows += [(name, "declared no more", "", "", "") for name in left]
    table([("name", "format", "root", "class", "status"), *rows])


def _left_over(ctx: Context, tables: Sequence[CatalogConfig]) -> list[str]:
    known = {one.name for one in tables}
    there = sorted(path.name for path in ctx.state.catalogs.iterdir()) if ctx.state.catalogs.is_dir() else []
    return [name for name in there if not name.startswith(".") and name not in known]


class _State(NamedTuple):
    """How one catalog stands."""

    state: str  # fresh, stale, never built, wrong
    made: Metadata | None
    detail: JSON


@catalog_app.command("status")
def show_status(state: StateOption = None, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Show for each catalog whether it is what the registry says. Its files are looked at, not read (autoops catalog verify)."""
    states = _states(context(state, config))
    if json:
        as_json({name: _facts(one) for name, one in states.items()})
        return
    if not states:
        say("no catalog is declared")
        return
    rows = [
        (name, one.state, f"{one.made.entries:,}" if one.made else "", one.made.made_at if one.made else "", _more(one))
        for name, one in states.items()
    ]
    table([("name", "state", "entries", "made", "remarks"), *rows])


def status_facts(ctx: Context) -> JSON:
    """Return how each declared catalog stands, by name."""
    return {name: _facts(one) for name, one in _states(ctx).items()}


def _states(ctx: Context) -> dict[str, _State]:
    with contextlib.closing(ctx.registry()) as registry:
        return {one.name: _state_of(ctx, registry, one) for one in ctx.running_config().catalog_tables}


def _state_of(ctx: Context, registry: Registry, one: CatalogConfig) -> _State:
    found = list(proofs.check(ctx.state, registry, [one], how="sizes"))
    made = proofs.present(ctx.state, one.name)
    wrong = [detail for kind, _, detail in found if kind == proofs.CHECKSUM]
    if wrong:
        return _State("wrong", made, wrong[0])
    if found:
        return _State("stale" if made else "never built", made, found[0][2])
    return _State("fresh", made, {})


def _more(one: _State) -> str:
    commits = one.detail.get("commits", 0)
    behind = f"{counted(commits, 'commit')} behind: " if commits else ""
    where = f" ({one.detail['file']})" if "file" in one.detail else ""
    wrong = f"{behind}{one.detail['reason']}{where}" if one.detail and one.state != "never built" else ""
    return "; ".join(filter(None, (wrong, spoken(one.made.left_out) if one.made else "")))


def _facts(one: _State) -> JSON:
    made = one.made
    facts: JSON = {"detail": one.detail, "state": one.state}
    if made:
        size_bytes = sum(file.size_bytes for file in made.files.values())
        facts |= {"digest": made.digest, "entries": made.entries, "files": len(made.files), "made_at": made.made_at}
        facts |= {"left_out": made.left_out, "sequence": made.sequence, "size_bytes": size_bytes}
    return facts


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.add_typer(catalog_app, name="catalog")
