"""Values that every backend must compute: a runner, the repository's own vectors, and the public ones beside it."""
