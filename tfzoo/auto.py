"""Auto classes: from a checkpoint to the right class, by the `model_type` in its config.json."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfzoo.config import CONFIG_NAME, ConfigError, PretrainedConfig
from tfzoo.files import read_json
from tfzoo.hub import resolve
from tfzoo.registry import families, family_of, import_name, public_names

if TYPE_CHECKING:
    import keras

    from tfzoo.modeling import TFPreTrainedModel
    from tfzoo.preprocessing.processor import BaseImageProcessor

__all__ = [
    "AutoConfig",
    "AutoImageProcessor",
    "AutoProcessor",
    "TFAutoModel",
    "TFAutoModelForVideoClassification",
    "load_model",
    "model_class_for",
]

PREPROCESSOR_NAME = "preprocessor_config.json"
_WHERE = ("revision", "cache_dir", "local_files_only", "token")


def _split(kwargs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Keywords that say where to look, and all others."""
    where = {name: kwargs[name] for name in _WHERE if name in kwargs}
    return where, {name: value for name, value in kwargs.items() if name not in where}


class _Auto:
    """Auto classes are never instantiated."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        name = type(self).__name__
        raise TypeError(f"{name} is not instantiated: use {name}.from_pretrained(...).")


class AutoConfig(_Auto):
    """The configuration class of whichever family a checkpoint belongs to."""

    @staticmethod
    def from_pretrained(
        pretrained_model_name_or_path: str | Path, **kwargs: Any
    ) -> PretrainedConfig:
        """Read a config.json.

        Args:
            pretrained_model_name_or_path: Folder, file in it, or repository name.
            **kwargs: `revision`, `cache_dir`, `local_files_only`, `token`; others are fields
                that win over the file's.

        Raises:
            HubError: There is no config.json.
            ConfigError: No or an unknown `model_type`, or invalid values.

        Example:
            >>> import tfzoo
            >>> tfzoo.AutoConfig.from_pretrained(tfzoo.default_checkpoint()).model_type
            'timesformer'
        """
        where, overrides = _split(kwargs)
        model_type, path = _read_model_type(pretrained_model_name_or_path, where)
        return _config_class(model_type, path).from_pretrained(
            pretrained_model_name_or_path, **where, **overrides
        )

    @staticmethod
    def for_model(model_type: str, **fields: Any) -> PretrainedConfig:
        """A configuration of the family `model_type` with its defaults.

        Raises:
            ConfigError: An unknown `model_type`.
        """
        return _config_class(model_type, "the argument")(**fields)


def _read_model_type(name: str | Path, where: dict[str, Any]) -> tuple[str, Path]:
    """The `model_type` in a checkpoint's config.json, and that file."""
    path = resolve(name, CONFIG_NAME, **where) / CONFIG_NAME
    model_type = read_json(path, ConfigError).get("model_type")
    if model_type is None:
        raise ConfigError(f"{path} names no model_type, so its family is unknown.")
    return model_type, path


def _config_class(model_type: str, source: Any) -> type[PretrainedConfig]:
    try:
        family = family_of(model_type)
    except ValueError as error:
        raise ConfigError(f"{source}: {error}") from None
    return family.load(family.configs[model_type])


def model_class_for(config: PretrainedConfig) -> type[TFPreTrainedModel]:
    """The model class that a config's `architectures` name, else the family's bare model.

    Raises:
        ConfigError: The architecture is not in tfzoo.
    """
    if not config.architectures:
        return TFAutoModel.class_for(config)
    name = "TF" + config.architectures[0]
    if name not in public_names():
        raise ConfigError(
            f"The checkpoint is for {config.architectures[0]}, and tfzoo has no {name}. "
            f"This family has: {', '.join(family_of(config.model_type).classes)}."
        )
    return import_name(name)


class _AutoModel(_Auto):
    @classmethod
    def class_for(cls, config: PretrainedConfig) -> type[TFPreTrainedModel]:
        """The class that this auto class stands for in the config's family.

        Raises:
            ConfigError: The family has no such model.
        """
        family = family_of(config.model_type)
        name = family.auto.get(cls.__name__, {}).get(config.model_type)
        if name is None:
            able = sorted({t for f in families() for t in f.auto.get(cls.__name__, {})})
            raise ConfigError(
                f"{cls.__name__} has no class for model_type {config.model_type!r}; "
                f"it has {', '.join(able)}."
            )
        return family.load(name)

    @classmethod
    def from_config(cls, config: PretrainedConfig, **kwargs: Any) -> TFPreTrainedModel:
        """A model with fresh weights.

        Args:
            config: The configuration; its class decides the family.
            **kwargs: `name`, `dtype`, `trainable` as in `keras.Model`.
        """
        return cls.class_for(config)(config, **kwargs)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path, **kwargs: Any
    ) -> TFPreTrainedModel:
        """Load a checkpoint into the right class.

        Args:
            pretrained_model_name_or_path: Folder, file in it, or repository name.
            **kwargs: As in `TFPreTrainedModel.from_pretrained`.

        Raises:
            ConfigError: The family is unknown, or has no such model.
        """
        where, _ = _split(kwargs)
        config = kwargs.get("config")
        if config is None:
            config = AutoConfig.from_pretrained(pretrained_model_name_or_path, **where)
        return cls.class_for(config).from_pretrained(pretrained_model_name_or_path, **kwargs)


class TFAutoModel(_AutoModel):
    """The bare model of whichever family a checkpoint belongs to."""


class TFAutoModelForVideoClassification(_AutoModel):
    """The video classifier of whichever family a checkpoint belongs to.

    Example:
        >>> import tfzoo
        >>> model = tfzoo.TFAutoModelForVideoClassification.from_pretrained(
        ...     tfzoo.default_checkpoint())
        >>> type(model).__name__
        'TFTimesformerForVideoClassification'
    """


class AutoImageProcessor(_Auto):
    """The image processor that a checkpoint was made with."""

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path, **kwargs: Any
    ) -> BaseImageProcessor:
        """Read a preprocessor_config.json; where it names no class, config.json decides.

        Args:
            pretrained_model_name_or_path: Folder, file in it, or repository name.
            **kwargs: `revision`, `cache_dir`, `local_files_only`, `token`; others are settings
                that win over the file's.

        Raises:
            HubError: There is no preprocessor_config.json.
            ConfigError: It is for a processor that tfzoo does not have.
        """
        where, _ = _split(kwargs)
        folder = resolve(pretrained_model_name_or_path, PREPROCESSOR_NAME, **where)
        values = read_json(folder / PREPROCESSOR_NAME, ConfigError)
        name = values.get("image_processor_type") or values.get("feature_extractor_type")
        if name is None:  # a model_type may have its processor here and its models elsewhere
            model_type, _ = _read_model_type(pretrained_model_name_or_path, where)
            name = _processor_of(cls.__name__, model_type)
        if name not in public_names():
            raise ConfigError(f"{folder / PREPROCESSOR_NAME} is for {name}, which tfzoo lacks.")
        return import_name(name).from_pretrained(pretrained_model_name_or_path, **kwargs)


def _processor_of(auto_class: str, model_type: str) -> str:
    for family in families():
        if model_type in family.auto.get(auto_class, {}):
            return family.auto[auto_class][model_type]
    raise ConfigError(f"{auto_class} has no class for model_type {model_type!r}.")


class AutoProcessor(_Auto):
    """The whole processor of a checkpoint: of texts and images where its family has both."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> Any:
        """Load the family's processor, or its image processor where that is all there is.

        Args:
            pretrained_model_name_or_path: Folder, file in it, or repository name.
            **kwargs: As in `AutoImageProcessor.from_pretrained`.

        Raises:
            HubError: Files are missing.
            ConfigError: It is for a processor that tfzoo does not have.
        """
        where, _ = _split(kwargs)
        model_type, _ = _read_model_type(pretrained_model_name_or_path, where)
        for family in families():
            if model_type in family.auto.get(cls.__name__, {}):
                loader = family.load(family.auto[cls.__name__][model_type])
                return loader.from_pretrained(pretrained_model_name_or_path, **kwargs)
        return AutoImageProcessor.from_pretrained(pretrained_model_name_or_path, **kwargs)


def load_model(path: str | Path, **kwargs: Any) -> keras.Model:
    """Load a `.keras` file of a tfzoo model, whatever its class.

    `keras.models.load_model` does the same once the class has been imported.

    Args:
        path: The `.keras` file.
        **kwargs: As in `keras.models.load_model`.

    Raises:
        FileNotFoundError: There is no such file.
        ConfigError: Not a `.keras` file of a tfzoo model.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            name = json.loads(archive.read("config.json"))["class_name"]
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ConfigError(f"{path} is not a .keras file: {error}.") from error
    if name not in public_names():
        raise ConfigError(f"{path} holds a {name}, which is no class of tfzoo.")
    import_name(name)
    import keras

    return keras.models.load_model(path, **kwargs)
