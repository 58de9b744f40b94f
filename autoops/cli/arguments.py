"""What the programs that are started by timers and units have in common: argparse, and these options.

(Not typer: that is 8 MiB and 40 ms in each process, for four options.)
"""

from __future__ import annotations

import argparse
from pathlib import Path

from autoops import __version__
from autoops.cli.context import CONFIG_HELP, STATE_HELP


def parser(
    program: str, about: str, config_help: str = CONFIG_HELP, kind: type[argparse.ArgumentParser] = argparse.ArgumentParser
) -> argparse.ArgumentParser:
    """Return a parser with --version, --state and --config."""
    made = kind(prog=program, description=about, allow_abbrev=False)
    made.add_argument("--version", action="version", version=f"autoops {__version__}")
    made.add_argument("--state", type=Path, metavar="DIR", help=STATE_HELP)
    made.add_argument("--config", type=Path, metavar="FILE", help=config_help)
    return made
