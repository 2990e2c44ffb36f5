"""How TensorFlow Serving may put requests together, written beside a model's graph.

A server started with `--enable_batching --enable_per_model_batching_parameters` reads the file of
each version, and leaves models without one as they are.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["BATCHING_FILE", "write_batching"]

#: The name that the server looks for in the folder of a version.
BATCHING_FILE = Path("batching_params.pbtxt")

_TEXT = """\
# Requests of one signature whose inputs differ in their first axis alone are run together.
# Lengths are never padded by the server: it would pad masks with ones.
max_batch_size { value: 8 }
batch_timeout_micros { value: 2000 }
max_enqueued_batches { value: 64 }
"""


def write_batching(folder: Path) -> None:
    """Write the parameters into the folder of a version.

    Args:
        folder: Of the SavedModel, all of whose signatures answer each row on its own.
    """
    (folder / BATCHING_FILE).write_text(_TEXT, encoding="utf-8")
