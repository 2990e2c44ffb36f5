"""Every operation of every exported graph is one that TensorFlow Serving's own code runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tensorflow.core.framework import kernel_def_pb2, op_def_pb2

from tests.support.processes import run_python
from tests.support.served import HEADS
from tfzoo.export.saved_model import read_graph

# The libraries hold TensorFlow's C++ code, which TensorFlow Serving is made of, and nothing of
# Python: what they know in a process that never imports TensorFlow is what the server knows.
_LIST = """
import ctypes, importlib.util, pathlib, sys

folder = pathlib.Path(importlib.util.find_spec("tensorflow").submodule_search_locations[0])
for name in ("libtensorflow_framework.so.2", "libtensorflow_cc.so.2"):
    core = ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)

class Buffer(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("length", ctypes.c_size_t), ("free", ctypes.c_void_p)]

def written(buffer, path):
    content = ctypes.string_at(buffer.contents.data, buffer.contents.length)
    pathlib.Path(path).write_bytes(content)

core.TF_GetAllOpList.restype = ctypes.POINTER(Buffer)
written(core.TF_GetAllOpList(), sys.argv[1])
core.TF_NewStatus.restype = ctypes.c_void_p
core.TF_GetAllRegisteredKernels.restype = ctypes.POINTER(Buffer)
core.TF_GetAllRegisteredKernels.argtypes = [ctypes.c_void_p]
written(core.TF_GetAllRegisteredKernels(core.TF_NewStatus()), sys.argv[2])
assert "tensorflow" not in sys.modules
"""


@pytest.fixture(scope="module")
def core_operations(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Operations that the C++ core defines and can run on a CPU."""
    folder = tmp_path_factory.mktemp("core")
    run_python(_LIST, folder / "operations", folder / "kernels")
    operations, kernels = op_def_pb2.OpList(), kernel_def_pb2.KernelList()
    operations.ParseFromString((folder / "operations").read_bytes())
    kernels.ParseFromString((folder / "kernels").read_bytes())
    on_cpu = {kernel.op for kernel in kernels.kernel if kernel.device_type in ("CPU", "DEFAULT")}
    return {operation.name for operation in operations.op} & on_cpu


def operations_of(folder: Path) -> Iterator[str]:
    """Every operation of a SavedModel's graph and of the functions in its library."""
    graph = read_graph(folder).meta_graphs[0].graph_def
    functions = {function.signature.name for function in graph.library.function}
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    yield from (node.op for node in nodes if node.op not in functions)


def test_the_core_is_without_python(core_operations: set[str]) -> None:
    assert len(core_operations) > 1000
    assert {"MatMul", "DecodeJpeg", "DecodePng", "StatefulPartitionedCall"} <= core_operations
    assert not {"PyFunc", "PyFuncStateless", "EagerPyFunc"} & core_operations


@pytest.mark.parametrize("name", HEADS)
def test_graph_holds_core_operations_alone(
    name: str, saved: Callable[[str], Path], core_operations: set[str]
) -> None:
    found = set(operations_of(saved(name)))
    assert len(found) > 20
    assert found <= core_operations, f"not in the core: {sorted(found - core_operations)}"
    assert not [op for op in found if op.startswith("Xla") or "PyFunc" in op]
