"""Each family's signatures against the host path."""
