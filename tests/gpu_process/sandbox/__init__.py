"""Tests of the sandbox, with real processes that are really confined."""
