"""Models in Keras's own files: `.keras`, `.weights.h5`, and the config that Keras keeps of them."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import keras

from tfzoo.core.config import ConfigError, PretrainedConfig
from tfzoo.core.file_system import check_space, writing
from tfzoo.core.keras_compat import may_write, whole_file
from tfzoo.core.replacing import recover, replacing, updating
from tfzoo.core.types import ModelMixin
from tfzoo.core.untrusted import escaped
from tfzoo.modeling.checkpoint import check_open_file, check_weights_file
from tfzoo.modeling.keras_archive import load_model
from weights_convert.errors import CheckpointError

__all__ = ["KerasFilesMixin"]

_KERAS_FILES = (".keras", ".h5", ".hdf5")
_Model = TypeVar("_Model", bound="KerasFilesMixin")


class KerasFilesMixin(ModelMixin):
    """Saving and loading by Keras, of files that are replaced as a whole."""

    config_class: ClassVar[type[PretrainedConfig]]
    config: Any

    def save(
        self,
        filepath: Any,
        overwrite: bool = True,
        zipped: bool | None = None,
        **kwargs: Any,
    ) -> None:
        """Write a `.keras` file, see `keras.Model.save`; it replaces an older one as a whole.

        Args:
            filepath: The file; with `zipped=False` a folder.
            overwrite: Whether it may exist, and then be replaced; else Keras asks.
            zipped: Whether to write one file; None means yes, but for the model hub.
            **kwargs: Further arguments of `keras.Model.save`.

        Raises:
            ValueError: Another ending than `.keras`.
            OSError: It cannot be written. An older one stays as it was.
        """
        save = partial(super().save, zipped=zipped, **kwargs)
        is_folder = zipped is False
        if not _is_local(filepath) or str(filepath).endswith(_KERAS_FILES) == is_folder:
            save(filepath, overwrite=overwrite)
        elif may_write(filepath, overwrite):
            path = Path(filepath)
            block = updating(path) if is_folder else replacing(path, force=True)
            kept = [*self.variables, *getattr(getattr(self, "optimizer", None), "variables", ())]
            if is_folder:  # HDF5 crashes when a disk is full
                check_space(path, sum(4 * math.prod(variable.shape) for variable in kept))
            with writing(path), block as new:
                save(str(new))

    def save_weights(
        self, filepath: Any, overwrite: bool = True, max_shard_size: float | None = None
    ) -> None:
        """Write the weights alone, see `keras.Model.save_weights`; they replace older ones whole.

        Args:
            filepath: A file that ends in `.weights.h5`, or in `.weights.json` for shards.
            overwrite: Whether it may exist, and then be replaced; else Keras asks.
            max_shard_size: Largest size of a shard, in GB; None writes one file.

        Raises:
            ValueError: Another ending.
            OSError: It cannot be written. Older ones stay as they were.
        """
        ending = (".weights.h5",) if max_shard_size is None else ("weights.h5", "weights.json")
        if not _is_local(filepath) or not str(filepath).endswith(ending):
            super().save_weights(filepath, overwrite, max_shard_size)
            return
        if not may_write(filepath, overwrite):
            return
        path = Path(filepath)
        check_space(path, 4 * self.count_params())  # HDF5 crashes when a disk is full
        with writing(path):
            if max_shard_size is None:
                with replacing(path, force=True) as new:
                    super().save_weights(str(new))
                return
            base = re.escape(path.stem.replace(".weights", ""))
            shard = re.compile(rf"{base}_\d{{5}}\.weights\.h5")
            index = path.with_suffix(".json").name
            with updating(path.parent, lambda n: bool(shard.fullmatch(n)), (index,)) as folder:
                super().save_weights(str(folder / path.name), max_shard_size=max_shard_size)

    def load_weights(
        self, filepath: str | Path, skip_mismatch: bool = False, **kwargs: Any
    ) -> None:
        """Load weights from Keras's files, see `keras.Model.load_weights`, if they fit the model.

        Args:
            filepath: A `.weights.h5` file, or the `.weights.json` of several.
            skip_mismatch: Leave weights of another shape as they are, with a warning.
            **kwargs: Further arguments of `keras.Model.load_weights`.

        Raises:
            WeightMismatchError: The arrays are not those of this model.
            CheckpointError: A file is damaged, or of another kind.
            FileNotFoundError: A file is missing.
        """
        if _is_local(filepath):
            recover(Path(filepath))
        if str(filepath).endswith((".weights.h5", ".weights.json")) and not skip_mismatch:
            check_weights_file(self, filepath)
        try:
            super().load_weights(filepath, skip_mismatch=skip_mismatch, **kwargs)
        except Exception as error:  # whatever Keras meets in a file that is not as it wrote it
            if isinstance(error, CheckpointError) or getattr(error, "errno", None):
                raise
            owner, words = type(self).__name__, escaped(f"{error!s:.1000}")
            raise CheckpointError(f"{filepath} does not fit a {owner}: {words}") from error

    @classmethod
    def from_keras_file(cls: type[_Model], path: str | Path, given: Iterable[str]) -> _Model:
        """Load a `.keras` file, which has its own configuration and dtype.

        Args:
            path: The file.
            given: Names of what was given beside it.

        Raises:
            TypeError: Something was given.
            ConfigError: It is not a `.keras` file of tfzoo, or holds another class.
        """
        if names := ", ".join(given):
            raise TypeError(f"{path} holds a whole model, for which {names} cannot be chosen.")
        model = load_model(path)
        if not isinstance(model, cls):
            raise ConfigError(f"{path} holds a {type(model).__name__}, not a {cls.__name__}.")
        return model

    def load_own_variables(self, store: Any) -> None:
        """Load what the model itself holds, before Keras loads what its layers hold.

        Raises:
            WeightMismatchError: The model is what the file holds, and the arrays are not its own.
        """
        super().load_own_variables(store)
        if (file := whole_file(store)) is not None:
            check_open_file(self, file)

    def get_config(self) -> dict[str, Any]:
        changes = self.changes()
        return {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "config": self.config.to_json_dict(),
            **({"changes": changes} if changes else {}),
        }

    @classmethod
    def from_config(
        cls: type[_Model], config: PretrainedConfig | Mapping[str, Any], **kwargs: Any
    ) -> _Model:
        """A model with fresh weights.

        Args:
            config: The configuration, its dict, or what `get_config` gave.
            **kwargs: `name`, `dtype`, `trainable` as in `keras.Model`.
        """
        if not isinstance(config, PretrainedConfig) and "config" not in config:
            config = cls.config_class.from_dict(config)
        if isinstance(config, PretrainedConfig):
            return cls(config, **kwargs)
        values = {**config, **kwargs}
        changes = values.pop("changes", {})
        model = cls(cls.config_class.from_dict(values.pop("config")), **values)
        model.repeat_changes(changes)
        return model

    def compile_from_config(self, config: Mapping[str, Any]) -> None:
        """Compile as the model in a `.keras` file was; Keras leaves that to classes like this."""
        self.compile(**keras.saving.deserialize_keras_object(dict(config)))
        if self.optimizer is not None:
            self.optimizer.build(self.trainable_variables)


def _is_local(filepath: Any) -> bool:
    """Whether Keras would write to this place by itself: neither a URL nor an open file."""
    return isinstance(filepath, (str, os.PathLike)) and "://" not in str(filepath)
