"""The outputs of one checkpoint in PyTorch and of another in tfzoo, for the same random input."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfzoo.cli.forms import Side, as_dtype, load_keras
from weights_convert.errors import CheckpointError
from weights_convert.reference import ABSENT, flatten

__all__ = ["compare_outputs", "random_inputs"]

Row = dict[str, Any]

_SEED = 0
_TEXT, _SEVERAL = 8, 4  # lengths of axes that a model leaves free: tokens; objects or points
_MASKED = -6e4  # only masks lie below it, such as the least float16
_WAIT = 3600


def compare_outputs(first: Side, second: Side, source: str, target: str) -> list[Row] | None:
    """Run both sides, one of them in PyTorch, and compare what they give.

    Args:
        first: A checkpoint.
        second: Another of the same class; one of the two must be in PyTorch's form.
        source: Name of the first.
        target: Name of the second.

    Returns:
        For each output its shape, its largest magnitude and its largest difference; None unless
        PyTorch and transformers are installed.
    """
    torch_side, (keras_side, keras_source) = (
        (second, (first, source)) if first.is_keras else (first, (second, target))
    )
    model = _model(keras_side, keras_source, torch_side)
    inputs = random_inputs(model)
    theirs = _reference(torch_side.folder, model.torch_class, inputs)
    if theirs is None:
        return None
    outputs = flatten(model(dict(inputs), training=False))
    ours = {name: np.asarray(value) for name, value in outputs.items()}
    shapes = [{name: side[name].shape for name in sorted(side)} for side in (ours, theirs)]
    if shapes[0] != shapes[1]:
        raise CheckpointError(
            f"the outputs have other names or shapes: {shapes[0]} in tfzoo, {shapes[1]} in PyTorch"
        )
    return [_row(name, ours[name], theirs[name]) for name in theirs]


def random_inputs(model: Any) -> dict[str, np.ndarray]:
    """One random sample of what a model takes, the same in every run.

    Example:
        >>> import tfzoo
        >>> model = tfzoo.TFTimesformerModel(tfzoo.TimesformerConfig(num_hidden_layers=1))
        >>> random_inputs(model)["pixel_values"].shape
        (1, 8, 3, 224, 224)
    """
    from tfzoo.export.endpoint import default_endpoint

    endpoint, rng = default_endpoint(model, tokens=_TEXT), np.random.default_rng(_SEED)
    made = {}
    for name, example in endpoint.example.items():
        free, are_points = endpoint.inputs[name].shape, name.endswith("_points")
        if name == "pixel_values":  # of as many frames as the config says, even if that is one
            free = example.shape
        shape = [
            _SEVERAL if (place or are_points) and size == 1 and free[place] is None else size
            for place, size in enumerate(example.shape)
        ]
        if example.dtype.kind == "f":
            made[name] = rng.normal(size=shape).astype("float32")
        elif name == "input_ids":  # 0 is padding in all families
            ids = getattr(model.config, "text_config", model.config).vocab_size
            made[name] = rng.integers(1, ids, shape)
        elif are_points:
            made[name] = np.arange(np.prod(shape)).reshape(shape)
        else:  # ones of masks, zeros of types
            made[name] = np.full(shape, example.flat[0], "int64")
    return made


def _model(side: Side, source: str, other: Side) -> Any:
    """The model of a side in float32 like the reference, whatever its file's dtype."""
    if not side.is_keras:
        return side.model_class.from_pretrained(side.path, config=side.config, dtype="float32")
    model = load_keras(source, other)
    return model if model.dtype_policy.name == "float32" else as_dtype(model, "float32")


def _reference(
    folder: Path, torch_class: str, inputs: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray] | None:
    """Outputs in PyTorch, computed in a separate process; None without PyTorch."""
    package = Path(sys.modules["weights_convert"].__file__).parents[1]
    paths = [str(package), *filter(None, [os.environ.get("PYTHONPATH")])]
    with tempfile.TemporaryDirectory() as work:
        files = [str(Path(work) / name) for name in ("inputs.npz", "outputs.npz")]
        np.savez(files[0], **inputs)
        job = [sys.executable, "-m", "weights_convert.reference", str(folder), torch_class, *files]
        done = subprocess.run(
            job,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
            timeout=_WAIT,
            check=False,
        )
        if done.returncode == ABSENT:
            return None
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise CheckpointError(
                f"{torch_class} of transformers fails on {folder}: {lines[-1]:.300}. "
                "--weights-only leaves the outputs out."
            )
        with np.load(files[1]) as arrays:
            return dict(arrays)


def _row(name: str, ours: np.ndarray, theirs: np.ndarray) -> Row:
    """The row of one output; what both sides mask is not compared."""
    masked = (ours < _MASKED) & (theirs < _MASKED)
    a, b = (side[~masked].astype("float64") for side in (ours, theirs))
    scale = float(np.abs(b).max(initial=0.0))
    difference = float(np.abs(a - b).max(initial=0.0))
    return {
        "output": name,
        "shape": list(theirs.shape),
        "magnitude": scale,
        "difference": difference,
        "relative": difference / scale if scale else difference,
    }
