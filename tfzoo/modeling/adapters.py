"""Fine-tuning with less: frozen layers, low-rank adapters (LoRA), int8 weights.

What a model was changed into by these calls goes into its `.keras` file and comes back from it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras

from tfzoo.core.keras_compat import collected_once, own_variables, set_trainable
from tfzoo.core.variables import named_layers, slots
from tfzoo.layers.linear import Linear
from tfzoo.modeling.adapter_files import Adapters, read_adapters, write_adapters

__all__ = ["ATTENTION", "AdapterMixin"]

ATTENTION = r"(^|\.)(query|key|value|qkv|out)$"  # the projections of every attention in tfzoo


class AdapterMixin:
    """Freezing, LoRA and int8 of every model. Call them before `compile`."""

    _adapters: Adapters | None = None
    _is_int8: bool = False

    # ---- freezing
    def freeze_layers(self, pattern: str) -> list[str]:
        """Leave some layers as they are in training, their batch norms' statistics included.

        Args:
            pattern: Regular expression, searched for in each layer's path of attributes, e.g.
                `r"embeddings|encoder\\.layer\\.[0-5]$"`. All that is inside a layer freezes, too.

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
            raise ValueError(f"{pattern!r} is no regular expression: {error}.") from error
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

        All other weights are frozen, biases too, and batch norms keep their statistics. At first B
        is zero, so that the model computes what it did before.

        Args:
            rank: Width between A and B.
            pattern: Regular expression for the paths of the linear layers that get adapters;
                default: the projections of all attentions.
            alpha: Weight of the adapters; `rank` by default, so that the factor is 1.
            train: Regular expression for layers that train as a whole, e.g. a fresh head's.

        Returns:
            The paths of the layers that have adapters.

        Raises:
            ValueError: No linear layer has such a path, a rank below 1, or there are adapters.

        Source: Hu et al. 2021, arXiv:2106.09685.

        Example:
            >>> import tfzoo
            >>> model = tfzoo.TFTimesformerForVideoClassification.from_pretrained("checkpoint")
            >>> model.enable_lora(4, train="classifier")[0]
            'timesformer.encoder.layer.0.attention.qkv'
            >>> model.compile("adam")
        """
        if self._adapters is not None:
            raise ValueError(f"{type(self).__name__} has adapters already: merge_lora() first.")
        if not isinstance(rank, int) or rank < 1:
            raise ValueError(f"rank: expected a whole number above 0, got {rank!r}.")
        linear = [path for path, x in self._matching(pattern).items() if isinstance(x, Linear)]
        if not linear:
            raise ValueError(f"{type(self).__name__}: no linear layer's path matches {pattern!r}.")
        whole = _outermost(self._matching(train)) if train is not None else []
        chosen = Adapters(rank, rank if alpha is None else alpha, tuple(linear), tuple(whole))
        self._adapt(chosen)
        return linear

    def _adapt(self, adapters: Adapters) -> None:
        layers = named_layers(self)
        set_trainable(False, *self.layers)
        for variable in own_variables(self):
            variable.trainable = False
        set_trainable(True, *(layers[path] for path in adapters.train))
        adapted = [layers[path] for path in adapters.layers]
        for layer in adapted:
            layer.enable_lora(adapters.rank, lora_alpha=adapters.alpha)
        _train_adapters_alone(adapted)
        vars(self)["_adapters"] = adapters  # past Keras's tracking, which is closed by now
        self._forget_functions()

    def merge_lora(self) -> None:
        """Add what the adapters have learnt to the weights; then there are none any more.

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
        vars(self)["_adapters"] = None
        self._forget_functions()

    def save_adapters(self, folder: str | Path) -> None:
        """Write what `enable_lora` lets train, and nothing else.

        `adapter_model.safetensors` and `adapter_config.json`, with the names and layouts of
        PyTorch's library PEFT.

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
        write_adapters(self, self._need_adapters(), Path(folder))

    def load_adapters(self, folder: str | Path) -> None:
        """Give a model the adapters that `save_adapters` wrote; it may be merged or trained on.

        Args:
            folder: With `adapter_model.safetensors` and `adapter_config.json`.

        Raises:
            FileNotFoundError: There are no such files.
            ValueError: The model has adapters, or these are not of a model like this one.
        """
        if self._adapters is not None:
            raise ValueError(f"{type(self).__name__} has adapters already: merge_lora() first.")
        adapters, values = read_adapters(self, Path(folder))
        self._adapt(adapters)
        places = slots(self)
        for path, value in values.items():
            places[path].variable.assign(value)

    def _need_adapters(self) -> Adapters:
        if self._adapters is None:
            raise ValueError(f"{type(self).__name__} has no adapters: enable_lora() first.")
        return self._adapters

    # ---- int8
    def quantize(self, mode: str = "int8", config: Any = None, **kwargs: Any) -> None:
        """Round the weights of all linear layers to int8: a quarter of their size.

        It saves disk and memory, not time: on a CPU Keras multiplies int8 matrices slowly. Tables,
        convolutions and norms stay as they are. `model.save` and `export` write the model as it
        is; PyTorch has no such checkpoint.

        Args:
            mode: `"int8"`.
            config: Keras's settings; only its default ones.

        Raises:
            ValueError: Another mode, other settings, a model that is quantized, that computes in
                float16, or that has adapters.

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
        vars(self)["_is_int8"] = True
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
            self._adapt(Adapters(lora["rank"], lora["alpha"], **places))
        if "trainable" in changes:
            layers = named_layers(self)
            for path, value in changes["trainable"].items():
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
        """Let `fit`, `evaluate` and `predict` be traced anew."""
        self.train_function = self.test_function = self.predict_function = None


def _train_adapters_alone(layers: Iterable[Linear]) -> None:
    """Let layers' adapters train, and not their kernels and biases."""
    for layer in layers:
        set_trainable(True, layer)
        for variable in own_variables(layer):
            variable.trainable = variable.name.startswith("lora_kernel")


def _outermost(paths: Iterable[str]) -> list[str]:
    """Those of the paths that lie inside no other one."""
    paths = list(paths)
    return [p for p in paths if not any(p.startswith(f"{other}.") for other in paths)]


def _trainable_states(model: keras.Model) -> dict[str, bool]:
    """The layers that train or not other than the layer that they are in."""
    states: dict[str, bool] = {}
    flags: dict[str, bool] = {}
    for path, layer in named_layers(model).items():
        parents = [flags[p] for p in _above(path) if p in flags]
        if layer.trainable != (parents[0] if parents else model.trainable):
            states[path] = layer.trainable
        flags[path] = layer.trainable
    return states


def _above(path: str) -> Iterable[str]:
    """The paths that a path lies in, the nearest first."""
    while "." in path:
        path = path.rpartition(".")[0]
        yield path
