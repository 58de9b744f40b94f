"""The program `autoops-health`: `autoops health` for the timer and for monitoring systems, with the same options, but lighter."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from autoops import journal, log
from autoops.cli.arguments import parser
from autoops.cli.checking import Asked, run, tell
from autoops.cli.context import Context
from autoops.cli.failing import run as run_to_the_end
from autoops.health.result import Level


class _Parser(argparse.ArgumentParser):
    """Ends with 3 on wrong usage, as monitoring plugins do; 2 would be CRITICAL."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(Level.UNKNOWN, f"{self.prog}: error: {message}\n")


def main() -> None:
    """Run `autoops-health`."""
    options = parser("autoops-health", "Check everything.", kind=_Parser)
    options.add_argument("-v", "--verbose", action="store_true", help="also say what is well")
    options.add_argument("--json", action="store_true", help="write JSON")
    options.add_argument(
        "--heartbeat",
        choices=("run", "start", "end"),
        help="run: also tell [health] heartbeat_url of beginning and end; start, end: tell it of that alone, check nothing",
    )
    given = options.parse_args()
    configure_log()
    context = Context.of(given.state, given.config)
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
    log.configure("info" if journal.is_stderr() else "warning", "auto", "autoops-health")
