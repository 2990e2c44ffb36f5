"""The model families: one folder each. The folder is the registry (see ``tfzoo.registry``)."""
