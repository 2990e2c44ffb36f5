"""Configurations that hold others: one for the texts, one for the pictures, one for a backbone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from tfzoo.core.config import PretrainedConfig

__all__ = ["NestedConfig", "TextVisionConfig"]


class NestedConfig(PretrainedConfig):
    """Base class of configurations with configurations inside.

    Attributes:
        sub_configs: For each field that holds a configuration, its class. The field takes a dict
            of its fields, an object, or None for the defaults.

    Raises:
        TypeError: A sub-configuration is none of these.
        ConfigError: A field's value breaks its constraint.
    """

    sub_configs: ClassVar[dict[str, type[PretrainedConfig]]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in self.sub_configs:
            setattr(self, name, self._sub_config(name, getattr(self, name)))

    def _sub_config(self, name: str, value: Any) -> PretrainedConfig:
        cls = self.sub_configs[name]
        if value is None:
            return cls()
        if isinstance(value, Mapping):
            return cls.from_dict(value)
        if isinstance(value, cls):
            return value
        raise TypeError(
            f"{type(self).__name__}.{name} must be a dict, a {cls.__name__} or None, "
            f"got {type(value).__name__}."
        )

    def validate(self) -> None:
        """Check the fields of this configuration and of those inside.

        Raises:
            ConfigError: Names the field, what it must be and what it is.
        """
        super().validate()
        for name in self.sub_configs:
            if isinstance(value := getattr(self, name), PretrainedConfig):
                value.validate()


class TextVisionConfig(NestedConfig):
    """Base class of configurations with a `text_config` and a `vision_config`."""

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
