"""The `webnn-sim` command: one module per subcommand."""

from scripts.cli._app import main

__all__ = ["main"]
