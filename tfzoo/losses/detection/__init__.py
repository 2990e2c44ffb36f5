"""The loss of a detector, its targets, and how targets are assigned to boxes."""
