"""Models of any size without their values: for counting what they hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras


@contextmanager
def shapes_only() -> Iterator[None]:
    """Construct models without values inside; afterwards only their shapes may be looked at."""
    with keras.StatelessScope(initialize_variables=False):
        yield
    keras.backend.clear_session()  # or the next such scope would draw all these values
