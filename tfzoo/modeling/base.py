"""TFPreTrainedModel: the base class of all models.

A family's model class declares its `config_class` and its `inputs_table`, and defines two methods:
`setup(config)` makes the sublayers, `build_layers()` builds them with real shapes. It can then be
constructed, loaded, called, trained, saved, saved back and exported. What else a family may say:
`base_model_prefix`, `input_aliases`, `check_inputs`, `prepare_inputs`, `unused_weights`, `parts`,
`warn_about`, and how Keras divides its inputs, see `BatchingMixin`.
"""

from __future__ import annotations

import difflib
import inspect
import math
import os
from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import keras

from tfzoo.core.brief import brief
from tfzoo.core.config import CONFIG_NAME, PretrainedConfig
from tfzoo.core.file_system import writing
from tfzoo.core.files import is_keras_file
from tfzoo.core.inputs import Input, InputTable
from tfzoo.core.keras_compat import (
    as_written,
    default_policy,
    known_shapes,
    say,
)
from tfzoo.core.outputs import ModelOutput, flattened
from tfzoo.core.quiet import start_keras
from tfzoo.core.replacing import recover, replacing, updating
from tfzoo.core.types import Tensor
from tfzoo.core.unmixed import Watch, read_unmixed
from tfzoo.core.variables import slots
from tfzoo.hub import HubOptions
from tfzoo.hub.upload import PushMixin
from tfzoo.modeling.adapters import AdapterMixin
from tfzoo.modeling.checkpoint import (
    dtype_policy,
    load_model_from,
    parse_size,
    watched_config,
    watched_weights,
    write_weights,
)
from tfzoo.modeling.keras_files import KerasFilesMixin
from tfzoo.modeling.processor_files import Source
from tfzoo.modeling.pruning import PruningMixin
from tfzoo.modeling.training import TrainingMixin
from tfzoo.modeling.vocabulary import VocabularyMixin
from weights_convert.errors import CheckpointError

__all__ = ["TFPreTrainedModel"]

_FLAGS = ("output_attentions", "output_hidden_states")
_STATISTICS = ("moving_mean", "moving_variance", "num_batches_tracked")  # PyTorch's buffers
_SAVED_MODEL = {
    "saved_model.pb",
    "fingerprint.pb",
    "variables",
    "assets",
    "assets.extra",
    "batching_params.pbtxt",
}


@as_written
class TFPreTrainedModel(
    PushMixin,
    KerasFilesMixin,
    VocabularyMixin,
    PruningMixin,
    AdapterMixin,
    TrainingMixin,
    keras.Model,
):
    """Base class of all models.

    All weights exist when the constructor returns.

    Args:
        config: The family's configuration.
        **kwargs: `name`, `dtype` (e.g. `"mixed_bfloat16"`), `trainable` as in `keras.Model`.

    Attributes:
        config_class: The configuration class that the constructor takes.
        inputs_table: Rows of the head's input table.
        input_aliases: Other names of inputs, each with the name that the table has.
        base_model_prefix: The attribute of a head that holds the model without the head.
        constructor_arguments: Names beside `config` that `from_pretrained` passes on.
        torch_class: Name of the PyTorch class whose checkpoints this class reads and writes.
        source: The checkpoint that the model was loaded from.

    Raises:
        TypeError: `config` is of another class.
        ConfigError: The configuration is invalid.
    """

    config_class: ClassVar[type[PretrainedConfig]] = PretrainedConfig
    inputs_table: ClassVar[tuple[Input, ...]] = ()
    input_aliases: ClassVar[Mapping[str, str]] = {}
    base_model_prefix: ClassVar[str] = ""
    constructor_arguments: ClassVar[tuple[str, ...]] = ()
    source: Source | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        keras.saving.register_keras_serializable(package="tfzoo")(cls)

    def __init__(self, config: PretrainedConfig, **kwargs: Any) -> None:
        if not isinstance(config, self.config_class):
            raise TypeError(
                f"{type(self).__name__} takes a {self.config_class.__name__}, "
                f"got {type(config).__name__}."
            )
        start_keras()
        super().__init__(**kwargs)
        config.validate()
        self.config = config
        order = [n for n in inspect.signature(self.call).parameters if n != "training"]
        owner = type(self).__name__
        self._table = InputTable(self.inputs_table, order, owner, self.input_aliases)
        with default_policy(self.dtype_policy):
            self.setup(config)
            self.prune_as_configured()
            self.build()

    def setup(self, config: Any) -> None:
        """Make the sublayers. Every model class defines it."""
        raise TypeError(f"{type(self).__name__} is abstract: use one of its subclasses.")

    def build_layers(self) -> None:
        """Build the sublayers with real shapes. Every model class defines it."""

    def build(self, input_shape: Any = None) -> None:
        """Create all weights; sizes come from the config, so no input shape is needed."""
        if not self.built:
            self.build_layers()

    @property
    def base_model(self) -> TFPreTrainedModel:
        """The model without its head; the model itself where it has none."""
        base: Any = getattr(self, self.base_model_prefix, self) if self.base_model_prefix else self
        return base

    def __dir__(self) -> list[str]:
        # Keras saves what `dir` lists, each layer under the first name that leads to it:
        # `base_model` would take the place of the attribute itself in `.keras` files.
        return [name for name in super().__dir__() if name != "base_model"]

    @property
    def torch_class(self) -> str:
        """Name of the PyTorch class with the same weights."""
        return self._family_class().__name__.removeprefix("TF")

    @property
    def base_model_type(self) -> str:
        """The folder of the family, which also names its map of weights."""
        return self._family_class().__module__.split(".")[2]

    @classmethod
    def _family_class(cls) -> type[TFPreTrainedModel]:
        """The class of tfzoo that this is, or that a user's class extends."""
        return next(c for c in cls.__mro__ if c.__module__.startswith("tfzoo.models."))

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """How many numbers the parameters hold, as PyTorch counts: without batch norms' statistics.

        Args:
            only_trainable: Count what trains alone; frozen layers do not.
            exclude_embeddings: Leave embedding tables out, those of positions included.
        """
        return sum(
            math.prod(slot.shape)
            for path, slot in slots(self).items()
            if path.rpartition(".")[2] not in _STATISTICS
            and (slot.variable.trainable or not only_trainable)
            and not (exclude_embeddings and slot.kind == "embedding")
        )

    # ---- calls
    def __call__(self, *args: Any, **kwargs: Any) -> ModelOutput | tuple[Any, ...]:
        """Run the model; inputs as keywords, or one tensor, list, tuple or dict.

        Raises:
            ValueError: Unknown, missing or repeated inputs, or a wrong dtype or shape.
        """
        return_dict, inputs = self._bind(args, kwargs)
        outputs = super().__call__(**inputs)
        return outputs if return_dict or self._in_step else outputs.plain_tuple()

    def stateless_call(self, trainable: Any, state: Any, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.stateless_call`; Keras's JAX trainer calls it instead of the model."""
        losses = kwargs.pop("return_losses", False)
        _, inputs = self._bind(args, kwargs)
        return super().stateless_call(trainable, state, return_losses=losses, **inputs)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> ModelOutput:
        """The shapes and dtypes of the outputs, without computing them.

        Args:
            *args: Inputs in every form that a call takes, as symbols or as arrays.
            **kwargs: The same by name, as symbols.

        Raises:
            ValueError: As a call.
        """
        if args:  # Keras itself passes keywords, which are bound already
            _, inputs = self._bind(args, kwargs)
            kwargs = keras.tree.map_structure(_symbol, inputs)
        return super().compute_output_spec(**kwargs)

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
        if args and isinstance(args[0], dict):
            args = (self.whole_inputs(args[0]), *args[1:])
        inputs = self._table.bind(args, kwargs)
        self.check_inputs(inputs)
        return_dict = inputs.pop("return_dict", None)
        for flag in _FLAGS:  # None means: as the config says
            if flag in self._table.order and inputs.get(flag) is None:
                inputs[flag] = getattr(self.config, flag)
        inputs = self.prepare_inputs(inputs)
        return self.config.return_dict if return_dict is None else return_dict, inputs

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
        """Refuse wrong inputs before anything is computed; families add their own checks.

        Here rather than in `call`, since Keras wraps errors from there in pages of its own.

        Raises:
            ValueError: Missing inputs, or a wrong dtype or shape.
        """
        self._table.check(inputs, self.config)

    def prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Bring inputs that `check_inputs` has let through into the form that `call` takes.

        Args:
            inputs: The inputs by name, without `return_dict`.

        Raises:
            ValueError: Inputs whose contents do not fit, e.g. labels.
        """
        return inputs

    def summary(self, *args: Any, **kwargs: Any) -> None:
        """Print the layers with the shapes of their outputs, see `keras.Model.summary`."""
        specs = self._table.specs(self.config).values()
        symbols = {s.name: keras.KerasTensor(s.shape, s.dtype) for s in specs}
        run = partial(self.compute_output_spec, symbols)
        with known_shapes(self, run) if symbols else nullcontext():  # of no fixed structure: none
            super().summary(*args, **kwargs)

    # ---- checkpoints
    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        config: PretrainedConfig | None = None,
        dtype: Any = None,
        torch_dtype: Any = None,
        ignore_mismatched_sizes: bool = False,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        token: str | bool | None = None,
        subfolder: str | None = "",
        **config_overrides: Any,
    ) -> TFPreTrainedModel:
        """Load a PyTorch checkpoint (Hugging Face layout), or a `.keras` file as it is.

        Weights come from `model.safetensors`, else from `pytorch_model.bin` (read without executing
        anything), else from LXMERT's `tf_model.h5`; the first two sharded or not.

        Args:
            pretrained_model_name_or_path: Folder, file in it, short name (`tfzoo list`), repository
                name or `.keras` file.
            config: Configuration to use instead of the checkpoint's.
            dtype: Dtype of any library or Keras dtype policy of the model, e.g.
                `"mixed_bfloat16"`; `"auto"` for the checkpoint's; the global policy (float32 by
                default) where None.
            torch_dtype: The same under its old name.
            ignore_mismatched_sizes: Leave tensors of another shape out, e.g. for a new head.
            revision: Branch, tag or commit of the repository.
            cache_dir: Folder of the download cache.
            local_files_only: Never use the network.
            token: Access token of the hub.
            subfolder: Folder of the checkpoint inside of the repository or folder.
            **config_overrides: Fields that win over the config's, e.g. `num_labels=10`.

        Raises:
            HubError: Files are missing, or the hub cannot be reached.
            ConfigError: The config is invalid or of another family.
            CheckpointError: The weights file is damaged, or replaced whenever it is read.
            WeightMismatchError: Weights and model do not match; lists both sides.

        Example:
            >>> import tfzoo
            >>> model = tfzoo.TFTimesformerForVideoClassification.from_pretrained(
            ...     tfzoo.default_checkpoint())
            >>> model.config.num_labels
            7
        """
        more = {name: config_overrides.pop(name, None) for name in cls.constructor_arguments}
        cls._refuse_unknown(config_overrides)
        options = HubOptions(revision, cache_dir, local_files_only, token, subfolder)
        name = pretrained_model_name_or_path
        if is_keras_file(name):
            given = {"config": config, "dtype": dtype, "torch_dtype": torch_dtype, **more}
            given |= {"ignore_mismatched_sizes": ignore_mismatched_sizes or None}
            given |= {"revision": revision, "subfolder": subfolder or None, **config_overrides}
            model = cls.from_keras_file(name, [k for k, v in given.items() if v is not None])
            model.source = Source.of(name, options)
            return model
        if config is not None and config_overrides:
            raise TypeError(
                f"Pass either config= or fields to override, not both: {sorted(config_overrides)}."
            )

        def read(watch: Watch) -> keras.Model:
            watched_config(name, options, watch)
            own = config
            if own is None:
                own = cls.config_class.from_pretrained(
                    name, **options.keywords(), **config_overrides
                )
                cls.warn_about(own, config_overrides)
            path = watched_weights(name, options, watch)
            policy = dtype_policy(torch_dtype if dtype is None else dtype, own)
            make = partial(cls, own, dtype=policy, **more)
            return load_model_from(path, make, ignore_mismatched_sizes=ignore_mismatched_sizes)

        model = read_unmixed(read, name, CheckpointError)
        model.source = Source.of(name, options)
        return model

    @classmethod
    def warn_about(cls, config: Any, overrides: Mapping[str, Any]) -> None:
        """Warn of a file's values that PyTorch's classes read otherwise; families override it.

        Args:
            config: The configuration as it was read.
            overrides: Its fields that the caller chose.
        """

    @classmethod
    def _refuse_unknown(cls, overrides: Mapping[str, Any]) -> None:
        known = cls.config_class.field_names()
        for name in overrides:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                raise TypeError(
                    f"{cls.__name__}.from_pretrained got an unknown keyword {name!r}; "
                    + (f"did you mean {near[0]!r}?" if near else "see its documentation.")
                )

    def save_pretrained(self, save_directory: str | Path, max_shard_size: str = "5GB") -> None:
        """Write a checkpoint that PyTorch's `from_pretrained` loads: config.json and safetensors.

        They replace an older checkpoint's all together; other files of the folder stay. The
        processor's and tokenizer's files that lie beside the checkpoint that the model was loaded
        from are written as well, unless the folder has some already. Those of a repository are
        known once its processor was loaded.

        Args:
            save_directory: Folder, made where needed.
            max_shard_size: Size past which the weights are split into files, e.g. `"500MB"`.

        Raises:
            ValueError: The model has adapters that are not merged, or int8 weights.
            OSError: The folder cannot be written. All files in it stay as they were.
        """
        self.refuse_changes()
        with updating(Path(save_directory), gates=(CONFIG_NAME,)) as folder:
            write_weights(self, folder, parse_size(max_shard_size))
            if self.source is not None:
                self.source.copy_processor(folder)
            self.saved_config().save_pretrained(folder)

    def saved_config(self) -> PretrainedConfig:
        """The configuration as `save_pretrained` writes it: with the class and the dtype."""
        config = type(self.config).from_dict(self.config.to_dict())
        config.architectures = [self.torch_class]
        config.describe_weights(self.dtype_policy.variable_dtype)
        return config

    # ---- export
    def serving_outputs(self, **inputs: Tensor) -> dict[str, Tensor]:
        """The outputs as a flat dict of tensors, the form that signatures need.

        Args:
            **inputs: The head's inputs by name.

        Returns:
            Field -> tensor; the items of a tuple become `field_0`, `field_1`, ..., the fields of
            an output inside become `field_inner`.
        """
        outputs: Any = self(**inputs, training=False, return_dict=True)
        return flattened(outputs)

    def export(
        self,
        filepath: str | Path,
        format: str = "tf_saved_model",
        verbose: bool = True,
        input_signature: Any = None,
        **kwargs: Any,
    ) -> None:
        """Export for inference; the signature's names and axes are those of the input table.

        Args:
            filepath: Folder (or file, for other formats) to write.
            format: `"tf_saved_model"`, or another of `keras.Model.export`.
            verbose: Print what was exported, in a line.
            input_signature: `[{name: spec}]` to use instead, e.g. with fixed axes.
            **kwargs: Further arguments of `keras.Model.export`, for other formats.

        Raises:
            TypeError: Arguments that do not apply to a SavedModel.
            FileExistsError: The folder holds something else than an earlier export.
            OSError: The target cannot be written; nothing half-written stays behind.

        Example:
            >>> import tempfile, tfzoo
            >>> model = tfzoo.TFAutoModelForVideoClassification.from_pretrained(
            ...     tfzoo.default_checkpoint())
            >>> model.export(tempfile.mkdtemp() + "/1", verbose=False)
        """
        signature = input_signature or [self._table.specs(self.config)]
        if format != "tf_saved_model":
            target = Path(filepath)
            with updating(target.parent, gates=(target.name,)) as folder:
                super().export(str(folder / target.name), format, False, signature, **kwargs)
            if verbose:
                say(f"Saved {filepath}.")
            return
        if kwargs:
            raise TypeError(f"export to a SavedModel takes no {', '.join(sorted(kwargs))}.")
        folder = Path(filepath)
        recover(folder)
        there = {*(os.listdir(folder) if folder.is_dir() else [folder.name] * folder.exists())}
        if there and ("saved_model.pb" not in there or not there <= _SAVED_MODEL):
            raise FileExistsError(
                f"{folder} exists and is not a SavedModel alone: choose another name."
            )
        archive, gives = keras.export.ExportArchive(), {}

        def serve(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
            gives.update(self.serving_outputs(**inputs))
            return gives

        archive.add_endpoint("serving_default", serve, input_signature=signature)
        with writing(folder), replacing(folder, force=True) as path:
            archive.write_out(str(path), verbose=False)  # it would list every weight
        if verbose:
            say(f"Saved {folder}: serving_default{brief(signature[0])} -> {brief(gives)}")


def _symbol(value: Any) -> Any:
    """An array's shape and dtype; anything else as it is."""
    if isinstance(value, keras.KerasTensor) or not hasattr(value, "dtype"):
        return value
    return keras.KerasTensor(tuple(value.shape), keras.backend.standardize_dtype(value.dtype))
