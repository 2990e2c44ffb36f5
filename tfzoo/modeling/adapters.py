"""Fine-tuning with less: frozen layers, low-rank adapters (LoRA), int8 weights.

What these calls changed in a model goes into its `.keras` file and comes back from it. Adapters can
also be saved apart, in the names and layouts of PyTorch's library PEFT.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops
from safetensors.numpy import save

from tfzoo.core.fields import number, positive
from tfzoo.core.files import read_json, write_json
from tfzoo.core.keras_compat import collected_once, own_variables, set_trainable
from tfzoo.core.replacing import recover, updating
from tfzoo.core.types import ModelMixin
from tfzoo.core.untrusted import escaped
from tfzoo.core.variables import named_layers, slots
from tfzoo.layers.linear import Linear
from weights_convert.checkpoint import open_checkpoint
from weights_convert.errors import CheckpointError
from weights_convert.plan import Entry, save_plan
from weights_convert.rules import family_map
from weights_convert.tensors import FLOATS

__all__ = ["ATTENTION", "AdapterMixin"]

ATTENTION = r"(^|\.)(query|key|value|qkv|out)$"  # the projections of every attention in tfzoo
_WEIGHTS_NAME, _CONFIG_NAME = "adapter_model.safetensors", "adapter_config.json"
_PREFIX = "base_model.model."
_SIDES = {"A": "lora_kernel_a", "B": "lora_kernel_b"}

# PEFT's settings that are read here, that the tensors show, or that only matter while PEFT trains;
# for linear layers it ignores fan_in_fan_out itself. All others must be off.
_APPLIED = {
    "auto_mapping",
    "base_model_name_or_path",
    "ensure_weight_tying",
    "eva_config",
    "exclude_modules",
    "fan_in_fan_out",
    "inference_mode",
    "init_lora_weights",
    "layers_pattern",
    "layers_to_transform",
    "loftq_config",
    "lora_alpha",
    "lora_dropout",
    "megatron_core",
    "modules_to_save",
    "peft_type",
    "peft_version",
    "qalora_group_size",
    "r",
    "revision",
    "target_modules",
    "task_type",
    "use_rslora",
}
_STARTS = ("gaussian", "eva", "orthogonal")  # they concern the adapters alone


@dataclass(frozen=True)
class _Adapters:
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


class AdapterMixin(ModelMixin):
    """Freezing, LoRA and int8 of every model. Call them before `compile`.

    Attributes:
        parts: Names that `freeze` takes, each with a pattern of the layers that it means.
    """

    parts: ClassVar[Mapping[str, str]] = {}
    _adapters: _Adapters | None = None
    _is_int8: bool = False

    # ---- freezing
    def freeze(self, part: str | None) -> list[str]:
        """Leave a part of the model as it is in training, see `freeze_layers`.

        Args:
            part: The name of one of the model's `parts`, which lets the layers of the other parts
                train; None, which lets those of all parts train; or a pattern of layers, which
                leaves the others as they are.

        Returns:
            As `freeze_layers`.

        Raises:
            ValueError: Neither the name of a part nor a pattern that some layer's path matches.
        """
        if part is None or part in self.parts:
            for pattern in self.parts.values():
                self._set_trainable(pattern, True)
            return [] if part is None else self._set_trainable(self.parts[part], False)
        if not self.parts:
            return self._set_trainable(part, False)
        try:
            return self._set_trainable(part, False)
        except ValueError as error:
            known = ", ".join(map(repr, self.parts))
            raise ValueError(f"freeze takes {known} or None, got {part!r}: {error}") from error

    def unfreeze(self, part: str | None = None) -> list[str]:
        """Let a part train again: one of `parts`, or a pattern of layers; everything by default.

        Weights that have adapters stay as they are.
        """
        return self._set_trainable(self.parts.get(part, part) if part else "", True)

    def freeze_layers(self, pattern: str) -> list[str]:
        """Leave some layers as they are in training, their batch norms' statistics included.

        Args:
            pattern: Regular expression, searched for in each layer's path of attributes, e.g.
                `r"embeddings|encoder\\.layer\\.[0-5]$"`. What is inside a layer freezes with it.

        Returns:
            The paths of the layers that were found, without those inside them.

        Raises:
            ValueError: No layer has such a path, or the expression is invalid.

        Example:
            >>> import tfzoo
            >>> model = tfzoo.TFTimesformerForVideoClassification.from_pretrained("checkpoint")
            >>> model.freeze_layers(r"embeddings$|encoder\\.layer\\.0$")
            ['timesformer.embeddings', 'timesformer.encoder.layer.0']
        """
        return self._set_trainable(pattern, False)

    def unfreeze_layers(self, pattern: str = "") -> list[str]:
        """Let layers train again, see `freeze_layers`; all of them by default.

        Weights that have adapters stay as they are.
        """
        return self._set_trainable(pattern, True)

    def _set_trainable(self, pattern: str, value: bool) -> list[str]:
        found = self._matching(pattern)
        set_trainable(value, *found.values())
        if not pattern:
            for variable in own_variables(self):
                variable.trainable = value
        if value and self._adapters is not None:
            layers = named_layers(self)
            _train_adapters_alone(layers[path] for path in self._adapters.layers)
        self._forget_functions()
        return _outermost(found)

    def _matching(self, pattern: str) -> dict[str, keras.layers.Layer]:
        layers = named_layers(self)
        try:
            found = {path: layer for path, layer in layers.items() if re.search(pattern, path)}
        except re.error as error:
            raise ValueError(f"{pattern!r} is not a regular expression: {error}.") from error
        if not found:
            near = difflib.get_close_matches(pattern, layers, 3, 0.3) or list(layers)[:3]
            raise ValueError(
                f"{type(self).__name__} has no layer whose path matches {pattern!r}; there are "
                f"{', '.join(near)}, ..."
            )
        return found

    # ---- LoRA
    def enable_lora(
        self,
        rank: int,
        pattern: str = ATTENTION,
        *,
        alpha: float | None = None,
        train: str | None = None,
    ) -> list[str]:
        """Give layers adapters: x (W + alpha / rank A B), of which A and B alone are trained.

        All other weights are frozen, biases as well, and batch norms keep their statistics. At
        first B is zero, so that the model computes what it did before.

        Args:
            rank: Width between A and B.
            pattern: Regular expression for the paths of the linear layers that get adapters;
                default: the projections of all attentions.
            alpha: Weight of the adapters; `rank` by default, so that the factor is 1.
            train: Regular expression for layers that train as a whole, e.g. a fresh head's.

        Returns:
            The paths of the layers that have adapters.

        Raises:
            ValueError: No linear layer has such a path, the rank is below 1, alpha is not a finite
                number, or the model has adapters already.

        Source: Hu et al. 2021, arXiv:2106.09685.

        Example:
            >>> import tfzoo
            >>> model = tfzoo.TFTimesformerForVideoClassification.from_pretrained("checkpoint")
            >>> model.enable_lora(4, train="classifier")[0]
            'timesformer.encoder.layer.0.attention.qkv'
            >>> model.compile("adam")
        """
        self._refuse_adapters()
        if not positive.holds(rank):
            raise ValueError(f"rank: expected a whole number above 0, got {rank!r}.")
        if alpha is not None and not number.holds(alpha):
            raise ValueError(f"alpha: expected {number.description}, got {alpha!r}.")
        linear = [path for path, x in self._matching(pattern).items() if isinstance(x, Linear)]
        if not linear:
            raise ValueError(f"{type(self).__name__}: no linear layer's path matches {pattern!r}.")
        whole = _outermost(self._matching(train)) if train is not None else []
        self._adapt(_Adapters(rank, rank if alpha is None else alpha, tuple(linear), tuple(whole)))
        return linear

    def _adapt(self, adapters: _Adapters) -> None:
        layers = named_layers(self)
        set_trainable(False, *self.layers)
        for variable in own_variables(self):
            variable.trainable = False
        set_trainable(True, *(layers[path] for path in adapters.train))
        adapted = [layers[path] for path in adapters.layers]
        for layer in adapted:
            layer.enable_lora(adapters.rank, lora_alpha=adapters.alpha)
        _train_adapters_alone(adapted)
        self.__dict__["_adapters"] = adapters  # past Keras's tracking, which is closed by now
        self._forget_functions()

    def merge_lora(self) -> None:
        """Add what the adapters have learnt to the weights, and take the adapters away.

        The model computes the same, and `save_pretrained` writes it. What was frozen stays so,
        see `unfreeze_layers`.

        Raises:
            ValueError: The model has no adapters, or is quantized.
        """
        adapters = self._need_adapters()
        if self._is_int8:
            raise ValueError("Adapters cannot be merged into int8 weights: use save_adapters.")
        layers = named_layers(self)
        with collected_once():
            for path in adapters.layers:
                layers[path].merge_lora()
        self.__dict__["_adapters"] = None
        self._forget_functions()

    def save_adapters(self, folder: str | Path) -> None:
        """Write what `enable_lora` lets train, and nothing else.

        `adapter_model.safetensors` and `adapter_config.json`, both or neither, with the names and
        layouts of PyTorch's library PEFT.

        Args:
            folder: Made where needed.

        Raises:
            ValueError: The model has no adapters.
            OSError: The folder cannot be written.

        Example:
            >>> import tempfile, tfzoo
            >>> folder = tempfile.mkdtemp()
            >>> model = tfzoo.TFTimesformerForVideoClassification.from_pretrained("checkpoint")
            >>> names = model.enable_lora(2)
            >>> model.save_adapters(folder)
            >>> again = tfzoo.TFTimesformerForVideoClassification.from_pretrained("checkpoint")
            >>> again.load_adapters(folder)
        """
        _write_adapters(self, self._need_adapters(), Path(folder))

    def load_adapters(self, folder: str | Path) -> None:
        """Give the model the adapters that `save_adapters` wrote; it may be merged or trained on.

        Args:
            folder: With `adapter_model.safetensors` and `adapter_config.json`.

        Raises:
            FileNotFoundError: A file is missing.
            ValueError: The model has adapters already; or the files are damaged, belong to another
                model, or need what PEFT has beyond plain LoRA and `use_rslora`, such as DoRA or
                ranks that differ between layers.
        """
        self._refuse_adapters()
        recover(Path(folder))
        adapters, values = _read_adapters(self, Path(folder))
        self._adapt(adapters)
        places = slots(self)
        for path, value in values.items():
            places[path].variable.assign(value)

    def _need_adapters(self) -> _Adapters:
        if self._adapters is None:
            raise ValueError(f"{type(self).__name__} has no adapters: enable_lora() first.")
        return self._adapters

    def _refuse_adapters(self) -> None:
        if self._adapters is not None:
            raise ValueError(f"{type(self).__name__} has adapters already: merge_lora() first.")

    # ---- int8
    def quantize(self, mode: str = "int8", config: Any = None, **kwargs: Any) -> None:
        """Round the weights of all linear layers to int8: a quarter of their size.

        It saves disk and memory, not time: on a CPU Keras multiplies int8 matrices slowly. Tables,
        convolutions and norms stay as they are. `model.save` and `export` write the model as it
        is; PyTorch has no such checkpoint.

        Args:
            mode: `"int8"`.
            config: Keras's settings, which must be the default ones.

        Raises:
            ValueError: Another mode, other settings, or a model that is quantized, computes in
                float16 or has adapters.

        Example:
            >>> import tfzoo
            >>> model = tfzoo.TFTimesformerForVideoClassification.from_pretrained("checkpoint")
            >>> model.quantize("int8")
            >>> model.timesformer.encoder.layer[0].mlp.fc1.kernel.dtype
            'int8'
        """
        own = config is not None and config.get_config() != type(config)().get_config()
        if mode != "int8" or own or kwargs:
            raise ValueError(f"quantize takes 'int8' with default settings alone, got {mode!r}.")
        if self._is_int8 or self._adapters is not None:
            state = "int8 weights" if self._is_int8 else "adapters, merge_lora() first"
            raise ValueError(f"{type(self).__name__} cannot be quantized: it has {state}.")
        with collected_once():
            for layer in named_layers(self).values():
                if isinstance(layer, Linear):
                    layer.quantize("int8", type_check=False)
        self.__dict__["_is_int8"] = True
        self._forget_functions()

    # ---- what goes into a .keras file
    def changes(self) -> dict[str, Any]:
        """What was done to the model since it was made, as JSON; empty for nothing."""
        found: dict[str, Any] = {}
        if self._is_int8:
            found["quantize"] = "int8"
        if self._adapters is not None:
            found["lora"] = asdict(self._adapters)
        elif states := _trainable_states(self):
            found["trainable"] = states
        return found

    def repeat_changes(self, changes: Mapping[str, Any]) -> None:
        """Do to a fresh model what `changes` says."""
        if "quantize" in changes:
            self.quantize(changes["quantize"])
        if "lora" in changes:
            lora = changes["lora"]
            places = {name: tuple(lora[name]) for name in ("layers", "train")}
            self._adapt(_Adapters(lora["rank"], lora["alpha"], **places))
        layers = named_layers(self)
        for path, value in changes.get("trainable", {}).items():
            set_trainable(value, layers[path])

    def refuse_changes(self) -> None:
        """Refuse to write a PyTorch checkpoint of what PyTorch has no form for.

        Raises:
            ValueError: The model has adapters or int8 weights.
        """
        if self._adapters is not None:
            raise ValueError(
                f"{type(self).__name__} has adapters: merge_lora() first, or save_adapters()."
            )
        if self._is_int8:
            raise ValueError(
                f"{type(self).__name__} has int8 weights, which a PyTorch checkpoint cannot hold: "
                "save() writes a .keras file."
            )

    def _forget_functions(self) -> None:
        """Let `fit`, `evaluate` and `predict` be traced again."""
        self.train_function = self.test_function = self.predict_function = None

    def forget_traces(self) -> None:
        """Let Keras trace its functions again, and be compiled again: weights have gone."""
        self._forget_functions()
        self.compiled = False  # the optimizer holds the old weights as well


def _train_adapters_alone(layers: Iterable[Linear]) -> None:
    """Let layers' adapters train, and not their kernels and biases."""
    for layer in layers:
        set_trainable(True, layer)
        for variable in own_variables(layer):
            variable.trainable = variable.name.startswith("lora_kernel")


def _outermost(paths: Iterable[str]) -> list[str]:
    """Those of the paths that do not lie inside another one."""
    paths = list(paths)
    return [p for p in paths if not any(p.startswith(f"{other}.") for other in paths)]


def _trainable_states(model: keras.Model) -> dict[str, bool]:
    """The layers that train or not other than the layer that they are in."""
    states: dict[str, bool] = {}
    flags = {"": model.trainable}
    for path, layer in named_layers(model).items():
        above = path
        while above not in flags:  # lists of layers lie between, and have no flag
            above = above.rpartition(".")[0]
        if layer.trainable != flags[above]:
            states[path] = layer.trainable
        flags[path] = layer.trainable
    return states


# ---- the files of adapters
def _entries(model: keras.Model) -> list[Entry]:
    """The weights of the model itself, and what its checkpoint calls them."""
    more = {*_SIDES.values(), "kernel_scale"}  # the latter beside int8 weights
    places = {
        path: slot for path, slot in slots(model).items() if path.rpartition(".")[2] not in more
    }
    return list(save_plan(places, family_map(model.base_model_type)))


def _write_adapters(model: keras.Model, adapters: _Adapters, folder: Path) -> None:
    """Write a model's adapters, and the layers that train beside them."""
    places, tensors, modules, whole = slots(model), {}, [], set()
    for entry in _entries(model):
        body, module = entry.path.rpartition(".")[0], entry.name.rpartition(".")[0]
        if body in adapters.layers and entry.leaf == "kernel":
            modules.append(module)
            for side, name in _SIDES.items():
                value = ops.convert_to_numpy(places[f"{body}.{name}"].variable)
                tensors[f"{_PREFIX}{module}.lora_{side}.weight"] = _plain(value.T)
        elif any(f"{body}.".startswith(f"{path}.") for path in adapters.train):
            whole.add(module)
            value = ops.convert_to_numpy(places[entry.path].variable)
            tensors[_PREFIX + entry.name] = _plain(entry.to_checkpoint(value))
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
    with updating(folder, gates=(_CONFIG_NAME,)) as new:
        (new / _WEIGHTS_NAME).write_bytes(save(tensors, metadata={"format": "pt"}))
        write_json(new / _CONFIG_NAME, config)


def _plain(array: np.ndarray) -> np.ndarray:
    """Row after row in memory, as the file has it; bfloat16, which NumPy lacks, as float32."""
    return np.ascontiguousarray(array if array.dtype.kind != "V" else array.astype("float32"))


def _read_adapters(model: keras.Model, folder: Path) -> tuple[_Adapters, dict[str, np.ndarray]]:
    """Read adapters for a model, and check them, before the model is changed.

    Returns:
        The adapters, and the values of their variables by path, in Keras's layout.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: The files are damaged, or belong to another model.
    """
    for name in (_WEIGHTS_NAME, _CONFIG_NAME):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} has no {name}: save_adapters writes it.")
    rank, alpha = _read_settings(folder / _CONFIG_NAME)
    tensors = _read_tensors(folder / _WEIGHTS_NAME)
    layers, values, entries = [], {}, _entries(model)
    for entry in entries:
        body, module = entry.path.rpartition(".")[0], entry.name.rpartition(".")[0]
        names = {f"{module}.lora_{side}.weight": f"{body}.{_SIDES[side]}" for side in _SIDES}
        if entry.leaf == "kernel" and all(name in tensors for name in names):
            layers.append(body)
            shapes = ((entry.shape[0], rank), (rank, entry.shape[-1]))
            for (name, path), shape in zip(names.items(), shapes, strict=True):
                values[path] = _of_shape(name, tensors.pop(name).T, shape)
    for entry in entries:  # what trains beside them
        if entry.name in tensors and entry.path.rpartition(".")[0] not in layers:
            values[entry.path] = entry.from_checkpoint(tensors.pop(entry.name))
    if tensors or not layers:
        strange = escaped(f"{', '.join(sorted(tensors)[:3]):.300}") or "no adapters"
        raise ValueError(f"{folder} does not fit a {type(model).__name__}: it holds {strange}.")
    bodies = {path.rpartition(".")[0] for path in values} - set(layers)
    return _Adapters(rank, alpha, tuple(layers), tuple(sorted(bodies))), values


def _read_settings(path: Path) -> tuple[int, float]:
    """The rank and alpha of PEFT's settings.

    Raises:
        ValueError: They are not LoRA's, or ask for what the layers here do not compute.
    """
    config = read_json(path)
    rank: Any = config.get("r")
    alpha: Any = config.get("lora_alpha")
    if config.get("peft_type") != "LORA" or not positive.holds(rank) or not alpha:
        raise ValueError(f"{path}: expected peft_type LORA with r and lora_alpha.")
    if not number.holds(alpha):
        raise ValueError(f"{path}: lora_alpha must be {number.description}, got {alpha!r:.100}.")
    for name, value in config.items():
        if value and name not in _APPLIED and (name, value) != ("bias", "none"):
            shown = escaped(f"{name:.100}")
            raise ValueError(
                f"{path}: tfzoo has no adapters with {shown}={value!r:.100}. Merge them into the "
                "model with PEFT."
            )
    start = config.get("init_lora_weights")
    if start not in (None, True, False, *_STARTS):
        raise ValueError(
            f"{path}: init_lora_weights={start!r:.100} may have changed the model's own weights. "
            "Let PEFT convert the adapters to plain LoRA, or merge them."
        )
    # alpha / sqrt(r), in the form alpha / r
    return rank, alpha * math.sqrt(rank) if config.get("use_rslora") else alpha


def _read_tensors(path: Path) -> dict[str, np.ndarray]:
    """The tensors of adapters by PEFT's names, without the prefix."""
    try:
        with open_checkpoint(path) as file:
            for name, info in file.items():
                if info.dtype not in FLOATS:
                    kinds = ", ".join(FLOATS)
                    raise ValueError(f"{path}: {name!r:.200} must be {kinds}, got {info.dtype}.")
            tensors = {name.removeprefix(_PREFIX): file.read(name) for name in file}
            if len(tensors) < len(file):
                raise ValueError(f"{path} holds a tensor twice, with and without {_PREFIX!r}.")
    except CheckpointError as error:
        raise ValueError(f"{path} is damaged, or not of a dtype that is read: {error}.") from error
    return tensors


def _of_shape(name: str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if array.shape != shape:
        raise ValueError(f"{name}: expected {shape[::-1]} in the file, got {array.shape[::-1]}.")
    return array
