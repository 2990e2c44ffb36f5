"""Perceiver's ready-made models: the engine with the parts of each task."""
