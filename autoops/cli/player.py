"""The program `autoops-playbooks`: carries out the playbooks that are due, once, for systemd.

(argparse and not typer: it runs after each health check.)
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from autoops import __version__
from autoops.cli.context import CONFIG_HELP, STATE_HELP, Context, configure_log, default_state
from autoops.cli.failing import run
from autoops.state import State


def _run(arguments: list[str]) -> int:
    about = "Carry out the playbooks that are due: remedies that [[playbook]] tables of the configuration bind to troubles."
    parser = argparse.ArgumentParser(prog="autoops-playbooks", description=about, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"autoops {__version__}")
    parser.add_argument("--dry-run", action="store_true", help="show what would be done, and do nothing; also when they are off")
    parser.add_argument("--state", type=Path, metavar="DIR", help=STATE_HELP)
    parser.add_argument("--config", type=Path, metavar="FILE", help=CONFIG_HELP)
    given = parser.parse_args(arguments)
    context = Context(State((given.state or default_state()).absolute()), given.config.absolute() if given.config else None)
    if given.dry_run:
        from autoops.cli.playbooks import show_plan

        show_plan(context)
        return 0
    from autoops.cli.playing import config_of, run_once

    configure_log(config_of(context), "autoops-playbooks")
    return run_once(context)


def main() -> None:
    """Run `autoops-playbooks`."""
    run(lambda: sys.exit(_run(sys.argv[1:])))


if __name__ == "__main__":
    main()
