"""Loaders: models in a file's format, said to a graph builder. None of them is imported with `renderer` itself."""
