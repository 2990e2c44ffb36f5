"""What the files of all formats have in common: tensors by name, read one by one.

A memory map would crash the process when the file is truncated under it; a plain read only comes
back short, which is an error that can be reported. Opening a file reads and validates its table
of contents; a tensor's bytes are read when it is asked for, and no others.
"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np

from tfzoo.core.untrusted import refuse_lfs_pointer
from weights_convert.errors import CheckpointError
from weights_convert.memory import Empty, aligned
from weights_convert.tensors import TensorInfo

__all__ = ["TensorFile"]

# Tensors may share bytes, as tied weights do; a small file must not stand for any number of them.
_MAX_REUSE = 16
_SMALL = 2**26  # bytes of all tensors that need no such relation


class TensorFile(ABC):
    """One open file of a checkpoint; reads of several threads take turns.

    Args:
        path: path of the file.

    Attributes:
        path: the same.
        size: bytes in the file when it was opened.
        tensors: name -> dtype and shape, in PyTorch's layout.
        metadata: free text entries.

    Raises:
        CheckpointError: the file is missing, malformed or unreadable.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tensors: dict[str, TensorInfo] = {}
        self.metadata: dict[str, str] = {}
        self._lock = threading.Lock()
        if not os.path.exists(path):
            raise CheckpointError(f"{path}: no such file or folder")
        if not os.path.isfile(path):  # opening a pipe would wait for its other end
            raise CheckpointError(f"{path}: expected a regular file")
        refuse_lfs_pointer(path, CheckpointError)
        try:
            self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by close()
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read: {error}") from error
        try:
            self.size = os.fstat(self._file.fileno()).st_size
            self.load_contents()
            self._check_total()
        except OSError as error:
            self.close()
            raise CheckpointError(f"{path}: cannot be read: {error}") from error
        except RecursionError as error:
            self.close()
            raise CheckpointError(f"{path}: its table of contents is nested too deeply") from error
        except BaseException:
            self.close()
            raise

    @abstractmethod
    def load_contents(self) -> None:
        """Fill ``tensors`` and ``metadata``, believing nothing that the file says.

        Raises:
            CheckpointError: the file is malformed.
        """

    @abstractmethod
    def read(self, name: str, empty: Empty = aligned) -> np.ndarray:
        """Read one tensor as it is stored; bfloat16 comes as ``uint16`` bits.

        Args:
            name: the tensor's name.
            empty: makes the array that is returned.

        Returns:
            An array of the stored shape.

        Raises:
            KeyError: no such tensor.
            CheckpointError: the file has been truncated, or cannot be read.
        """

    def array_at(
        self,
        offset: int,
        shape: tuple[int, ...],
        dtype: np.dtype,
        name: str,
        empty: Empty = aligned,
    ) -> np.ndarray:
        """Read consecutive items.

        Args:
            offset: position of the first in the file, in bytes.
            shape: shape of the array.
            dtype: type of its items.
            name: the tensor, for the message.
            empty: makes the array that is returned.

        Returns:
            The array.

        Raises:
            CheckpointError: the file has been truncated, or cannot be read.
        """
        array = empty(shape, dtype)
        buffer = array.reshape(-1).view(np.uint8).data
        found = self._fill(buffer, offset)
        if found < len(buffer):
            raise CheckpointError(
                f"{self.path}: {name!r:.200}: expected {len(buffer)} bytes, found {found}; "
                "the file has been truncated since it was opened"
            )
        return array

    def bytes_at(self, offset: int, size: int) -> bytes:
        """Read bytes that must be there.

        Args:
            offset: position of the first in the file.
            size: how many.

        Returns:
            That many bytes.

        Raises:
            CheckpointError: they reach beyond the end of the file.
        """
        if offset < 0 or size < 0 or offset + size > self.size:
            raise CheckpointError(
                f"{self.path}: expected {size} bytes at {offset}, the file has {self.size}; it is "
                "truncated or damaged"
            )
        return self.array_at(offset, (size,), np.dtype(np.uint8), "its header").tobytes()

    def _fill(self, buffer: memoryview, offset: int) -> int:
        """Read into the buffer, and return how many bytes came."""
        done = 0
        try:
            with self._lock:
                self._file.seek(offset)
                while done < len(buffer):  # one call reads at most 2 GiB
                    count = self._file.readinto(buffer[done:])
                    if not count:
                        break
                    done += count
        except OSError as error:
            raise CheckpointError(f"{self.path}: cannot be read: {error}") from error
        return done

    def close(self) -> None:
        """Close the file; what has been read stays valid."""
        self._file.close()

    def _check_total(self) -> None:
        total = sum(info.nbytes for info in self.tensors.values())
        limit = _MAX_REUSE * self.size + _SMALL
        if total > limit:
            raise CheckpointError(
                f"{self.path}: expected tensors of at most {limit} bytes in a file of {self.size}, "
                f"found {total}; too many share the same bytes"
            )
