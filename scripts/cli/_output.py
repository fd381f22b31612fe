"""How commands speak: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Final, NoReturn

import typer
from rich.console import Console

console = Console(highlight=False)
"""For results that people read."""
progress = Console(stderr=True, highlight=False)
"""For progress and errors."""

DISTRIBUTION: Final = "webnn-simulator"
"""The name under which this product is installed."""
INTERRUPTED: Final = 130
"""The exit code after Ctrl-C: the shell's convention for SIGINT."""

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else on standard output.")]


def print_json(value: object) -> None:
    """One JSON object on standard output."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def fail(message: str) -> NoReturn:
    """The work failed: say why and exit with 1."""
    progress.print(f"[red]error:[/red] {_plain(message)}")
    sys.exit(1)


def wrong_usage(message: str) -> NoReturn:
    """The command line is wrong: say why and exit with 2."""
    raise typer.BadParameter(message)


def _plain(text: str) -> str:
    return text.replace("[", r"\[")  # labels are untrusted text, not markup
