"""The services' own programs, `autoops-watcher`, `autoops-worker`, `autoops-tailer`: few options, and nothing else.

(argparse and not typer: that is 8 MiB and 40 ms in each process, for four options.)
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from autoops import __version__
from autoops.cli import services
from autoops.cli.context import Context, absolute, default_state
from autoops.cli.failing import run
from autoops.state import State

_SERVICES: dict[str, tuple[str, Callable[[Context], int]]] = {
    "watcher": ("Watch for changes and enqueue them, until SIGTERM.", services.run_watcher),
    "tailer": ("Follow the checkpoints, our own and those of others, until SIGTERM.", services.run_tailer),
    "worker": ("Carry out jobs and write the registry, until SIGTERM.", services.run_worker),
}


def _context(name: str, arguments: list[str]) -> Context:
    parser = argparse.ArgumentParser(prog=f"autoops-{name}", description=_SERVICES[name][0], allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"autoops {__version__}")
    parser.add_argument("--state", type=Path, metavar="DIR", help="the state directory")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration; default: /etc/autoops/autoops.toml")
    parser.add_argument(
        "--root", "--paths", type=Path, metavar="DIR", nargs="+", action="extend", default=[], help="trees to watch"
    )
    options = parser.parse_args(arguments)
    state = State((options.state or default_state()).absolute())
    return Context(state, options.config.absolute() if options.config else None, absolute(options.root))


def serve(name: str, arguments: list[str]) -> None:
    """Run one service to its end, and exit with its code."""
    run(lambda: sys.exit(_SERVICES[name][1](_context(name, arguments))))


def watcher() -> None:
    """Run `autoops-watcher`."""
    serve("watcher", sys.argv[1:])


def tailer() -> None:
    """Run `autoops-tailer`."""
    serve("tailer", sys.argv[1:])


def worker() -> None:
    """Run `autoops-worker`."""
    serve("worker", sys.argv[1:])


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2:])
