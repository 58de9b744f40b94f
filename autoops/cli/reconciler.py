"""The program `autoops-reconciler`: `autoops reconcile` for the timer, with the same options."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from autoops import __version__, log
from autoops.cli.context import CONFIG_HELP, STATE_HELP, Context, absolute, default_state
from autoops.cli.failing import run as run_to_the_end
from autoops.cli.reconciling import PARTS, Asked, run
from autoops.state import State


def _asked(arguments: list[str]) -> tuple[Context, Asked]:
    about = "Find every disagreement of disk, registry, ledger, catalogs and replicas, record it, have mended what a rule can mend."
    parser = argparse.ArgumentParser(prog="autoops-reconciler", description=about, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"autoops {__version__}")
    parser.add_argument("path", nargs="?", type=Path, metavar="DIR", help="a directory below a root; nothing: every root")
    parser.add_argument("--report", "--dry-run", action="store_true", help="look and tell; record nothing, change nothing")
    parser.add_argument("--repair", action="store_true", help="also enqueue what mends, whatever the configuration says")
    parser.add_argument("--hash", action="store_true", help="read every file, not only those that look changed")
    parser.add_argument("--only", action="append", default=[], metavar="PART", help=f"one of {', '.join(PARTS)}; repeatable")
    parser.add_argument("--json", action="store_true", help="write JSON")
    parser.add_argument("--state", type=Path, metavar="DIR", help=STATE_HELP)
    parser.add_argument("--config", type=Path, metavar="FILE", help=CONFIG_HELP)
    parser.add_argument("--root", type=Path, metavar="DIR", action="append", default=[], help="a tree to watch; repeatable")
    given = parser.parse_args(arguments)
    state = State((given.state or default_state()).absolute())
    context = Context(state, given.config.absolute() if given.config else None, absolute(given.root))
    return context, Asked(given.path, given.report, given.repair, given.hash, tuple(given.only), given.json)


def main() -> None:
    """Run `autoops-reconciler`."""
    log.configure("warning", "auto", "autoops-reconciler")
    run_to_the_end(lambda: sys.exit(run(*_asked(sys.argv[1:]))))
