"""Mutated files through every reader: each input is accepted rightly, or refused with a type that
the reader's docstring names, within 20 seconds and 2 GB.

| module | holds |
| --- | --- |
| `mutants` | what happens to a file |
| `containers` | the same inside archives, HDF5, safetensors, pickles |
| `seeds` | the sound files |
| `readers`, `trained` | the readers, and what must be true of what they accept |
| `judge` | one input |
| `worker` | many inputs in a process with limits |

`python -m tests.fuzz` runs them, see `__main__`.
"""
