"""The programs: `autoops`, and the services' executables, which are the same commands under their own names."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import typer

from autoops import __version__, log
from autoops.cli import inspect, queue, report, run, settings, trust
from autoops.cli.output import warn
from autoops.errors import AutoopsError

app = typer.Typer(
    name="autoops",
    help="A signed, self-proving registry of every file in the trees it watches.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (run, inspect, trust, report):
    module.register(app)
app.add_typer(queue.app, name="queue")
app.add_typer(settings.config_app, name="config")
app.add_typer(settings.keys_app, name="keys")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"autoops {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Say which version."),
) -> None:
    pass


def _run(program: Callable[[], object]) -> None:
    """Run a program; the only place where an error becomes a message, a hint and an exit code."""
    try:
        program()
    except AutoopsError as error:
        warn_of(error)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # `autoops list | head`: nobody reads any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)


def warn_of(error: AutoopsError) -> None:
    """Write an error and what to do about it to standard error."""
    for line in f"autoops: {error}".splitlines():
        warn(line)
    if error.advice:
        warn(f"  hint: {error.advice}")


def main() -> None:
    """Run `autoops`."""
    log.configure("warning", "auto", "autoops")  # the services set up their own
    _run(app)


def watcher() -> None:
    """Run `autoops-watcher`."""
    _run(lambda: typer.run(run.start_watcher))


def worker() -> None:
    """Run `autoops-worker`."""
    _run(lambda: typer.run(run.start_worker))
