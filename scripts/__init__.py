"""Command-line tools around the simulator; nobody imports this package."""
