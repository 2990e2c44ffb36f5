"""The outputs of one checkpoint in PyTorch and of another in tfzoo, on the same random input."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfzoo.cli.forms import Side, load_keras
from weights_convert.errors import CheckpointError
from weights_convert.reference import ABSENT, flatten

__all__ = ["compare_outputs", "random_inputs"]

Row = dict[str, Any]

_SEED = 0
_TEXT, _OBJECTS, _POINTS, _SIDE = 8, 4, 4, 64  # lengths of the axes that a model leaves free
_MASKED = -6e4  # below it there are only masks: the least float16, and less
_WAIT = 3600


def compare_outputs(first: Side, second: Side, source: str, target: str) -> list[Row] | None:
    """Run both sides, one of them in PyTorch, and compare what they give.

    Args:
        first: A checkpoint.
        second: Another of the same class; one of the two must be of PyTorch's form.
        source: Name of the first.
        target: Name of the second.

    Returns:
        For each output its shape, its largest magnitude and its largest difference; None where
        PyTorch or transformers is not installed.

    Raises:
        CheckpointError: The reference fails, or the outputs have other names or shapes.
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
    if shapes(ours) != shapes(theirs):
        raise CheckpointError(
            f"the outputs have other names or shapes: {shapes(ours)} in tfzoo, {shapes(theirs)} in "
            "PyTorch"
        )
    return [_row(name, ours[name], theirs[name]) for name in theirs]


def shapes(arrays: Mapping[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    """The shape of each array."""
    return {name: tuple(array.shape) for name, array in sorted(arrays.items())}


def random_inputs(model: Any) -> dict[str, np.ndarray]:
    """One random sample of what a model takes, the same in every run.

    Args:
        model: Any model of tfzoo.

    Example:
        >>> import tfzoo
        >>> model = tfzoo.TFTimesformerModel(tfzoo.TimesformerConfig(num_hidden_layers=1))
        >>> random_inputs(model)["pixel_values"].shape
        (1, 8, 3, 224, 224)
    """
    rng = np.random.default_rng(_SEED)
    table = {row.name: row for row in model.inputs_table}
    made = {}
    for name, spec in model._table.specs(model.config).items():
        axes = table[name].exported or table[name].shape
        shape = [
            _free(axis, model.config) if size is None else size
            for axis, size in zip(axes, spec.shape, strict=True)
        ]
        made[name] = _values(name, table[name].dtype, shape, model.config, rng)
    return made


def _free(axis: str, config: Any) -> int:
    """The length of an axis that the model's sizes leave open."""
    side = _find(config, "image_size") or _SIDE
    lengths = {
        "sequence": min(_TEXT, _find(config, "max_position_embeddings") or _TEXT),
        "objects": _OBJECTS,
        "pixels": _POINTS,
        "patches": _POINTS,
        "fixed_frames": _find(config, "num_frames"),
        "height": side,
        "width": side,
    }
    if axis == "frames":  # of a tower that takes the frames of clips one behind another
        return _find(config, "num_frames") or 1
    return lengths.get(axis) or 1  # a batch of one


def _find(config: Any, name: str) -> int | None:
    """A whole number in the config or in those inside it."""
    inner = (None, "text_config", "vision_config", "backbone_config")
    for part in inner:
        value = getattr(config if part is None else getattr(config, part, None), name, None)
        if isinstance(value, int):
            return value
    return None


def _values(
    name: str, dtype: str, shape: list[int], config: Any, rng: np.random.Generator
) -> np.ndarray:
    if dtype == "mask":
        return np.ones(shape, "int64")
    if dtype == "float32":
        return rng.normal(size=shape).astype("float32")
    if name == "token_type_ids":
        return np.zeros(shape, "int64")
    if name.endswith("_points"):
        return np.arange(np.prod(shape)).reshape(shape)
    return rng.integers(1, _find(config, "vocab_size"), shape)  # 0 is padding in all families


def _model(side: Side, source: str, other: Side) -> Any:
    """The model of a side in float32, whatever its file's dtype: the reference runs in it, too."""
    if not side.is_keras:
        return side.model_class.from_pretrained(side.path, config=side.config, dtype="float32")
    model = load_keras(source, other)
    if model.dtype_policy.name == "float32":
        return model
    wide = type(model)(model.config, dtype="float32")
    for new, old in zip(wide.weights, model.weights, strict=True):
        new.assign(old.value)
    return wide


def _reference(
    folder: Path, torch_class: str, inputs: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray] | None:
    """Outputs in PyTorch, computed by a process of its own; None where there is no PyTorch."""
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
    """One output; where both sides mask, there is nothing to compare."""
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
