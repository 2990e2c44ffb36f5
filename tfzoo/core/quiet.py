"""Keras without TensorFlow's chatter: what it logs when it starts, before it reads any setting."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from functools import cache

__all__ = ["quiet_start", "start_keras"]

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_CHATTER = re.compile(
    rb"WARNING: All log messages before absl|"
    rb"[IWE]\d{4} \d\d:\d\d:|\d{4}-\d\d-\d\d [\d:.]+: [IWE] "
)


@cache
def start_keras() -> None:
    """Import Keras and start its backend, whose first operation logs the devices."""
    with quiet_start():
        import keras

        if keras.backend.backend() == "tensorflow":
            # The first operation on 64-bit integers logs what the processor lacks.
            keras.ops.transpose(keras.ops.zeros((1, 1), "int64"))


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """Leave out TensorFlow's log lines while a block imports or starts it.

    Everything else on stderr is shown after the block, and all of it if the block fails. From then
    on TensorFlow logs no mere information. The environment variable `TF_CPP_MIN_LOG_LEVEL=0` keeps
    every line; a block after `start_keras` is left alone.
    """
    if start_keras.cache_info().currsize or os.environ.setdefault(_LEVEL, "1") == "0":
        yield
        return
    try:
        original = os.dup(2)
    except OSError:  # the process has no stderr
        yield
        return
    with tempfile.TemporaryFile() as kept:
        _flush()
        os.dup2(kept.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        finally:
            _flush()
            os.dup2(original, 2)
            os.close(original)
            kept.seek(0)
            for line in kept:
                if failed or not _CHATTER.match(line):
                    os.write(2, line)


def _flush() -> None:
    if sys.stderr is not None:
        sys.stderr.flush()
