"""Losses of the heads, with PyTorch's formulas."""
