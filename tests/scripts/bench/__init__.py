"""Tests of the laboratory: that its numbers mean what they say."""
