"""SavedModels through TensorFlow's C library: the loader inside TensorFlow Serving.

Only ctypes and numpy: Python's TensorFlow is not imported, its package merely tells the place of
the library. So what a session answers comes from the files alone.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["RequestError", "Session"]

_DTYPES = {1: "float32", 3: "int32", 7: "O", 9: "int64", 10: "bool"}  # TF_DataType -> NumPy
_STRING, _STRING_SIZE = 7, 24  # and sizeof(TF_TString)


class RequestError(Exception):
    """A request that failed, with TensorFlow's code and words."""


class _Buffer(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("length", ctypes.c_size_t), ("free", ctypes.c_void_p)]


class _Output(ctypes.Structure):
    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


@cache
def _library() -> ctypes.CDLL:
    """The C library of the installed wheel, whatever its version."""
    folders = [Path(p) for p in importlib.util.find_spec("tensorflow").submodule_search_locations]
    for name in ("libtensorflow_framework*", "libtensorflow_cc*"):
        paths = (path for folder in folders for path in folder.glob(name))
        library = ctypes.CDLL(str(min(paths, key=lambda path: len(path.name))))
    pointers = ("NewStatus", "NewSessionOptions", "NewGraph", "LoadSessionFromSavedModel")
    pointers += ("GraphOperationByName", "AllocateTensor", "TensorData", "StringGetDataPointer")
    for name in pointers:
        getattr(library, f"TF_{name}").restype = ctypes.c_void_p
    library.TF_Message.restype = ctypes.c_char_p
    library.TF_Dim.restype = library.TF_TensorElementCount.restype = ctypes.c_int64
    for name in ("TensorByteSize", "StringGetSize"):
        getattr(library, f"TF_{name}").restype = ctypes.c_size_t
    return library


class Session:
    """A SavedModel, ready for requests from any thread.

    Args:
        folder: The SavedModel.

    Attributes:
        signatures: Name -> ({input: tensor's name}, {output: tensor's name}).

    Raises:
        RequestError: It cannot be loaded.
    """

    def __init__(self, folder: Path | str) -> None:
        tf = self._tf = _library()
        options, status, buffer = tf.TF_NewSessionOptions(), _Status(), _Buffer()
        self._graph = ctypes.c_void_p(tf.TF_NewGraph())
        tags = (ctypes.c_char_p * 1)(b"serve")
        self._session = ctypes.c_void_p(
            tf.TF_LoadSessionFromSavedModel(
                *(ctypes.c_void_p(options), None, str(folder).encode(), tags, 1),
                *(self._graph, ctypes.byref(buffer), status.pointer),
            )
        )
        tf.TF_DeleteSessionOptions(ctypes.c_void_p(options))
        status.check()
        self.signatures = _signatures(ctypes.string_at(buffer.data, buffer.length))
        ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_size_t)(buffer.free)(
            buffer.data, buffer.length
        )

    def run(self, signature: str = "serving_default", **inputs: Any) -> dict[str, np.ndarray]:
        """Send one request.

        Args:
            signature: Its signature.
            **inputs: Arrays; those of texts or bytes have dtype `object`.

        Raises:
            RequestError: TensorFlow refused or failed.
            KeyError: No such signature or input.
        """
        tf, status = self._tf, _Status()
        feeds, fetches = self.signatures[signature]
        given = (ctypes.c_void_p * len(inputs))(*(_tensor(tf, v) for v in inputs.values()))
        taken = (ctypes.c_void_p * len(fetches))()
        try:
            tf.TF_SessionRun(
                *(self._session, None, self._places(feeds, inputs), given, len(inputs)),
                *(self._places(fetches, fetches), taken, len(fetches), None, 0, None),
                status.pointer,
            )
            status.check()
            return {n: _array(tf, t) for n, t in zip(fetches, taken, strict=True)}
        finally:
            for tensor in given:
                _empty(tf, tensor)
            for tensor in (*given, *taken):
                tf.TF_DeleteTensor(ctypes.c_void_p(tensor))

    def _places(self, tensors: Mapping[str, str], names: Any) -> Any:
        def place(tensor: str) -> tuple[int, int]:
            operation, _, index = tensor.partition(":")
            found = self._tf.TF_GraphOperationByName(self._graph, operation.encode())
            return found, int(index or 0)

        return (_Output * len(names))(*(place(tensors[name]) for name in names))

    def close(self) -> None:
        """Release the model."""
        status = _Status()
        self._tf.TF_CloseSession(self._session, status.pointer)
        self._tf.TF_DeleteSession(self._session, status.pointer)
        self._tf.TF_DeleteGraph(self._graph)


class _Status:
    """Whether a call went well."""

    def __init__(self) -> None:
        self.pointer = ctypes.c_void_p(_library().TF_NewStatus())

    def check(self) -> None:
        code = _library().TF_GetCode(self.pointer)
        if code:
            words = _library().TF_Message(self.pointer).decode(errors="replace")
            raise RequestError(f"code {code}: {words}")

    def __del__(self) -> None:
        _library().TF_DeleteStatus(self.pointer)


def _tensor(tf: ctypes.CDLL, value: Any) -> int:
    """A tensor with the values of an array."""
    array = np.asarray(value, order="C")
    dtype = next(key for key, name in _DTYPES.items() if np.dtype(name) == array.dtype)
    size = array.size * _STRING_SIZE if dtype == _STRING else array.nbytes
    shape = (ctypes.c_int64 * array.ndim)(*array.shape)
    tensor = tf.TF_AllocateTensor(dtype, shape, array.ndim, ctypes.c_size_t(size))
    data = tf.TF_TensorData(ctypes.c_void_p(tensor))
    if dtype != _STRING:
        ctypes.memmove(data, array.ctypes.data, array.nbytes)
        return tensor
    for number, item in enumerate(array.flat):
        text = item.encode() if isinstance(item, str) else item
        place = ctypes.c_void_p(data + number * _STRING_SIZE)
        tf.TF_StringInit(place)
        tf.TF_StringCopy(place, text, ctypes.c_size_t(len(text)))
    return tensor


def _empty(tf: ctypes.CDLL, address: int) -> None:
    """Free the texts of a tensor that was made here, which TensorFlow does not."""
    tensor = ctypes.c_void_p(address)
    if tf.TF_TensorType(tensor) == _STRING:
        data = tf.TF_TensorData(tensor)
        for number in range(tf.TF_TensorElementCount(tensor)):
            tf.TF_StringDealloc(ctypes.c_void_p(data + number * _STRING_SIZE))


def _array(tf: ctypes.CDLL, address: int) -> np.ndarray:
    """A copy of a tensor's values."""
    tensor = ctypes.c_void_p(address)
    shape = [tf.TF_Dim(tensor, axis) for axis in range(tf.TF_NumDims(tensor))]
    dtype, data = np.dtype(_DTYPES[tf.TF_TensorType(tensor)]), tf.TF_TensorData(tensor)
    if dtype.kind != "O":
        return np.frombuffer(ctypes.string_at(data, tf.TF_TensorByteSize(tensor)), dtype).reshape(
            shape
        )
    items = np.empty(int(np.prod(shape)), object)
    for number in range(items.size):
        place = ctypes.c_void_p(data + number * _STRING_SIZE)
        start, size = tf.TF_StringGetDataPointer(place), tf.TF_StringGetSize(place)
        items[number] = ctypes.string_at(start, size)
    return items.reshape(shape)


# ---- protocol buffers, as far as signatures need them
def _signatures(meta_graph: bytes) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    """`MetaGraphDef.signature_def`, field 5: name -> `SignatureDef` of inputs (1), outputs (2)."""
    found = {}
    for name, signature in _entries(meta_graph, 5):
        sides = (_entries(signature, side) for side in (1, 2))
        found[name] = tuple({k: _first(info, 1).decode() for k, info in side} for side in sides)
    return {name: sides for name, sides in found.items() if not name.startswith("__")}


def _entries(message: bytes, field: int) -> Iterator[tuple[str, bytes]]:
    """The items of a map: messages of key (1) and value (2)."""
    for number, entry in _fields(message):
        if number == field:
            yield _first(entry, 1).decode(), _first(entry, 2)


def _first(message: bytes, field: int) -> bytes:
    return next((content for number, content in _fields(message) if number == field), b"")


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of each field that has a length; the others are passed over."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        kind = key & 7
        if kind == 0:
            _, place = _varint(message, place)
        elif kind == 2:
            size, place = _varint(message, place)
            yield key >> 3, message[place : place + size]
        place += {0: 0, 1: 8, 2: size if kind == 2 else 0, 5: 4}[kind]


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte, place = message[place], place + 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
