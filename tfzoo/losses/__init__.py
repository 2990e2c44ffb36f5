"""Losses of the heads: classification, contrastive, detection."""
