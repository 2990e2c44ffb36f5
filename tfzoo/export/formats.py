"""Export for other runtimes, LiteRT and ONNX, by Keras's own exporters.

The file holds the model's documented call, without the preprocessing; it is run at once.
"""

from __future__ import annotations

import importlib.util
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfzoo.core.replacing import replacing
from tfzoo.export.endpoint import Endpoint, ServingError, default_endpoint
from tfzoo.modeling.base import TFPreTrainedModel

__all__ = ["SUFFIXES", "Exported", "export_format"]

#: The file name extension of each format.
SUFFIXES = {"litert": ".tflite", "onnx": ".onnx"}
_NEEDS = {"litert": (), "onnx": ("onnx", "tf2onnx", "onnxruntime")}
_BOUND = 1e-3  # above it, the file computes something else


@dataclass(frozen=True)
class Exported:
    """A file that was written, and how its outputs compare.

    Attributes:
        path: The file.
        shapes: Sizes of each input; None for one that is free.
        differences: Output -> largest difference from the model's on one random input, as a
            fraction of that output's largest magnitude.
    """

    path: Path
    shapes: Mapping[str, tuple[int | None, ...]]
    differences: Mapping[str, float]


def export_format(
    model: TFPreTrainedModel,
    path: str | Path,
    format: str,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> Exported:
    """Write a model for another runtime, and compare the file's outputs with the model's.

    Sizes that are free in the model's signature stay free where the converter and the runtime
    support it; else they become those of one item, with the longest text that the model takes.

    Args:
        model: Any model of tfzoo.
        path: File to write, `x.tflite` or `x.onnx`.
        format: `"litert"` or `"onnx"`.
        shapes: Sizes of some inputs. All sizes are fixed then, those not given to one item's.

    Raises:
        ServingError: An operation that the format lacks, by name; a file whose outputs differ;
            shapes that the model does not take; a missing package.
        FileExistsError: The file exists.
        OSError: It cannot be written.

    Example:
        >>> import tempfile, tfzoo
        >>> model = tfzoo.TFTimesformerForVideoClassification.from_pretrained("checkpoint")
        >>> file = export_format(model, tempfile.mkdtemp() + "/camera.onnx", "onnx")
        >>> file.differences["logits"] < 1e-4
        True
    """
    target = Path(path)
    _check(format, target)
    fixed = _fixed(default_endpoint(model, tokens=None), shapes or {})
    if shapes:
        return _attempt(model, target, format, fixed)
    try:
        return _attempt(model, target, format, default_endpoint(model))
    except ServingError:
        return _attempt(model, target, format, fixed)


def _fixed(endpoint: Endpoint, shapes: Mapping[str, Sequence[int]]) -> Endpoint:
    """The endpoint with all sizes fixed: the given ones, else its example's."""
    for name, shape in shapes.items():
        spec = endpoint.inputs.get(name)
        if spec is None:
            known = ", ".join(endpoint.inputs)
            raise ServingError(f"shapes: there is no input {name!r}, the model takes {known}.")
        if not spec.shape.is_compatible_with(list(shape)):
            raise ServingError(f"shapes: {name} must be {spec.shape}, got {tuple(shape)}.")
    example = {
        name: np.resize(value, tuple(shapes[name])) if name in shapes else value
        for name, value in endpoint.example.items()
    }
    specs = {name: tf.TensorSpec(v.shape, v.dtype, name) for name, v in example.items()}
    return replace(endpoint, inputs=specs, example=example)


def _attempt(model: TFPreTrainedModel, target: Path, format: str, endpoint: Endpoint) -> Exported:
    inputs = _random(endpoint)
    with replacing(target, force=False) as unfinished:
        _write(model, endpoint, unfinished, format)
        _check_operations(unfinished, format)
        try:
            outputs = _RUNNERS[format](unfinished, inputs)
        except Exception as error:  # each runtime has errors of its own
            raise _refusal(model, format, error) from error
        expected = {k: np.asarray(v) for k, v in model.serving_outputs(**inputs).items()}
        differences = _differences(outputs, expected)
    shapes = {name: tuple(spec.shape.as_list()) for name, spec in endpoint.inputs.items()}
    return Exported(target, shapes, differences)


def _check(format: str, target: Path) -> None:
    if format not in SUFFIXES:
        raise ServingError(f"format must be one of {', '.join(SUFFIXES)}, got {format!r}.")
    if target.suffix != SUFFIXES[format]:
        raise ServingError(f"A file of {format} ends in {SUFFIXES[format]}, got {target.name!r}.")
    if target.exists():
        raise FileExistsError(f"{target} exists: choose another name, or remove it.")
    missing = [name for name in _NEEDS[format] if importlib.util.find_spec(name) is None]
    if missing:
        needed = " and ".join(missing)
        raise ServingError(f"{format} needs {needed}: pip install 'tfzoo[export]'.")


class _Flat(keras.Model):
    """A model whose outputs are a flat dict, as the formats need."""

    def __init__(self, model: TFPreTrainedModel) -> None:
        super().__init__(name="flat", dtype=model.dtype_policy)
        self.model = model
        self.built = True

    def call(self, inputs: Mapping[str, Any], training: bool = False) -> dict[str, Any]:
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
    """The error for what the converter's pages of text say."""
    text = str(error)
    found = dict.fromkeys(re.findall(r"'(tf\.\w+)' op|op (?:type )?'?\"?(\w+)'?\"? is not", text))
    names = [next(filter(None, pair)) for pair in found]
    what = f"the operation {', '.join(names)}" if names else text.strip().splitlines()[0]
    return ServingError(f"{type(model).__name__} cannot be written as {format}: {what}")


@contextmanager
def _quiet_converters() -> Iterator[None]:
    """Silence the converters' logs and warnings; the file is checked anyway."""
    loggers = [logging.getLogger(name) for name in ("tf2onnx", "tensorflow", "absl")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _check_operations(path: Path, format: str) -> None:
    """Refuse a file with operations that its format lacks, which converters leave in.

    LiteRT puts "Flex" before TensorFlow's name for them, and needs a runtime with TensorFlow in it;
    ONNX has TensorFlow's name.
    """
    if format == "litert":
        found = re.findall(rb"Flex([A-Z]\w+)", path.read_bytes())
        lost = sorted({name.decode() for name in found})
    else:
        import onnx

        nodes = onnx.load(path).graph.node
        lost = sorted({n.op_type for n in nodes if not onnx.defs.has(n.op_type, n.domain)})
    if lost:
        raise ServingError(f"{format} lacks what the model needs: {', '.join(lost)}.")


def _random(endpoint: Endpoint) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        name: rng.standard_normal(value.shape, "float32") if value.dtype.kind == "f" else value
        for name, value in endpoint.example.items()
    }


def _run_litert(path: Path, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    with _quiet_converters():
        runner = tf.lite.Interpreter(str(path)).get_signature_runner("serving_default")
        return runner(**inputs)


def _run_onnx(path: Path, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is fatal is raised anyway
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


_RUNNERS: dict[str, Callable[[Path, Mapping[str, np.ndarray]], Any]] = {
    "litert": _run_litert,
    "onnx": _run_onnx,
}


def _differences(
    outputs: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Largest difference of each output as a fraction of its largest magnitude."""
    found = {}
    for name, want in expected.items():
        have = outputs[name]
        if have.shape != want.shape:
            raise ServingError(f"The file's {name} has shape {have.shape}, not {want.shape}.")
        scale = max(float(np.abs(want).max(initial=0.0)), 1e-30)
        found[name] = float(np.abs(have - want).max(initial=0.0)) / scale
        if not found[name] <= _BOUND:
            raise ServingError(
                f"The file's {name} differs by {found[name]:.1e} of its largest magnitude from the "
                "model's: the converter got it wrong."
            )
    return found
