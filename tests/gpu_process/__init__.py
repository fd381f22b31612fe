"""Tests of the GPU process."""
