"""Models in `.keras` files: their class, their configuration, and the whole."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfzoo.core.config import CONFIG_NAME, ConfigError, PretrainedConfig
from tfzoo.core.files import TEXT_BYTES, parse_json
from tfzoo.core.untrusted import escaped, refuse_lfs_pointer
from tfzoo.registry import import_name, public_names
from weights_convert.errors import CheckpointError

if TYPE_CHECKING:
    import keras

__all__ = ["class_in", "config_in", "load_model"]


def load_model(path: str | Path, **kwargs: Any) -> keras.Model:
    """Load a `.keras` file of a tfzoo model, whatever its class.

    `keras.models.load_model` does the same once the class has been imported.

    Args:
        path: The `.keras` file.
        **kwargs: As in `keras.models.load_model`.

    Raises:
        FileNotFoundError: No such file.
        ConfigError: Not a `.keras` file of a tfzoo model.
        CheckpointError: The weights are damaged, or not those of the model that it describes.
    """
    path = os.path.expanduser(path)
    name = class_in(path).__name__
    import keras

    try:
        return keras.models.load_model(path, **kwargs)
    except (ConfigError, CheckpointError):
        raise
    except Exception as error:  # whatever Keras meets in a file that is not as it wrote it
        words = escaped(f"{error!s:.1000}")
        raise CheckpointError(f"{path} cannot be loaded as a {name}: {words}") from error


def class_in(path: str | Path) -> type[Any]:
    """The class of the model in a `.keras` file, which is not loaded.

    Raises:
        FileNotFoundError: No such file.
        ConfigError: Not a `.keras` file of a tfzoo model.
    """
    return _class_of(path, _description(path))


def config_in(path: str | Path, **overrides: Any) -> PretrainedConfig:
    """The configuration of the model in a `.keras` file; its `architectures` name the class.

    Args:
        path: The file.
        **overrides: Fields that win over the file's.

    Raises:
        FileNotFoundError: No such file.
        ConfigError: Not a `.keras` file of a tfzoo model, or invalid values.
    """
    found = _description(path)
    owner, values = _class_of(path, found), found.get("config")
    values = values.get("config") if isinstance(values, Mapping) else None
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path} is not a .keras file of tfzoo: it holds no configuration.")
    config = owner.config_class.from_dict(values, **overrides)
    config.architectures = [owner.__name__.removeprefix("TF")]
    return config


def _class_of(path: str | Path, found: Mapping[str, Any]) -> type[Any]:
    name = found.get("class_name")
    if not isinstance(name, str):
        raise ConfigError(f"{path} is not a .keras file: its class_name is {name!r:.100}.")
    if name not in public_names():
        strange = escaped(name[:100])
        raise ConfigError(f"{path} holds a {strange}, which is not a class of tfzoo.")
    return import_name(name)


def _description(path: str | Path) -> dict[str, Any]:
    """What a `.keras` file says of its model."""
    refuse_lfs_pointer(path := os.path.expanduser(path), ConfigError)
    try:
        with zipfile.ZipFile(path) as archive, archive.open(CONFIG_NAME) as file:
            text = file.read(TEXT_BYTES).decode("utf-8-sig")
        return dict(parse_json(text, f"{path}, {CONFIG_NAME}"))
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except Exception as error:  # of a damaged archive, zipfile raises errors of many kinds
        raise ConfigError(f"{path} is not a .keras file: {escaped(str(error)[:300])}.") from error
