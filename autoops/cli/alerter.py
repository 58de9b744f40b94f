"""The program `autoops-alerts`: one run of gathering, deciding and delivering, for the timer and for OnFailure=."""

from __future__ import annotations

import sys

from autoops.cli.alerting import run_once
from autoops.cli.arguments import parser
from autoops.cli.context import Context, configure_log
from autoops.cli.failing import run

_ABOUT = "Tell the configured channels of what is wrong: gather findings and health, decide who hears of what, deliver it."


def _run(arguments: list[str]) -> int:
    options = parser("autoops-alerts", _ABOUT)
    options.add_argument("verb", choices=("run",), help="run: do it once, and end when nothing is on its way")
    given = options.parse_args(arguments)
    context = Context.of(given.state, given.config)
    configure_log(context.running_config(), "autoops-alerts")
    return run_once(context)


def main() -> None:
    """Run `autoops-alerts`."""
    run(lambda: sys.exit(_run(sys.argv[1:])))


if __name__ == "__main__":
    main()
