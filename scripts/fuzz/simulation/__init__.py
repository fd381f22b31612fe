"""Deterministic simulation of the boundary: the product's own code in one process, under a seeded scheduler and clock."""
