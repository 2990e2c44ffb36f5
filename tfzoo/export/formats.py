"""Files for other runtimes, LiteRT and ONNX, written by Keras's own exporters and tried at once.

What comes out is the model's documented call, without the preprocessing.
"""

from __future__ import annotations

import importlib.util
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfzoo.export.endpoint import Endpoint, ServingError
from tfzoo.export.plain import default_endpoint
from tfzoo.files import replacing
from tfzoo.modeling import TFPreTrainedModel

__all__ = ["SUFFIXES", "Exported", "export_format"]

#: How the file of each format is called.
SUFFIXES = {"litert": ".tflite", "onnx": ".onnx"}
_NEEDS = {"litert": (), "onnx": ("onnx", "tf2onnx")}


@dataclass(frozen=True)
class Exported:
    """A file that was written, and what running it showed.

    Attributes:
        path: The file.
        differences: Output -> largest difference to the model's, in parts of that output's largest
            magnitude, on one random input; None where the runtime is not installed.
        flex: TensorFlow operations that a LiteRT runtime needs beside its own.
    """

    path: Path
    differences: Mapping[str, float] | None
    flex: tuple[str, ...] = ()


def export_format(model: TFPreTrainedModel, path: str | Path, format: str) -> Exported:
    """Write a model for another runtime, and compare the file's outputs with the model's.

    Args:
        model: Any model of tfzoo.
        path: File to write, `x.tflite` or `x.onnx`.
        format: `"litert"` or `"onnx"`.

    Raises:
        ServingError: An operation of the model that the format lacks, by name; a package or a
            release of Keras that the format needs.
        FileExistsError: The file exists.
        OSError: It cannot be written.

    Example:
        >>> import tempfile, tfzoo
        >>> model = tfzoo.TFTimesformerForVideoClassification.from_pretrained("checkpoint")
        >>> file = export_format(model, tempfile.mkdtemp() + "/camera.tflite", "litert")
        >>> file.differences["logits"] < 1e-4
        True
    """
    target = Path(path)
    _check(format, target)
    endpoint = default_endpoint(model)
    with replacing(target, force=False) as unfinished:
        _write(model, endpoint, unfinished, format)
        flex = _flex_operations(unfinished) if format == "litert" else ()
        if format == "onnx":
            _check_operations(unfinished)
        inputs = _random(endpoint)
        outputs = _RUNNERS[format](unfinished, inputs)
    if outputs is None:
        return Exported(target, None, flex)
    expected = {name: np.asarray(value) for name, value in model.serving_outputs(**inputs).items()}
    return Exported(target, _differences(outputs, expected), flex)


def _check(format: str, target: Path) -> None:
    if format not in SUFFIXES:
        raise ServingError(f"format must be one of {', '.join(SUFFIXES)}, got {format!r}.")
    if target.suffix != SUFFIXES[format]:
        raise ServingError(f"A file of {format} ends in {SUFFIXES[format]}, got {target.name!r}.")
    if target.exists():
        raise FileExistsError(f"{target} exists: choose another name, or remove it.")
    missing = [name for name in _NEEDS[format] if importlib.util.find_spec(name) is None]
    if missing:
        raise ServingError(f"{format} needs {' and '.join(missing)}: pip install 'tfzoo[export]'.")


class _Flat(keras.Model):
    """A model whose outputs are a flat dict, which is what the formats know."""

    def __init__(self, model: TFPreTrainedModel) -> None:
        super().__init__(dtype=model.dtype_policy)
        self.model = model
        self.built = True

    def call(self, inputs: Mapping[str, Any], training: bool = False) -> dict[str, Any]:
        """The model's outputs by name."""
        return self.model.serving_outputs(**inputs)


def _write(model: TFPreTrainedModel, endpoint: Endpoint, path: Path, format: str) -> None:
    signature = [
        {n: tf.TensorSpec(spec.shape, spec.dtype, n) for n, spec in endpoint.inputs.items()}
    ]
    try:
        with _quiet_converters():
            _Flat(model).export(str(path), format, verbose=False, input_signature=signature)
    except ValueError as error:
        if "format" in str(error) and "nrecognized" in str(error):
            raise ServingError(
                f"Keras {keras.__version__} cannot write {format}: pip install --upgrade keras."
            ) from error
        raise _refusal(model, format, error) from error
    except OSError:
        raise
    except Exception as error:  # each converter has errors of its own
        raise _refusal(model, format, error) from error


def _refusal(model: Any, format: str, error: Exception) -> ServingError:
    """What is in the way, as the converter's pages of text say."""
    text = str(error)
    found = dict.fromkeys(re.findall(r"'(tf\.\w+)' op|op (?:type )?'?\"?(\w+)'?\"? is not", text))
    names = [next(filter(None, pair)) for pair in found]
    what = f"the operation {', '.join(names)}" if names else text.strip().splitlines()[0]
    return ServingError(f"{type(model).__name__} cannot be written as {format}: {what}")


@contextmanager
def _quiet_converters() -> Iterator[None]:
    """Converters log each step; what matters comes as an error or is found in the file."""
    loggers = [logging.getLogger(name) for name in ("tf2onnx", "tensorflow", "absl")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _flex_operations(path: Path) -> tuple[str, ...]:
    """TensorFlow's own operations in a LiteRT file: their names stand in it with a mark."""
    found = re.findall(rb"Flex([A-Z]\w+)", path.read_bytes())
    return tuple(sorted({name.decode() for name in found}))


def _check_operations(path: Path) -> None:
    """tf2onnx leaves operations that ONNX lacks in the file, under their old names."""
    import onnx

    graph = onnx.load(path).graph
    lost = sorted({n.op_type for n in graph.node if not onnx.defs.has(n.op_type, n.domain)})
    if lost:
        raise ServingError(f"ONNX lacks what the model needs: the operation {', '.join(lost)}")


def _random(endpoint: Endpoint) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        name: rng.standard_normal(value.shape, "float32") if value.dtype.kind == "f" else value
        for name, value in endpoint.example.items()
    }


def _run_litert(path: Path, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    runner = tf.lite.Interpreter(str(path)).get_signature_runner("serving_default")
    return runner(**inputs)


def _run_onnx(path: Path, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
    if importlib.util.find_spec("onnxruntime") is None:
        return None
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


_RUNNERS: dict[str, Callable[[Path, Mapping[str, np.ndarray]], Any]] = {
    "litert": _run_litert,
    "onnx": _run_onnx,
}


def _differences(
    outputs: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Largest difference of each output in parts of its largest magnitude."""
    found = {}
    for name, want in expected.items():
        scale = max(float(np.abs(want).max(initial=0.0)), 1e-30)
        found[name] = float(np.abs(outputs[name] - want).max(initial=0.0)) / scale
    return found
