"""The files that hold a model's adapters, in the names and layouts of PyTorch's library PEFT."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import ops
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from tfzoo.core.files import read_json, replacing, write_json
from tfzoo.core.variables import slots
from weights_convert.plan import Entry, save_plan
from weights_convert.rules import family_map

__all__ = ["CONFIG_NAME", "WEIGHTS_NAME", "Adapters", "read_adapters", "write_adapters"]

WEIGHTS_NAME, CONFIG_NAME = "adapter_model.safetensors", "adapter_config.json"
_PREFIX = "base_model.model."
_SIDES = {"A": "lora_kernel_a", "B": "lora_kernel_b"}


@dataclass(frozen=True)
class Adapters:
    """The adapters of a model.

    Attributes:
        rank: Width between the two matrices.
        alpha: Their product counts alpha / rank.
        layers: Paths of the layers that have one.
        train: Paths of the layers that train as a whole beside them.
    """

    rank: int
    alpha: float
    layers: tuple[str, ...]
    train: tuple[str, ...] = ()


def _entries(model: keras.Model) -> list[Entry]:
    """The weights of the model itself, and what its checkpoint calls them."""
    more = {*_SIDES.values(), "kernel_scale"}  # the latter beside int8 weights
    places = {
        path: slot for path, slot in slots(model).items() if path.rpartition(".")[2] not in more
    }
    return list(save_plan(places, family_map(model.base_model_type)))


def write_adapters(model: keras.Model, adapters: Adapters, folder: Path) -> None:
    """Write a model's adapters, and the layers that train beside them.

    Args:
        model: It has them.
        adapters: Which they are.
        folder: Made where needed.

    Raises:
        OSError: The folder cannot be written.
    """
    places, tensors, modules = slots(model), {}, []
    for entry in _entries(model):
        body, module = entry.path.rpartition(".")[0], entry.name.rpartition(".")[0]
        if body in adapters.layers and entry.leaf == "kernel":
            modules.append(module)
            for side, name in _SIDES.items():
                value = ops.convert_to_numpy(places[f"{body}.{name}"].variable)
                tensors[f"{_PREFIX}{module}.lora_{side}.weight"] = value.T
        elif any(f"{body}.".startswith(f"{path}.") for path in adapters.train):
            value = ops.convert_to_numpy(places[entry.path].variable)
            tensors[_PREFIX + entry.name] = entry.to_checkpoint(value)
    whole = {key.removeprefix(_PREFIX).rpartition(".")[0] for key in tensors if ".lora_" not in key}
    with replacing(folder / WEIGHTS_NAME, force=True) as path:
        save_file({k: _plain(v) for k, v in tensors.items()}, path, metadata={"format": "pt"})
    config = {
        "peft_type": "LORA",
        "r": adapters.rank,
        "lora_alpha": adapters.alpha,
        "target_modules": sorted(modules),
        "modules_to_save": sorted(whole) or None,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "base_model_name_or_path": None,
        "task_type": None,
    }
    write_json(folder / CONFIG_NAME, config)


def _plain(array: np.ndarray) -> np.ndarray:
    """Row after row in memory, as the file has it; bfloat16, which NumPy lacks, as float32."""
    return np.ascontiguousarray(array if array.dtype.kind != "V" else array.astype("float32"))


def read_adapters(model: keras.Model, folder: Path) -> tuple[Adapters, dict[str, np.ndarray]]:
    """Read adapters for a model, and check them, before the model is changed.

    Args:
        model: It has none.
        folder: With both files.

    Returns:
        The adapters, and the values of their variables by path, in Keras's layout.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: The files are damaged, or not of adapters for a model like this one.
    """
    for name in (WEIGHTS_NAME, CONFIG_NAME):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} has no {name}: save_adapters writes it.")
    config = read_json(folder / CONFIG_NAME)
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if config.get("peft_type") != "LORA" or not isinstance(rank, int) or not alpha:
        raise ValueError(f"{folder / CONFIG_NAME}: expected peft_type LORA with r and lora_alpha.")
    try:
        tensors = load_file(folder / WEIGHTS_NAME)
    except SafetensorError as error:
        raise ValueError(f"{folder / WEIGHTS_NAME} is damaged: {error}.") from error
    tensors = {key.removeprefix(_PREFIX): value for key, value in tensors.items()}
    layers, values = [], {}
    for entry in _entries(model):
        body, module = entry.path.rpartition(".")[0], entry.name.rpartition(".")[0]
        names = {f"{module}.lora_{side}.weight": f"{body}.{_SIDES[side]}" for side in _SIDES}
        if entry.leaf == "kernel" and all(name in tensors for name in names):
            layers.append(body)
            shapes = ((entry.shape[0], rank), (rank, entry.shape[-1]))
            for (name, path), shape in zip(names.items(), shapes, strict=True):
                values[path] = _of_shape(name, tensors.pop(name).T, shape)
        if entry.name in tensors:
            values[entry.path] = entry.from_checkpoint(tensors.pop(entry.name))
    if tensors or not layers:
        strange = ", ".join(sorted(tensors)[:3]) or "no adapters"
        raise ValueError(f"{folder} does not fit a {type(model).__name__}: it holds {strange}.")
    bodies = {path.rpartition(".")[0] for path in values} - set(layers)
    return Adapters(rank, alpha, tuple(layers), tuple(sorted(bodies))), values


def _of_shape(name: str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if array.shape != shape:
        raise ValueError(f"{name}: expected {shape[::-1]} in the file, got {array.shape[::-1]}.")
    return array
