"""Reading one safetensors file, see ``safetensors_header.py`` for its form."""

from __future__ import annotations

import numpy as np

from weights_convert.formats.safetensors_header import read_header
from weights_convert.formats.tensor_file import TensorFile
from weights_convert.memory import Empty, aligned
from weights_convert.tensors import DTYPES

__all__ = ["SafetensorsFile"]


class SafetensorsFile(TensorFile):
    """An open safetensors file.

    Args:
        path: path of the file.

    Raises:
        CheckpointError: there is no such file, it is malformed or unreadable.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from weights_convert.formats.safetensors_write import write_checkpoint
        >>> path = Path(tempfile.mkdtemp()) / "ones.safetensors"
        >>> write_checkpoint(path, [("a", "F32", (2,), lambda: np.ones(2, np.float32))])
        >>> file = SafetensorsFile(path)
        >>> file.read("a")
        array([1., 1.], dtype=float32)
        >>> file.close()
    """

    def load_contents(self) -> None:
        """Read and validate the header.

        Raises:
            CheckpointError: the file is malformed.
        """
        header = read_header(self._file, self.size, str(self.path))
        self.tensors, self.metadata = header.tensors, header.metadata
        self._offsets = header.offsets

    def read(self, name: str, empty: Empty = aligned) -> np.ndarray:
        """Read one tensor as it is stored, see ``TensorFile.read``."""
        info = self.tensors[name]
        dtype = np.dtype(DTYPES[info.dtype])
        return self.array_at(self._offsets[name], info.shape, dtype, name, empty)
