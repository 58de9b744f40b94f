"""The program `autoops`: every command by hand."""

from __future__ import annotations

import typer

from autoops import __version__, log
from autoops.cli import collect, health, inspect, logs, queue, report, roots, run, settings, status, trust, windows
from autoops.cli.failing import run as run_to_the_end

app = typer.Typer(
    name="autoops",
    help="A signed, self-proving registry of every file in the trees it watches.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (run, inspect, status, trust, report, health, logs, collect, windows):
    module.register(app)
app.add_typer(queue.app, name="queue")
app.add_typer(roots.root_app, name="root")
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


def main() -> None:
    """Run `autoops`."""
    log.configure("warning", "auto", "autoops")  # the services set up their own
    run_to_the_end(app)
