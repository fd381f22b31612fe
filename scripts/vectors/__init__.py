"""The repository's own conformance vectors, computed from the formulas element by element in plain Python.

Nothing here is shared with a backend, NumPy included: loops over coordinates, Python's exact integers and float64, and
one rounding at the end. `python -m scripts.make_vectors` writes what this package says to `tests/conformance/vectors/`.
"""
