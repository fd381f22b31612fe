"""Rooms of the probe of native runtimes; `python -m scripts.probe_backends` is its face."""
