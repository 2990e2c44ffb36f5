"""Small deliberate faults, and whether the tests notice them: `python -m tests.planted_faults`."""
