"""Deterministic simulation of the boundary: the product's code in one process, under a seeded scheduler and clock."""
