"""The services' own programs, `autoops-watcher`, `-worker`, `-tailer`, `-shipper`, `-catalog`: few options, and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from autoops.cli import services
from autoops.cli.arguments import parser
from autoops.cli.context import OWN_CONFIG_HELP, Context, workers_of
from autoops.cli.failing import run

_SERVICES: dict[str, tuple[str, Callable[[Context], int]]] = {
    "watcher": ("Watch for changes and enqueue them, until SIGTERM.", services.run_watcher),
    "tailer": ("Follow the checkpoints, our own and those of others, until SIGTERM.", services.run_tailer),
    "shipper": ("Ship the ledger to the backup directory as it grows, until SIGTERM.", services.run_shipper),
    "worker": ("Carry out jobs and write the registry, until SIGTERM.", services.run_worker),
    "reconciler": ("One run of the reconciler, for autoops up.", services.run_reconciler),
    "scrub": ("One run of the scrub, for autoops up.", services.run_scrub),
    "snapshot": ("One snapshot, for autoops up.", services.run_snapshot),
    "drill": ("One drill, for autoops up.", services.run_drill),
    "playbooks": ("One run of the playbooks, for autoops up.", services.run_playbooks),
    "alerts": ("One run of the alerts, for autoops up.", services.run_alerts),
}


def _context(name: str, arguments: list[str]) -> Context:
    options = parser(f"autoops-{name}", _SERVICES[name][0], OWN_CONFIG_HELP)
    options.add_argument(
        "--root", "--paths", type=Path, metavar="DIR", nargs="+", action="extend", default=[], help="trees to watch"
    )
    given = options.parse_args(arguments)
    return Context.of(given.state, given.config, given.root)


def build_catalogs(arguments: list[str]) -> int:
    """Build what catalog jobs ask for, and end when there are none (or go on, with --follow)."""
    options = parser("autoops-catalog", "Build what catalog jobs ask for, and end when none is left.")
    options.add_argument("--follow", action="store_true", help="go on until SIGTERM")
    options.add_argument("--all", action="store_true", help="first look at every catalog, whether there is a job for it or not")
    options.add_argument("--verify", action="store_true", help="with --all: read every file of theirs too")
    options.add_argument(
        "--workers", default="auto", metavar="N", help="processes for a build from nothing; auto: as many as cores"
    )
    given = options.parse_args(arguments)
    wanted = services.CatalogOptions(given.follow, given.all, given.verify, workers_of(given.workers))
    return services.run_catalog(Context.of(given.state, given.config), wanted)


def serve(name: str, arguments: list[str]) -> None:
    """Run one service to its end, and exit with its code."""
    if name == "catalog":
        run(lambda: sys.exit(build_catalogs(arguments)))
    run(lambda: sys.exit(_SERVICES[name][1](_context(name, arguments))))


def watcher() -> None:
    """Run `autoops-watcher`."""
    serve("watcher", sys.argv[1:])


def tailer() -> None:
    """Run `autoops-tailer`."""
    serve("tailer", sys.argv[1:])


def shipper() -> None:
    """Run `autoops-shipper`."""
    serve("shipper", sys.argv[1:])


def worker() -> None:
    """Run `autoops-worker`."""
    serve("worker", sys.argv[1:])


def catalog() -> None:
    """Run `autoops-catalog`."""
    serve("catalog", sys.argv[1:])


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2:])
