"""The parent's side of a benchmark: families, environments, quiet, rounds, reports."""
