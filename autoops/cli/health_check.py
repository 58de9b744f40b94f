"""The program `autoops-health`: `autoops health` for the timer and for monitoring systems, with the same options, but lighter."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import NoReturn

from autoops import __version__, journal, log
from autoops.cli.checking import Asked, run, tell
from autoops.cli.context import Context, default_state
from autoops.cli.failing import run as run_to_the_end
from autoops.health.result import Level
from autoops.state import State


class _Parser(argparse.ArgumentParser):
    """Ends with 3 on wrong usage, as monitoring plugins do; 2 would be CRITICAL."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(Level.UNKNOWN, f"{self.prog}: error: {message}\n")


def main() -> None:
    """Run `autoops-health`."""
    parser = _Parser(prog="autoops-health", description="Check everything.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"autoops {__version__}")
    parser.add_argument("-v", "--verbose", action="store_true", help="also say what is well")
    parser.add_argument("--json", action="store_true", help="write JSON")
    parser.add_argument(
        "--heartbeat",
        choices=("run", "start", "end"),
        help="run: also tell [health] heartbeat_url of beginning and end; start, end: tell it of that alone, check nothing",
    )
    parser.add_argument("--state", type=Path, metavar="DIR", help="the state directory")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration; default: /etc/autoops/autoops.toml")
    given = parser.parse_args()
    configure_log()
    context = Context(State((given.state or default_state()).absolute()), given.config.absolute() if given.config else None)
    run_to_the_end(lambda: sys.exit(_done(context, Asked(given.verbose, given.json), given.heartbeat)))


def _done(context: Context, asked: Asked, heartbeat: str | None) -> int:
    if heartbeat in ("run", "start"):
        tell(context, "start")
    code = run(context, asked) if heartbeat in (None, "run") else 0
    if heartbeat in ("run", "end"):
        tell(context, "end")
    return code


def configure_log() -> None:
    """Set up the log, which goes to the journal; elsewhere what is printed says it all, so only trouble is told."""
    is_journal = journal.is_journal(os.environ.get("JOURNAL_STREAM", ""), sys.stderr)
    log.configure("info" if is_journal else "warning", "auto", "autoops-health")
