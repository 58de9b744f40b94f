"""`autoops coverage`: what is not watched or not verified, and for how long; as text, JSON, or a picture."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from autoops import names
from autoops.cli.options import ConfigOption, JsonOption, StateOption, context
from autoops.cli.output import as_json, say, table
from autoops.cli.spans import seconds
from autoops.core.coverage import AGES
from autoops.core.ledger import utc
from autoops.core.picture import svg
from autoops.core.spoken import age, counted
from autoops.errors import NotWritten, UsageError
from autoops.files import durable
from autoops.model import JSON
from autoops.reconcile.coverage import report
from autoops.store.operations import Gap

_SHOWN = 10  # lines of each part
_PATTERNS = 6


def coverage(
    state: StateOption = None,
    config: ConfigOption = None,
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="How far to look back: 12h, 30d.")] = "30d",
    picture: Annotated[
        Path | None, typer.Option("--svg", metavar="FILE", readable=False, help="Write a picture; -: to standard output.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show what is and was not watched, what is left out, and what was not verified lately; since when and why."""
    to_output = picture is not None and str(picture) == "-"
    if to_output and json:
        raise UsageError(detail="--json and --svg - both want standard output; give the picture a file")
    ctx = context(state, config)
    now_s = int(time.time())
    since_s = max(0, now_s - int(seconds(since, "--since")))
    registry = ctx.registry()
    with ctx.queue_db(writable=False) as database:
        facts = report(database, registry, ctx.running_config(), now_s, since_s)
    registry.close()
    if picture is not None:
        _draw(facts, None if to_output else picture)
    if json:
        as_json(facts)
    elif to_output:
        return
    elif picture is not None:
        say(f"written: {picture}")
    else:
        _show(facts)


def _draw(facts: JSON, file: Path | None) -> None:
    drawn = svg(facts)
    if file is None:
        sys.stdout.write(drawn)
        return
    try:
        durable.write(file.absolute(), drawn.encode(), mode=0o644)
    except OSError as error:
        raise NotWritten.because(names.show(str(file)), error) from None


def _show(facts: JSON) -> None:
    gaps = facts["now"]
    say(f"not watched now: {counted(len(gaps), 'place')}" if gaps else "everything is watched")
    _table(("since", "root", "path", "why"), [_gap_row(gap) for gap in gaps])
    for gone in facts["unconfigured"]:
        say(f"not watched any more: {gone['root']}, with {counted(gone['files'], 'entry')}: it is no root of the configuration")
    say()
    say(f"not watched since {facts['since']}, times that overlap counted once:{'' if facts['unwatched'] else ' nothing'}")
    rows = [
        (part["root"], part["reason"], age(part["seconds"]), part["times"], "goes on" if part["still"] else "over")
        for part in sorted(facts["unwatched"], key=lambda part: -part["seconds"])
    ]
    _table(("root", "reason", "for", "times", "now"), rows)
    if facts["begun_s"] and facts["begun_s"] > facts["since_s"]:
        say(f"nothing was registered before {utc(facts['begun_s'])}")
    if facts["known_since_s"]:
        say(f"gaps from before {utc(facts['known_since_s'])} are forgotten: only the newest are kept")
    say()
    for line in _excluded(facts):
        say(line)
    say()
    say(_verification(facts["verification"]))
    _table(("root", "files", *AGES, "overdue", "never read", "oldest"), [_age_row(root) for root in facts["roots"]])


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    if rows:
        table([heads, *rows[:_SHOWN]])
    if len(rows) > _SHOWN:
        say(f"... and {len(rows) - _SHOWN} more (--json shows all)")


def _gap_row(gap: JSON) -> Sequence[object]:
    why = f"{gap['reason']}: {gap['detail']}" if gap["detail"] else gap["reason"]
    return gap["since"] if gap["since_s"] else "ever", gap["root"] or "(every root)", gap["path"] or ".", why


def _excluded(facts: JSON) -> Iterator[str]:
    alike: dict[str, list[str]] = {}  # most roots have the same patterns
    for root in facts["roots"]:
        some = ", ".join(root["patterns"][:_PATTERNS]) + (", ..." if len(root["patterns"]) > _PATTERNS else "")
        files = f", and what is in {' and '.join(root['ignore_files'])}" if root["ignore_files"] else ""
        alike.setdefault(f"{counted(len(root['patterns']), 'pattern')} ({some}){files}", []).append(root["root"])
    for said, roots in list(alike.items())[:_SHOWN]:
        more = f" and {len(roots) - _SHOWN} more" if len(roots) > _SHOWN else ""
        yield f"left out of {', '.join(roots[:_SHOWN])}{more}: {said}"
    if observed := [root["root"] for root in facts["roots"] if root["policy"] == "observe"]:
        yield f"only observed, nothing of it is registered: {', '.join(observed[:_SHOWN])}"
    yield facts["left_out"]


def _verification(told: JSON) -> str:
    off = "" if told["enabled"] else "; the scrub is turned off"
    overdue = f"{told['overdue_files']:,} overdue" if told["overdue_files"] else "none overdue"
    unread = f", {told['unread_files']:,} never read" if told["unread_files"] else ""
    slow = told["bytes_per_s_needed"] > told["bytes_per_s"]
    budget = "; the budget does not suffice: see [scrub] bytes_per_s and window" if slow and told["enabled"] else ""
    return f"verified within {counted(told['days'], 'day')}: {counted(told['files'], 'file')}, {overdue}{unread}{off}{budget}"


def _age_row(root: JSON) -> Sequence[object]:
    oldest = f"{utc(root['oldest_s'])} {root['oldest_path']}" if root["oldest_s"] is not None else ""
    ages = [part["files"] for part in root["ages"]]
    return root["root"], root["files"], *ages, root["overdue_files"], root["unread_files"], oldest


def gap_facts(gaps: Iterable[Gap]) -> list[JSON]:
    """Return gaps as JSON."""
    return [gap._asdict() | {"path": names.text(gap.path)} for gap in gaps]


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(coverage)
