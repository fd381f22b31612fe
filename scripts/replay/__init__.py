"""Replaying recordings: a renderer that says what another one has said, and compares what it hears."""

from scripts.replay._outcome import Difference, Outcome
from scripts.replay._player import replay

__all__ = ["Difference", "Outcome", "replay"]
