"""Make the manual page autoops(1) and the completions of three shells from the program itself: made_from_program.py DIRECTORY."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import typer
from typer._completion_shared import get_completion_script

from autoops import __version__
from autoops.cli.main import program

COMPLETIONS = {"bash": "bash/autoops", "zsh": "zsh/_autoops", "fish": "fish/autoops.fish"}
EXIT_STATUS = {
    0: "good",
    1: "disagreement, or a check that failed",
    2: "wrong usage, or a fault in the configuration",
    3: "cannot tell",
    4: "refused: a precondition does not hold",
    5: "paused: the maintenance flag is set",
    6: "storage error",
}
FILES = {
    "/etc/autoops/autoops.toml": "The configuration; every key is explained in it.",
    "/etc/autoops/ledger.key": "The private key that signs the ledger.",
    "/var/lib/autoops": "The state directory: queue, registry, catalogs, backups.",
    "/var/lib/autoops/.maintenance": "While it exists, nothing is written.",
}
SERVICES = (
    "autoops-watcher(8)",
    "autoops-worker(8)",
    "autoops-tailer(8)",
    "autoops-reconciler(8)",
    "autoops-catalog(8)",
    "autoops-backup(8)",
    "autoops-shipper(8)",
    "autoops-alerts(8)",
    "autoops-playbooks(8)",
    "autoops-health(8)",
)
SEE_ALSO = f"{', '.join(SERVICES)}, systemctl(1), journalctl(1); /usr/share/doc/autoops/RUNBOOK.md"


def main(directory: Path) -> None:
    command = typer.main.get_command(program())
    (directory / "autoops.1").write_text("\n".join(page(command)) + "\n")
    for shell, name in COMPLETIONS.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        script = get_completion_script(prog_name="autoops", complete_var="_AUTOOPS_COMPLETE", shell=shell)
        # zsh runs the file itself the first time it is asked
        path.write_text(script + ('\n_autoops_completion "$@"\n' if shell == "zsh" else "\n"))


def page(command: click.Command) -> Iterator[str]:
    day = time.strftime("%Y-%m-%d", time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))))
    yield f'.TH AUTOOPS 1 "{day}" "autoops {__version__}" "User Commands"'
    yield from (".SH NAME", r"autoops \- " + text(command.help or "").rstrip("."))
    yield from (".SH SYNOPSIS", ".B autoops", r"\fICOMMAND\fR [\fIOPTIONS\fR] [\fIARGUMENTS\fR]")
    yield from (".SH DESCRIPTION", text(command.help or ""), f"The services are {', '.join(SERVICES[:-1])} and {SERVICES[-1]}.")
    yield ".SH COMMANDS"
    yield from commands("autoops", command)
    yield ".SH EXIT STATUS"
    yield from terms({str(code): meaning for code, meaning in EXIT_STATUS.items()})
    yield ".SH FILES"
    yield from terms(FILES)
    yield from (".SH SEE ALSO", text(SEE_ALSO))


def commands(above: str, command: click.Command) -> Iterator[str]:
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            yield from commands(f"{above} {name}", command.commands[name])
        return
    arguments = " ".join(one.make_metavar() for one in command.params if isinstance(one, click.Argument))
    yield from (".SS", text(f"{above} {arguments}".strip()), text(" ".join((command.help or "").split())))
    for one in command.params:
        if isinstance(one, click.Option) and not one.hidden:
            names = ", ".join([*one.opts, *one.secondary_opts])
            value = "" if one.is_flag else f" {one.make_metavar()}"
            yield from terms({names + value: one.help or ""})


def terms(pairs: dict[str, str]) -> Iterator[str]:
    for term, meaning in pairs.items():
        yield from (".TP", r"\fB" + text(term) + r"\fR", text(meaning))


def text(words: str) -> str:
    """Return words as troff prints them: nothing in them is an order."""
    safe = words.replace("\\", r"\e").replace("-", r"\-").replace("~", r"\(ti").replace("^", r"\(ha").replace("`", r"\(ga")
    return r"\&" + safe if safe.startswith((".", "'")) else safe


main(Path(sys.argv[1]))
