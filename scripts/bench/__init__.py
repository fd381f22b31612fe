"""`webnn-sim bench`: what the way costs, measured against peers in the same run."""
