"""The command's frame: subcommands, exit codes, and no traceback for a user's mistake.

Exit codes: 0 success, 1 the work failed, 2 wrong usage.
"""

from __future__ import annotations

import sys

import typer

from ipc.errors import MLError
from scripts.cli import bench, demo, doctor, fuzz, ops, replay, run, serve
from scripts.cli._output import fail

app = typer.Typer(
    name="webnn-sim",
    help="Chromium's WebNN, process for process, in Python.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.command("run", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(run.run)
app.command("serve")(serve.serve)
app.command("doctor")(doctor.doctor)
app.command("ops")(ops.ops)
app.command("replay")(replay.replay)
app.add_typer(fuzz.app, name="fuzz")
app.add_typer(bench.app, name="bench")


def main() -> None:
    """Entry point of the console command."""
    try:
        app()
    except MLError as error:
        fail(f"{error.name}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)  # the shell's convention for SIGINT
