"""The command's frame: subcommands, exit codes, and no traceback for a user's mistake.

Exit codes: 0 success, 1 the work failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import importlib.metadata
import sys
from typing import Annotated

import typer

from ipc.errors import MLError
from scripts.cli import bench, demo, doctor, fuzz, ops, replay, run, serve
from scripts.cli._examples import EXAMPLES
from scripts.cli._output import DISTRIBUTION, INTERRUPTED, fail

app = typer.Typer(
    name="webnn-sim",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo", epilog=EXAMPLES["demo"])(demo.demo)
app.command("run", epilog=EXAMPLES["run"], context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(
    run.run
)
app.command("serve", epilog=EXAMPLES["serve"])(serve.serve)
app.command("doctor", epilog=EXAMPLES["doctor"])(doctor.doctor)
app.command("ops", epilog=EXAMPLES["ops"])(ops.ops)
app.command("replay", epilog=EXAMPLES["replay"])(replay.replay)
app.add_typer(fuzz.app, name="fuzz", epilog=EXAMPLES["fuzz"])
app.add_typer(bench.app, name="bench", epilog=EXAMPLES["bench"])


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"webnn-sim {importlib.metadata.version(DISTRIBUTION)}")
        raise typer.Exit


@app.callback(epilog=EXAMPLES["webnn-sim"])
def _frame(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Chromium's WebNN, process for process, in Python."""
    del version  # printed by its callback


def main() -> None:
    """Entry point of the console command."""
    try:
        app()
    except MLError as error:
        fail(f"{error.name}: {error}")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
