"""The trust boundary, attacked from outside."""
