"""Graphs that are large in every way."""
