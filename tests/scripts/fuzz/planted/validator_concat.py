"""Validator: the shapes of what is concatenated are not compared."""

from __future__ import annotations

from tests.scripts.fuzz.planted import forget_rules

forget_rules("concat")
