"""The public model classes, read from the registry: what has to be tested for each of them."""

from __future__ import annotations

import inspect

from tfzoo.modeling.base import TFPreTrainedModel
from tfzoo.registry import Family, families

__all__ = ["model_classes", "model_families"]


def model_classes(family: Family) -> list[str]:
    """The family's models that have a PyTorch class of their own name.

    Left out are the abstract base classes and second names of a model.
    """
    found = []
    for name in family.classes:
        cls = family.load(name)
        if not inspect.isclass(cls) or not issubclass(cls, TFPreTrainedModel):
            continue
        is_abstract = cls.setup is TFPreTrainedModel.setup
        if not is_abstract and "torch_class" not in vars(cls):
            found.append(name)
    return found


def model_families() -> dict[str, str]:
    """The folder of each model class's family."""
    return {name: family.name for family in families() for name in model_classes(family)}
