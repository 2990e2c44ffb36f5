"""Auto classes: from a checkpoint to the right class, by the `model_type` in its config.json."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfzoo.core.config import CONFIG_NAME, ConfigError, PretrainedConfig
from tfzoo.core.files import is_keras_file, read_json
from tfzoo.core.untrusted import escaped
from tfzoo.hub import DEFAULTS, HubError, HubFileNotFoundError, HubOptions, resolve
from tfzoo.modeling.keras_archive import class_in, config_in, load_model
from tfzoo.preprocessing.processor import (
    COMBINED_FILE,
    PROCESSOR_FILE,
    find_settings,
    plain_type,
    type_names,
)
from tfzoo.registry import families, family_of, import_name, public_names

if TYPE_CHECKING:
    from tfzoo.modeling.base import TFPreTrainedModel

__all__ = [
    "AutoConfig",
    "AutoImageProcessor",
    "AutoProcessor",
    "AutoTokenizer",
    "TFAutoModel",
    "TFAutoModelForImageClassification",
    "TFAutoModelForMaskedLM",
    "TFAutoModelForPreTraining",
    "TFAutoModelForQuestionAnswering",
    "TFAutoModelForSequenceClassification",
    "TFAutoModelForVideoClassification",
    "TFAutoModelForVideoGrounding",
    "TFAutoModelForZeroShotObjectDetection",
    "class_in",
    "load_checkpoint",
    "load_model",
    "model_class_for",
]

_TOKENIZER_FILE = "tokenizer_config.json"


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
        """Read a config.json, or the configuration in a `.keras` file.

        Args:
            pretrained_model_name_or_path: Folder, file in it, short name, repository name or
                `.keras` file.
            **kwargs: `revision`, `cache_dir`, `local_files_only`, `token`, `subfolder`; others are
                fields that win over the file's.

        Raises:
            HubError: config.json is missing.
            ConfigError: No or an unknown `model_type`, or invalid values.

        Example:
            >>> import tfzoo
            >>> tfzoo.AutoConfig.from_pretrained(tfzoo.default_checkpoint()).model_type
            'timesformer'
        """
        options, fields = HubOptions.split(kwargs)
        if is_keras_file(pretrained_model_name_or_path):
            return config_in(pretrained_model_name_or_path, **fields)
        model_type, path = _read_model_type(pretrained_model_name_or_path, options)
        return _config_class(model_type, path).from_pretrained(
            pretrained_model_name_or_path, **kwargs
        )

    @staticmethod
    def for_model(model_type: str, **fields: Any) -> PretrainedConfig:
        """A configuration of the family `model_type` with its defaults.

        Raises:
            ConfigError: An unknown `model_type`.
        """
        return _config_class(model_type, "the argument")(**fields)


def _read_model_type(name: str | Path, options: HubOptions) -> tuple[str, Path]:
    """The `model_type` in a checkpoint's config.json, and that file."""
    path = resolve(name, CONFIG_NAME, options) / CONFIG_NAME
    model_type = _text_at("model_type", read_json(path, ConfigError), path)
    if model_type is None:
        raise ConfigError(f"{path} names no model_type, so its family is unknown.")
    return model_type, path


def _text_at(key: str, values: dict[str, Any], source: Any) -> str | None:
    """A name in a JSON file; None where there is none."""
    value = values.get(key) or None
    if not isinstance(value, str | None):
        raise ConfigError(f"{source}: {key} must be a name, got {value!r:.100}.")
    return value


def _config_class(model_type: str, source: Any) -> type[PretrainedConfig]:
    try:
        family = family_of(model_type)
    except ValueError as error:
        raise ConfigError(f"{source}: {error}") from None
    return family.load(family.configs[model_type])


def model_class_for(config: PretrainedConfig) -> type[TFPreTrainedModel]:
    """The model class that a config's `architectures` name, or else the family's bare model.

    Raises:
        ConfigError: The architecture is not in tfzoo.
    """
    if not config.architectures:
        return TFAutoModel.class_for(config)
    name = "TF" + config.architectures[0]
    if name not in public_names():
        torch_name = escaped(name[2:100])
        raise ConfigError(
            f"The checkpoint is for {torch_name}, and tfzoo has no TF{torch_name}. "
            f"This family has: {', '.join(family_of(config.model_type).classes)}."
        )
    return import_name(name)


def load_checkpoint(
    name: str | Path, options: HubOptions = DEFAULTS, dtype: str | None = None
) -> TFPreTrainedModel:
    """Load a checkpoint into the class that it was made for.

    Args:
        name: Folder, file in it, short name, repository name or `.keras` file.
        options: Where to look.
        dtype: Dtype policy of the model; that of a `.keras` file is its own.

    Raises:
        HubError: Files are missing.
        ConfigError: The architecture is not in tfzoo.
    """
    where = options.keywords()
    wanted = model_class_for(AutoConfig.from_pretrained(name, **where))
    return wanted.from_pretrained(name, dtype=dtype, **where)


class _AutoModel(_Auto):
    @classmethod
    def class_for(cls, config: PretrainedConfig) -> type[TFPreTrainedModel]:
        """The class that this auto class stands for in the config's family.

        Raises:
            ConfigError: The family has no such model.
        """
        family = family_of(config.model_type)
        names = family.auto.get(cls.__name__, {}).get(config.model_type)
        if names is None:
            able = sorted({t for f in families() for t in f.auto.get(cls.__name__, {})})
            raise ConfigError(
                f"{cls.__name__} has no class for model_type {config.model_type!r}; "
                f"it has {', '.join(able)}."
            )
        names = (names,) if isinstance(names, str) else names
        made_for = {f"TF{name}" for name in config.architectures or ()}
        return family.load(next((name for name in names if name in made_for), names[0]))

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
            pretrained_model_name_or_path: Folder, file in it, short name, repository name or
                `.keras` file.
            **kwargs: As in `TFPreTrainedModel.from_pretrained`.

        Raises:
            ConfigError: The family is unknown, or has no such model.
        """
        config = kwargs.get("config")
        if config is None:
            where = HubOptions.split(kwargs)[0].keywords()
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


class TFAutoModelForVideoGrounding(_AutoModel):
    """The video-grounding model of whichever family a checkpoint belongs to."""


class TFAutoModelForMaskedLM(_AutoModel):
    """The masked language model of whichever family a checkpoint belongs to."""


class TFAutoModelForSequenceClassification(_AutoModel):
    """The text classifier of whichever family a checkpoint belongs to."""


class TFAutoModelForImageClassification(_AutoModel):
    """The image classifier that a checkpoint was made for."""


class TFAutoModelForQuestionAnswering(_AutoModel):
    """The question-answering model of whichever family a checkpoint belongs to."""


class TFAutoModelForPreTraining(_AutoModel):
    """The model with all pretraining heads of whichever family a checkpoint belongs to."""


class TFAutoModelForZeroShotObjectDetection(_AutoModel):
    """The zero-shot object detector of whichever family a checkpoint belongs to."""


class _AutoPreprocessing(_Auto):
    """Auto classes of what comes before the model: the files beside the weights decide."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> Any:
        """Load the class that the checkpoint's files name, else that of config.json's family.

        Args:
            pretrained_model_name_or_path: Folder, file in it, or repository name.
            **kwargs: `revision`, `cache_dir`, `local_files_only`, `token`, `subfolder`; others are
                settings that win over the files'.

        Raises:
            HubError: Files are missing.
            ConfigError: They are for a class that tfzoo does not have.

        Example:
            >>> import tfzoo
            >>> type(tfzoo.AutoProcessor.from_pretrained("checkpoint/")).__name__
            'VideoMAEImageProcessor'
        """
        options, _ = HubOptions.split(kwargs)
        path = Path(pretrained_model_name_or_path)
        folder = path.parent if path.is_file() else pretrained_model_name_or_path
        return cls._choose(folder, options).from_pretrained(folder, **kwargs)

    @classmethod
    def _declared(cls, folder: str | Path, options: HubOptions) -> str | None:
        """What a family declares for the `model_type`; the models may belong to another one."""
        values = _read_optional(folder, CONFIG_NAME, options)
        model_type = _text_at("model_type", values, f"{folder}, {CONFIG_NAME}")
        names = [family.auto.get(cls.__name__, {}).get(model_type) for family in families()]
        return next((name for name in names if name is not None), None)

    @classmethod
    def _kind(cls) -> type:
        """The base of the classes that may be returned."""
        raise TypeError(f"{cls.__name__} is a base class; use AutoProcessor, for example.")

    @classmethod
    def _known(cls, names: list[str]) -> str | None:
        """The first that tfzoo has; some endings only say how the reference computes."""
        for form in (form for n in names for form in (f"{n}Fast", n, plain_type(n))):
            found = import_name(form) if form in public_names() else None
            if isinstance(found, type) and issubclass(found, cls._kind()):
                return form
        return None

    @classmethod
    def _import(
        cls, chosen: str | None, named: list[str], folder: str | Path, options: HubOptions
    ) -> Any:
        """The chosen class; without one, the error says why."""
        if chosen is not None:
            return import_name(chosen)
        if named:
            is_other = named[0] in public_names()
            which = f"is not what {cls.__name__} loads" if is_other else "tfzoo lacks"
            raise ConfigError(f"{folder} is for {escaped(named[0][:100])}, which {which}.")
        model_type, _ = _read_model_type(folder, options)
        raise ConfigError(f"{cls.__name__} has no class for model_type {model_type!r}.")


def _read_optional(folder: str | Path, file: str, options: HubOptions) -> dict[str, Any]:
    """The content of a JSON file; empty if the checkpoint lacks it or the hub is out of reach.

    In the latter case the cache may have what is needed; if not, a file that every checkpoint has
    raises the error.
    """
    try:
        return read_json(resolve(folder, file, options) / file, ConfigError)
    except HubError:
        return {}


class AutoTokenizer(_AutoPreprocessing):
    """The tokenizer that a checkpoint was made with, as its tokenizer_config.json says."""

    @classmethod
    def _kind(cls) -> type:
        from tfzoo.text.tokenizer import BaseTokenizer

        return BaseTokenizer

    @classmethod
    def _choose(cls, folder: str | Path, options: HubOptions) -> Any:
        values = _read_optional(folder, _TOKENIZER_FILE, options)
        name = _text_at("tokenizer_class", values, f"{folder}, {_TOKENIZER_FILE}")
        named = [name] if name else []  # maybe the reference's class for any tokenizer.json
        chosen = cls._known(named) or cls._declared(folder, options)
        return cls._import(chosen, named, folder, options)


class AutoImageProcessor(_AutoPreprocessing):
    """The image processor that a checkpoint was made with, as its preprocessor_config.json says.

    A video_preprocessor_config.json, and a section `image_processor` or `video_processor` of
    processor_config.json, stand for that file.
    """

    @classmethod
    def _kind(cls) -> type:
        from tfzoo.preprocessing.processor import BaseImageProcessor

        return BaseImageProcessor

    @classmethod
    def _choose(cls, folder: str | Path, options: HubOptions) -> Any:
        path, values = find_settings(folder, options)
        named = type_names(values, path)
        newer = [name.replace("FeatureExtractor", "ImageProcessor") for name in named]
        chosen = cls._known([*newer, *named]) if named else cls._declared(folder, options)
        return cls._import(chosen, named, folder, options)


class AutoProcessor(_AutoPreprocessing):
    """The whole processor of a checkpoint: of texts and images where its family has both.

    Where there is no `processor_class`, it is the tokenizer or the image processor, whichever the
    checkpoint has files of.
    """

    @classmethod
    def _kind(cls) -> type:
        from tfzoo.preprocessing.multimodal import BaseProcessor

        return BaseProcessor

    @classmethod
    def _choose(cls, folder: str | Path, options: HubOptions) -> Any:
        files = (COMBINED_FILE, PROCESSOR_FILE, _TOKENIZER_FILE)
        named = [
            _text_at("processor_class", _read_optional(folder, file, options), f"{folder}, {file}")
            for file in files
        ]
        chosen = cls._known([name for name in named if name]) or cls._declared(folder, options)
        if chosen is not None:
            return import_name(chosen)
        if _read_optional(folder, _TOKENIZER_FILE, options):
            return AutoTokenizer
        try:
            find_settings(folder, options)
        except HubFileNotFoundError:
            if AutoTokenizer._declared(folder, options) is None:
                raise
            return AutoTokenizer  # a bare vocabulary
        return AutoImageProcessor
