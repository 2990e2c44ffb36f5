"""The base class of all models: loading, saving, training, adapters."""
