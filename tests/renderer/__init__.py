"""Tests of the renderer room."""
