"""The program `autoops-reconciler`: `autoops reconcile` for the timer, with the same options."""

from __future__ import annotations

import sys
from pathlib import Path

from autoops import log
from autoops.cli.arguments import parser
from autoops.cli.context import Context
from autoops.cli.failing import run as run_to_the_end
from autoops.cli.reconciling import PARTS, Asked, run

_ABOUT = "Find every disagreement of disk, registry, ledger, catalogs and replicas, record it, have mended what a rule can mend."


def _asked(arguments: list[str]) -> tuple[Context, Asked]:
    options = parser("autoops-reconciler", _ABOUT)
    options.add_argument("path", nargs="?", type=Path, metavar="DIR", help="a directory below a root; nothing: every root")
    options.add_argument("--report", "--dry-run", action="store_true", help="look and tell; record nothing, change nothing")
    options.add_argument("--repair", action="store_true", help="also enqueue what mends, whatever the configuration says")
    options.add_argument("--hash", action="store_true", help="read every file, not only those that look changed")
    options.add_argument("--only", action="append", default=[], metavar="PART", help=f"one of {', '.join(PARTS)}; repeatable")
    options.add_argument("--json", action="store_true", help="write JSON")
    options.add_argument("--root", type=Path, metavar="DIR", action="append", default=[], help="a tree to watch; repeatable")
    given = options.parse_args(arguments)
    asked = Asked(given.path, given.report, given.repair, given.hash, tuple(given.only), given.json)
    return Context.of(given.state, given.config, given.root), asked


def main() -> None:
    """Run `autoops-reconciler`."""
    log.configure("warning", "auto", "autoops-reconciler")
    run_to_the_end(lambda: sys.exit(run(*_asked(sys.argv[1:]))))
