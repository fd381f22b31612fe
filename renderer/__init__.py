"""The WebNN API: what a renderer process may see."""
