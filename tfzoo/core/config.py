"""Model configurations: one documented table of fields per family, JSON in and out.

A family's config class *is* its table, see `tfzoo.core.fields`.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tfzoo.core.fields import Constraint, Field, Fields, boolean, count, non_negative, one_of
from tfzoo.core.files import read_json, write_json
from tfzoo.core.warn import warn
from tfzoo.hub import HubOptions, resolve
from tfzoo.hub.upload import PushMixin

__all__ = ["ConfigError", "PretrainedConfig", "TextVisionConfig"]

CONFIG_NAME = "config.json"

# What a file may ask for at most: of each label two dictionaries have an entry, each layer takes
# milliseconds to make, and larger sizes fit into no array.
MAX_LABELS, MAX_LAYERS, MAX_SIZE = 1_000_000, 1_000, 2**31 - 1
_LAYERS = re.compile(r"layers$|depths$|blocks?$")

_LABELS = ("num_labels", "id2label", "label2id")

# What describes the weights beside a config, and not the model.
_OF_WEIGHTS = ("dtype", "torch_dtype", "quantization_config", "compression_config")


class ConfigError(ValueError):
    """A configuration holds an invalid value. The message names field, expectation and value."""


_COMMON: dict[str, Field] = {
    "output_hidden_states": Field(False, "Return the hidden states of all layers.", boolean),
    "output_attentions": Field(False, "Return the attention weights of all layers.", boolean),
    "return_dict": Field(True, "Return a ModelOutput rather than a plain tuple.", boolean),
    "problem_type": Field(
        None,
        "Loss of a classification head; None infers it from `num_labels` and the labels' dtype.",
        one_of(None, "regression", "single_label_classification", "multi_label_classification"),
    ),
    "architectures": Field(
        None,
        "Names of the PyTorch classes that the checkpoint is for.",
        Constraint(
            "a list of names, or None",
            lambda v: (
                v is None
                or (isinstance(v, (list, tuple)) and all(isinstance(name, str) for name in v))
            ),
        ),
    ),
}


class PretrainedConfig(PushMixin, Fields):
    """Base class of all configurations.

    Args:
        *args: The family's own fields, in their documented order.
        output_hidden_states: Return the hidden states of all layers. Default False.
        output_attentions: Return the attention weights of all layers. Default False.
        return_dict: Return a `ModelOutput` rather than a plain tuple. Default True.
        problem_type: `"regression"`, `"single_label_classification"`,
            `"multi_label_classification"` or None (inferred). Default None.
        num_labels: Number of labels of a classification head. Default 2.
        pruned_heads: Attention heads that are gone by layer, see the models' `prune_heads`.
            Default none.
        id2label: Label name for each index, e.g. `dict(enumerate(dataset.class_names))`; its length
            sets `num_labels`.
        label2id: Index for each label name. Where one of the two is absent, it follows from the
            other.
        **kwargs: The family's fields by name; anything else is kept as an attribute.

    Attributes:
        base_config_key: Where this config stands inside that of a whole model.
        sub_configs: For each field that holds a configuration, its class. The field takes a dict
            of its fields, an object, or None for the defaults.

    Raises:
        ConfigError: A field's value breaks its constraint, is larger than any model needs, or is
            not a dict, an object of its class or None where it is a sub-configuration; labels that
            are not numbered from 0; a keyword with the name of a method or property.

    Example:
        >>> from tfzoo import TimesformerConfig
        >>> config = TimesformerConfig(num_frames=16, num_labels=3)
        >>> config.num_frames, config.id2label[2]
        (16, 'LABEL_2')
    """

    model_type: ClassVar[str] = ""
    base_config_key: ClassVar[str] = ""
    sub_configs: ClassVar[dict[str, type[PretrainedConfig]]] = {}
    other_keywords = "Fields of `PretrainedConfig`; anything else is kept as an attribute."
    _error = ConfigError
    pruned_heads: dict[int, list[int]]
    if TYPE_CHECKING:  # what `_COMMON` and files set
        output_hidden_states: bool
        output_attentions: bool
        return_dict: bool
        problem_type: str | None
        architectures: list[str] | None
        dtype: str
        torch_dtype: str
        _name_or_path: str

    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        values = self._bind(args, kwargs)
        values.pop("model_type", None)
        labels = [values.pop(name, None) for name in _LABELS]
        pruned = values.pop("pruned_heads", None)
        self._set_fields({**_COMMON, **self.fields}, values)
        for name in self.sub_configs:
            setattr(self, name, self._sub_config(name, getattr(self, name)))
        self._set_labels(*labels)
        self.pruned_heads = self._heads_by_layer(pruned)
        self.validate()

    def _sub_config(self, name: str, value: Any) -> PretrainedConfig:
        cls = self.sub_configs[name]
        if value is None:
            return cls()
        if isinstance(value, Mapping):
            return cls.from_dict(value)
        if isinstance(value, cls):
            return value
        raise ConfigError(
            f"{type(self).__name__}.{name} must be a dict, a {cls.__name__} or None, "
            f"got {type(value).__name__}."
        )

    def _heads_by_layer(self, pruned: Any) -> dict[int, list[int]]:
        """Pruned heads by layer, whose numbers may be texts, as in JSON."""
        try:
            return {int(n): sorted(map(int, heads)) for n, heads in dict(pruned or {}).items()}
        except (TypeError, ValueError, OverflowError) as error:
            raise ConfigError(
                f"{type(self).__name__}.pruned_heads must map numbers of layers to lists of heads, "
                f"got {pruned!r:.200}."
            ) from error

    # ---- labels
    def _set_labels(
        self, num_labels: int | None, id2label: Mapping | None, label2id: Mapping | None
    ) -> None:
        if id2label is None and not label2id:
            self.num_labels = 2 if num_labels is None else num_labels
        else:
            self.id2label, self.label2id = self._label_names(id2label, label2id)
            if num_labels is not None and num_labels != len(self.id2label):
                warn(
                    f"num_labels={num_labels} disagrees with the {len(self.id2label)} entries of "
                    "id2label; id2label wins. Pass only one of them.",
                )

    def _label_names(self, id2label: Any, label2id: Any) -> tuple[dict[int, str], dict[str, int]]:
        """Both dictionaries of the labels, in which numbers may be texts, as in JSON."""
        try:
            if id2label is None:
                id2label = {index: name for name, index in label2id.items()}
            names = {int(index): str(name) for index, name in id2label.items()}
            numbers = {str(name): int(index) for name, index in (label2id or {}).items()}
        except (AttributeError, TypeError, ValueError, OverflowError) as error:
            raise ConfigError(
                f"{type(self).__name__}: id2label must map indices to names, and label2id names to "
                f"indices, got {id2label!r:.100} and {label2id!r:.100}."
            ) from error
        if sorted(names) != list(range(len(id2label))) or len(names) > MAX_LABELS:
            raise ConfigError(
                f"{type(self).__name__}.id2label must map 0, 1, 2 and so on to names, at most "
                f"{MAX_LABELS:,}, got {id2label!r:.100}."
            )
        return names, numbers or {name: index for index, name in names.items()}

    @property
    def num_labels(self) -> int:
        """Number of labels, the length of `id2label`. Setting it renames labels to `LABEL_i`."""
        return len(self.id2label)

    @num_labels.setter
    def num_labels(self, number: int) -> None:
        if not count.holds(number):
            raise ConfigError(f"num_labels must be {count.description}, got {number!r}.")
        if number > MAX_LABELS:
            raise ConfigError(f"num_labels must be at most {MAX_LABELS:,}, got {number}.")
        if len(getattr(self, "id2label", ())) != number or not hasattr(self, "id2label"):
            self.id2label = {index: f"LABEL_{index}" for index in range(number)}
            self.label2id = {name: index for index, name in self.id2label.items()}

    @classmethod
    def field_names(cls) -> tuple[str, ...]:
        """Every documented keyword: the family's fields and those that all configs share."""
        return (*cls.fields, *_COMMON, *_LABELS, "pruned_heads")

    # ---- validation
    def validate(self) -> None:
        """Check every field, also those of sub-configurations; families add checks between fields.

        Raises:
            ConfigError: Names the field, what it must be and what it is.
        """
        for name, row in {**_COMMON, **self.fields}.items():
            value = getattr(self, name)
            largest = MAX_LAYERS if _LAYERS.search(name) else MAX_SIZE
            for size in value if isinstance(value, (list, tuple)) else [value]:
                if isinstance(size, int) and abs(size) > largest:
                    self.reject(name, f"at most {largest:,}")
            if row.constraint is not None and not row.constraint.holds(value):
                self.reject(name, row.constraint.description)
            if isinstance(value, PretrainedConfig):
                value.validate()

    def reject(self, name: str, expected: str) -> None:
        """Raise the `ConfigError` that says what `name` must be and what it is."""
        raise ConfigError(
            f"{type(self).__name__}.{name} must be {expected}, got {getattr(self, name)!r:.200}."
        )

    @property
    def name_or_path(self) -> str:
        """Where the config was read from, empty if nowhere."""
        return getattr(self, "_name_or_path", "")

    def describe_weights(self, dtype: str) -> None:
        """Set what the config says of the weights beside it; what it said of others goes.

        Args:
            dtype: Their dtype, which goes under the old and under the new name: transformers reads
                the new one first, releases before 4.56 only the old one.
        """
        for name in _OF_WEIGHTS:
            vars(self).pop(name, None)
        for part in vars(self).values():
            if isinstance(part, PretrainedConfig):
                for name in _OF_WEIGHTS:
                    vars(part).pop(name, None)
        self.dtype = self.torch_dtype = dtype

    # ---- dicts and files
    def to_dict(self) -> dict[str, Any]:
        """All attributes as a new dict of plain values, with `model_type`."""
        values: dict[str, Any] = {"model_type": self.model_type}
        for name, value in vars(self).items():
            if not name.startswith("_"):
                values[name] = value.to_dict() if isinstance(value, PretrainedConfig) else value
        return copy.deepcopy(values)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], **overrides: Any) -> PretrainedConfig:
        """Build a config from `to_dict`'s form; `overrides` win over `values`.

        Raises:
            ConfigError: Invalid values, or the dict is another family's.
        """
        part = cls.base_config_key
        if part and part in values and values.get("model_type") != cls.model_type:
            values = values[part]  # the file is that of the whole model
            if not isinstance(values, Mapping):
                raise ConfigError(
                    f"{part} must be a dict of {cls.__name__}'s fields, got "
                    f"{type(values).__name__}."
                )
        found = values.get("model_type")
        if found and cls.model_type and found != cls.model_type:
            raise ConfigError(
                f"{cls.__name__} needs model_type {cls.model_type!r}, got {found!r:.100}. "
                "Use AutoConfig, or the config class of that family."
            )
        if overrides.get("id2label") is not None or overrides.get("label2id") is not None:
            return cls(**{k: v for k, v in values.items() if k not in _LABELS} | overrides)
        config = cls(**{**values, **{k: v for k, v in overrides.items() if k not in _LABELS}})
        if overrides.get("num_labels") is not None:  # the file's names stay if their number fits
            config.num_labels = overrides["num_labels"]
        return config

    def update(self, values: Mapping[str, Any]) -> None:
        """Change several fields at once; where one is invalid, none is changed.

        Args:
            values: Fields by name, as the constructor takes them.

        Raises:
            ConfigError: A value that the constructor refuses.

        Example:
            >>> from tfzoo import TimesformerConfig
            >>> config = TimesformerConfig()
            >>> config.update({"num_frames": 16, "id2label": {0: "pan", 1: "zoom"}})
            >>> config.num_frames, config.id2label[1]
            (16, 'zoom')
        """
        changed = type(self).from_dict(self.to_dict(), **values)
        vars(self).update(vars(changed))

    def to_json_string(self) -> str:
        """The config as the text of a `config.json`."""
        return json.dumps(self.to_json_dict(), indent=2, sort_keys=True) + "\n"

    def to_json_dict(self) -> dict[str, Any]:
        """`to_dict` in JSON's terms: string keys, functions by their name.

        None is left out where it is the default as well, or the key is not a field.
        """
        values = self.to_dict()
        for name, value in vars(self).items():
            if isinstance(value, PretrainedConfig):
                values[name] = value.to_json_dict()
            elif callable(value):
                values[name] = getattr(value, "__name__", str(value))
        if pruned := values.pop("pruned_heads", None):
            values["pruned_heads"] = {str(number): heads for number, heads in pruned.items()}
        if values["id2label"] == {0: "LABEL_0", 1: "LABEL_1"}:
            del values["id2label"], values["label2id"]
        else:
            values["id2label"] = {str(i): label for i, label in values["id2label"].items()}
        defaults = {name: row.default for name, row in {**_COMMON, **self.fields}.items()}
        return {k: v for k, v in values.items() if v is not None or defaults.get(k) is not None}

    def to_json_file(self, json_file_path: str | Path) -> None:
        """Write the config to a file, in the form of `config.json`.

        Raises:
            OSError: It cannot be written.
        """
        write_json(Path(json_file_path), self.to_json_dict())

    def save_pretrained(self, save_directory: str | Path) -> None:
        """Write `config.json` into `save_directory`; PyTorch's classes read it as well.

        Raises:
            OSError: The folder cannot be written.
        """
        self.to_json_file(Path(save_directory) / CONFIG_NAME)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        token: str | bool | None = None,
        subfolder: str | None = "",
        **overrides: Any,
    ) -> PretrainedConfig:
        """Read `config.json` from a folder or a hub repository.

        Args:
            pretrained_model_name_or_path: Folder, file in it, or repository name.
            revision: Branch, tag or commit of the repository.
            cache_dir: Where downloads are kept.
            local_files_only: Never use the network.
            token: Access token of the hub.
            subfolder: Folder of the checkpoint inside of the repository or folder.
            **overrides: Fields that win over the file's.

        Raises:
            HubError: Nothing to read there.
            ConfigError: Not JSON, another family's file, or invalid values.
        """
        options = HubOptions(revision, cache_dir, local_files_only, token, subfolder)
        folder = resolve(pretrained_model_name_or_path, CONFIG_NAME, options)
        config = cls.from_dict(read_json(folder / CONFIG_NAME, ConfigError), **overrides)
        config._name_or_path = str(pretrained_model_name_or_path)
        return config

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.to_dict() == other.to_dict()

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string().rstrip()}"


class TextVisionConfig(PretrainedConfig):
    """Base class of configurations with a `text_config` and a `vision_config`."""

    if TYPE_CHECKING:  # fields of every family
        text_config: Any
        vision_config: Any
        projection_dim: int
        logit_scale_init_value: float
        initializer_factor: float

    @property
    def pruned_heads(self) -> dict[int, list[int]]:
        """Those of the text tower's layers, then those of the vision tower's, numbered through."""
        first = self.text_config.num_hidden_layers
        images = {first + n: heads for n, heads in self.vision_config.pruned_heads.items()}
        return {**self.text_config.pruned_heads, **images}

    @pruned_heads.setter
    def pruned_heads(self, heads: Mapping[int, list[int]]) -> None:
        first = self.text_config.num_hidden_layers
        for number, gone in heads.items():
            part, place = (self.text_config, 0) if number < first else (self.vision_config, first)
            part.pruned_heads = {**part.pruned_heads, number - place: gone}

    def validate(self) -> None:
        super().validate()
        if not non_negative.holds(getattr(self, "initializer_factor", 1.0)):
            self.reject("initializer_factor", non_negative.description)

    @classmethod
    def from_text_vision_configs(
        cls,
        text_config: PretrainedConfig | Mapping[str, Any],
        vision_config: PretrainedConfig | Mapping[str, Any],
        **kwargs: Any,
    ) -> TextVisionConfig:
        """Make a configuration from those of its two towers.

        Args:
            text_config: Configuration of the text tower, as object or dict.
            vision_config: Configuration of the vision tower, as object or dict.
            **kwargs: Further fields, e.g. `projection_dim=256`.
        """
        return cls(text_config=text_config, vision_config=vision_config, **kwargs)
