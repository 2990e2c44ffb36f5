"""Two-way conversion between PyTorch checkpoints and named arrays, without PyTorch.

The package knows files, names and axis orders; it knows no framework. See ``rules.py`` for the
maps, ``plan.py`` for the strict matching and ``checkpoint.py`` for the files.
"""
