"""`python -m scripts.cli`, for a checkout without the console command."""

from scripts.cli import main

main()
