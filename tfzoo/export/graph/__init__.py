"""Preprocessing and post-processing as TensorFlow operations inside SavedModels."""
