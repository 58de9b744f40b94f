"""The program `autoops`: every command by hand."""

from __future__ import annotations

import os
import sys

import typer

from autoops import log
from autoops.cli import shell
from autoops.cli.failing import run as run_to_the_end

# Which module has which commands, in the order of the help. Only the one that is wanted is loaded: all of them take three times as
# long to load as most commands take to run. A test holds this table and the modules together.
COMMANDS: dict[str, tuple[str, ...]] = {
    "run": ("up", "start-watcher", "start-worker", "start-tailer", "start-shipper", "migrate", "scan", "wait-idle"),
    "inspect": ("list", "show", "explain", "export", "queue-status"),
    "coverage": ("coverage",),
    "findings": ("findings",),
    "alerts": ("alerts",),
    "playbooks": ("playbooks",),
    "reconcile": ("reconcile",),
    "status": ("status",),
    "trust": ("validate-registry", "verify", "submit", "rollback"),
    "report": ("report",),
    "scrub": ("scrub",),
    "replica": ("replica",),
    "checkpoints": ("checkpoints",),
    "health": ("health", "doctor", "note-failure", "note-recovery"),
    "logs": ("logs",),
    "collect": ("collect",),
    "windows": ("pause", "resume", "maintenance"),
    "catalog": ("catalog",),
    "backup": ("backup",),
    "queue": ("queue",),
    "roots": ("root",),
    "settings": ("config", "keys"),
}


def program(wanted: str = "") -> typer.Typer:
    """Return the program: with the module of one command, or, for what is none, with all."""
    modules = [name for name, commands in COMMANDS.items() if wanted in commands] or list(COMMANDS)
    return shell.program("autoops", "A signed, self-proving registry of every file in the trees it watches.", modules)


def main() -> None:
    """Run `autoops`."""
    log.configure("warning", "auto", "autoops")  # the services set up their own
    completes = "_AUTOOPS_COMPLETE" in os.environ
    run_to_the_end(program(sys.argv[1] if len(sys.argv) > 1 and not completes else ""))
