"""The program `autoops-alerts`: one run of gathering, deciding and delivering, for the timer and for OnFailure=.

(argparse and not typer: it runs each minute, and a failure waits for it.)
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from autoops import __version__
from autoops.cli.alerting import run_once
from autoops.cli.context import Context, configure_log, default_state
from autoops.cli.failing import run
from autoops.state import State


def _asked(arguments: list[str]) -> Context:
    about = "Tell the configured channels of what is wrong: gather findings and health, decide who hears of what, deliver it."
    parser = argparse.ArgumentParser(prog="autoops-alerts", description=about, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"autoops {__version__}")
    parser.add_argument("verb", choices=("run",), help="run: do it once, and end when nothing is on its way")
    parser.add_argument("--state", type=Path, metavar="DIR", help="the state directory")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration; default: /etc/autoops/autoops.toml")
    given = parser.parse_args(arguments)
    return Context(State((given.state or default_state()).absolute()), given.config.absolute() if given.config else None)


def _run(arguments: list[str]) -> int:
    context = _asked(arguments)
    configure_log(context.running_config(), "autoops-alerts")
    return run_once(context)


def main() -> None:
    """Run `autoops-alerts`."""
    run(lambda: sys.exit(_run(sys.argv[1:])))


if __name__ == "__main__":
    main()
