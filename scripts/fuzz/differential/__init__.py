"""The same graphs on all backends."""
