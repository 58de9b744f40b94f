"""The program `autoops-playbooks`: carries out the playbooks that are due, once, for systemd."""

from __future__ import annotations

import sys

from autoops.cli.arguments import parser
from autoops.cli.context import Context, configure_log
from autoops.cli.failing import run

_ABOUT = "Carry out the playbooks that are due: remedies that [[playbook]] tables of the configuration bind to troubles."


def _run(arguments: list[str]) -> int:
    options = parser("autoops-playbooks", _ABOUT)
    options.add_argument("--dry-run", action="store_true", help="show what would be done, and do nothing; also when they are off")
    given = options.parse_args(arguments)
    context = Context.of(given.state, given.config)
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
