"""The shape of the house: who may import whom, and that generated files are current."""
