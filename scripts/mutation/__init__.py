"""Removes the boundary's checks one by one, and looks whether a test notices: `python -m scripts.mutation`."""
