"""Model configurations: one documented field table per family, JSON in and out.

A family's config class *is* its table: each field stands in one line with its default, its
meaning and its constraint, in the documented order::

    class MyConfig(PretrainedConfig):
        model_type = "my"
        hidden_size: int = field(768, "Width of the encoder.", positive)

Signature, docstring, validation, JSON and the positional order all follow from that table.
"""

from __future__ import annotations

import copy
import inspect
import json
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfzoo.core.files import read_json, write_json
from tfzoo.hub import resolve

__all__ = [
    "ConfigError",
    "Constraint",
    "Field",
    "PretrainedConfig",
    "boolean",
    "count",
    "field",
    "non_negative",
    "name_or_function",
    "one_of",
    "positive",
    "probability",
]

CONFIG_NAME = "config.json"


class ConfigError(ValueError):
    """A configuration holds an invalid value. The message names field, expectation and value."""


@dataclass(frozen=True)
class Constraint:
    """A test that a field's value must pass, with the words that describe it in an error."""

    description: str
    holds: Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


positive = Constraint("a positive integer", lambda v: _is_integer(v) and v > 0)
count = Constraint("an integer >= 0", lambda v: _is_integer(v) and v >= 0)
non_negative = Constraint("a number >= 0", lambda v: _is_number(v) and v >= 0)
probability = Constraint("a number in [0, 1)", lambda v: _is_number(v) and 0 <= v < 1)
boolean = Constraint("True or False", lambda v: isinstance(v, bool))
name_or_function = Constraint(
    "the name of an activation, or a function", lambda v: isinstance(v, str) or callable(v)
)


def one_of(*choices: Any) -> Constraint:
    """Constraint: the value is one of ``choices``."""
    return Constraint("one of " + ", ".join(map(repr, choices)), lambda v: v in choices)


@dataclass(frozen=True)
class Field:
    """One row of a config's table: default, meaning and, if any, constraint."""

    default: Any
    description: str
    constraint: Constraint | None = None


def field(default: Any, description: str, constraint: Constraint | None = None) -> Any:
    """Declare a config field. See the module's docstring for an example."""
    return Field(default, description, constraint)


_COMMON: dict[str, Field] = {
    "output_hidden_states": Field(False, "Return the hidden states of all layers.", boolean),
    "output_attentions": Field(False, "Return the attention maps of all layers.", boolean),
    "return_dict": Field(True, "Return a ModelOutput rather than a plain tuple.", boolean),
    "problem_type": Field(
        None,
        "Loss of a classification head; None infers it from `num_labels` and the labels' dtype.",
        one_of(None, "regression", "single_label_classification", "multi_label_classification"),
    ),
    "architectures": Field(None, "Names of the PyTorch classes that the checkpoint is for."),
}


class PretrainedConfig:
    """Base class of all configurations.

    Args:
        *args: The family's own fields, in their documented order.
        output_hidden_states: Return the hidden states of all layers. Default False.
        output_attentions: Return the attention maps of all layers. Default False.
        return_dict: Return a `ModelOutput` rather than a plain tuple. Default True.
        problem_type: `"regression"`, `"single_label_classification"`,
            `"multi_label_classification"` or None (inferred). Default None.
        num_labels: Number of labels of a classification head. Default 2.
        id2label: Label name for each index; its length sets `num_labels`.
        label2id: Index for each label name; derived from `id2label` where absent.
        **kwargs: The family's fields by name; anything else is kept as an attribute.

    Raises:
        ConfigError: A field's value breaks its constraint.

    Example:
        >>> from tfzoo import TimesformerConfig
        >>> config = TimesformerConfig(num_frames=16, num_labels=3)
        >>> config.num_frames, config.id2label[2]
        (16, 'LABEL_2')
    """

    model_type: str = ""
    base_config_key: str = ""  # where this config stands inside that of a whole model
    fields: dict[str, Field] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = {k: v for k, v in list(vars(cls).items()) if isinstance(v, Field)}
        cls.fields = {**cls.fields, **own}
        for name in own:  # a Field left on the class would hide a forgotten attribute
            delattr(cls, name)
        cls.__signature__ = _signature(cls.fields)
        cls.__doc__ = (inspect.getdoc(cls) or "") + "\n\nArgs:\n" + _describe(cls.fields)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        values = self._bind(args, kwargs)
        num_labels = values.pop("num_labels", None)
        id2label, label2id = values.pop("id2label", None), values.pop("label2id", None)
        for name, row in {**_COMMON, **self.fields}.items():
            setattr(self, name, values.pop(name, copy.deepcopy(row.default)))
        for name, value in values.items():
            setattr(self, name, value)
        self._set_labels(num_labels, id2label, label2id)
        self.validate()

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        names = list(self.fields)
        if len(args) > len(names):
            raise TypeError(
                f"{type(self).__name__} takes at most {len(names)} positional arguments "
                f"({', '.join(names)}), got {len(args)}."
            )
        values = dict(zip(names, args))  # noqa: B905 - fewer positional arguments are fine
        if twice := sorted(values.keys() & kwargs.keys()):
            raise TypeError(f"{type(self).__name__} got {', '.join(twice)} twice.")
        return {**values, **{k: v for k, v in kwargs.items() if k != "model_type"}}

    # ---- labels
    def _set_labels(
        self, num_labels: int | None, id2label: Mapping | None, label2id: Mapping | None
    ) -> None:
        if id2label is None:
            self.num_labels = 2 if num_labels is None else num_labels
        else:
            self.id2label = {int(index): str(name) for index, name in id2label.items()}
            self.label2id = label2id or {name: index for index, name in self.id2label.items()}
            if num_labels is not None and num_labels != len(self.id2label):
                warnings.warn(
                    f"num_labels={num_labels} disagrees with the {len(self.id2label)} entries of "
                    "id2label; id2label wins. Pass only one of them.",
                    stacklevel=3,
                )

    @property
    def num_labels(self) -> int:
        """Number of labels, the length of `id2label`. Setting it renames labels to `LABEL_i`."""
        return len(self.id2label)

    @num_labels.setter
    def num_labels(self, count: int) -> None:
        if not _is_integer(count) or count < 0:
            raise ConfigError(f"num_labels must be an integer >= 0, got {count!r}.")
        if len(getattr(self, "id2label", ())) != count or not hasattr(self, "id2label"):
            self.id2label = {index: f"LABEL_{index}" for index in range(count)}
            self.label2id = {name: index for index, name in self.id2label.items()}

    @classmethod
    def field_names(cls) -> tuple[str, ...]:
        """Every documented keyword: the family's fields and those that all configs share."""
        return (*cls.fields, *_COMMON, "num_labels", "id2label", "label2id")

    # ---- validation
    def validate(self) -> None:
        """Check every field against its constraint; families add checks between fields.

        Raises:
            ConfigError: Names the field, what it must be and what it is.
        """
        for name, row in {**_COMMON, **self.fields}.items():
            value = getattr(self, name)
            if row.constraint is not None and not row.constraint.holds(value):
                self.reject(name, row.constraint.description)

    def reject(self, name: str, expected: str) -> None:
        """Raise the `ConfigError` that says what `name` must be and what it is."""
        raise ConfigError(
            f"{type(self).__name__}.{name} must be {expected}, got {getattr(self, name)!r}."
        )

    @property
    def name_or_path(self) -> str:
        """Where the config was read from, empty if nowhere."""
        return getattr(self, "_name_or_path", "")

    # ---- dicts and files
    def to_dict(self) -> dict[str, Any]:
        """All attributes as a new dict of plain values, with `model_type`."""
        values = {"model_type": self.model_type}
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
        if values.get("model_type") != cls.model_type and cls.base_config_key in values:
            values = values[cls.base_config_key]  # the file is that of the whole model
        found = values.get("model_type")
        if found and cls.model_type and found != cls.model_type:
            raise ConfigError(
                f"{cls.__name__} needs model_type {cls.model_type!r}, got {found!r}. "
                "Use AutoConfig, or the config class of that family."
            )
        config = cls(**{**values, **{k: v for k, v in overrides.items() if k != "num_labels"}})
        if "num_labels" in overrides:  # names that the file holds stay if their number fits
            config.num_labels = overrides["num_labels"]
        return config

    def to_json_string(self) -> str:
        """The config as the text of a `config.json`."""
        return json.dumps(self.to_json_dict(), indent=2, sort_keys=True) + "\n"

    def to_json_dict(self) -> dict[str, Any]:
        """`to_dict` in JSON's terms: string keys, no None, functions by their name."""
        values = self.to_dict()
        for name, value in vars(self).items():
            if isinstance(value, PretrainedConfig):
                values[name] = value.to_json_dict()
            elif callable(value):
                values[name] = getattr(value, "__name__", str(value))
        if values["id2label"] == {0: "LABEL_0", 1: "LABEL_1"}:
            del values["id2label"], values["label2id"]
        else:
            values["id2label"] = {str(i): label for i, label in values["id2label"].items()}
        return {k: v for k, v in values.items() if v is not None}

    def save_pretrained(self, save_directory: str | Path) -> None:
        """Write `config.json` into `save_directory`, which PyTorch's side reads as well.

        Raises:
            OSError: The folder cannot be written.
        """
        write_json(Path(save_directory) / CONFIG_NAME, self.to_json_dict())

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        token: str | bool | None = None,
        **overrides: Any,
    ) -> PretrainedConfig:
        """Read `config.json` from a folder or a hub repository.

        Args:
            pretrained_model_name_or_path: Folder, file in it, or repository name.
            revision: Branch, tag or commit of the repository.
            cache_dir: Where downloads are kept.
            local_files_only: Never use the network.
            token: Access token of the hub.
            **overrides: Fields that win over the file's.

        Raises:
            HubError: Nothing to read there.
            ConfigError: Not JSON, another family's file, or invalid values.
        """
        source = cls._read(
            pretrained_model_name_or_path,
            revision=revision,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            token=token,
        )
        config = cls.from_dict(source, **overrides)
        config._name_or_path = str(pretrained_model_name_or_path)
        return config

    @staticmethod
    def _read(name: str | Path, **where: Any) -> dict[str, Any]:
        path = resolve(name, CONFIG_NAME, **where) / CONFIG_NAME
        return read_json(path, ConfigError)

    # ---- habits of Python objects
    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.to_dict() == other.to_dict()

    __hash__ = None

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string().rstrip()}"


def _signature(fields: Mapping[str, Field]) -> inspect.Signature:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    rows = [inspect.Parameter(n, kind, default=f.default) for n, f in fields.items()]
    return inspect.Signature(rows + [inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)])


def _describe(fields: Mapping[str, Field]) -> str:
    def lines() -> Iterable[str]:
        for name, row in fields.items():
            limit = f" ({row.constraint.description})" if row.constraint else ""
            yield f"    {name}: {row.description}{limit} Default {row.default!r}."
        yield "    **kwargs: Fields of `PretrainedConfig`; anything else is kept as an attribute."

    return "\n".join(lines())
