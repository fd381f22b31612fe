"""Fuzzing: generate, attack, compare, reduce. `docs/fuzzing.md` is the way in."""
