"""The cases are chosen: every option of every config has one, or a test of its own."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tfzoo.core.fields import Field
from tfzoo.core.variables import slots
from tfzoo.registry import families

NAMES = [family.name for family in families()]
FOLDER = Path(__file__).parent
# The reference reads the vision tower's range alone, and the whole model's factor.
NO_EFFECT = {
    "text_config.initializer_range",
    *(f"{tower}_config.initializer_factor" for tower in ("text", "vision")),
}
SCALES = ("initializer_range", "initializer_factor", "logit_scale_init_value")


def cases_of(family: str) -> Any:
    """The module of a family's cases."""
    return importlib.import_module(f"tests.models.{family}.cases")


def options(config: type) -> dict[str, Field | None]:
    """Every option of a config class, those inside of it as `text_config.hidden_act`."""
    inner = getattr(config, "sub_configs", {})
    prefix = f"{config.base_config_key}." if config.base_config_key else ""
    found = {f"{prefix}{name}": row for name, row in config.fields.items() if name not in inner}
    for name, sub in inner.items():
        found |= {f"{name}.{option.split('.')[-1]}": row for option, row in options(sub).items()}
    return found


def value_of(case: Any, option: str) -> Any:
    """What a case sets an option to, None where it leaves the default."""
    *outer, name = option.split(".")
    fields: Mapping[str, Any] = case.config
    if outer and outer[0] != case.tf_class.config_class.base_config_key:
        fields = fields.get(outer[0], {})
    return fields.get(name)


@pytest.mark.parametrize("family", NAMES)
def test_every_option_has_a_case_or_a_test(family: str) -> None:
    module = cases_of(family)
    by_name = {case.name.split("/")[1]: case for case in module.CASES}
    known: dict[str, Field | None] = {"num_labels": None} if "num_labels" in module.COVERED else {}
    for case in module.CASES:
        known |= options(case.tf_class.config_class)
    assert sorted([*module.COVERED, *module.ELSEWHERE]) == sorted(known)
    for option, names in module.COVERED.items():
        for name in names.split():
            value = value_of(by_name[name], option)
            default = known[option].default if known[option] else 2
            assert value not in (None, default), f"{name} leaves {option} at {default}"


@pytest.mark.parametrize("family", NAMES)
def test_every_case_covers_something(family: str) -> None:
    """A case is there for an option, or as the one case of its class."""
    module = cases_of(family)
    named = {name for names in module.COVERED.values() for name in names.split()}
    classes = [case.model for case in module.CASES]
    for case in module.CASES:
        assert case.name.split("/")[1] in named or classes.count(case.model) == 1, case.name


@pytest.mark.parametrize("family", NAMES)
def test_every_test_elsewhere_exists(family: str) -> None:
    for proof in cases_of(family).ELSEWHERE.values():
        file, _, name = proof.partition("::")
        body = ast.parse((FOLDER / family / file).read_text(encoding="utf-8")).body
        assert name in [node.name for node in body if hasattr(node, "name")], proof


SCALED = [
    (family, option)
    for family in NAMES
    for option in cases_of(family).ELSEWHERE
    if option.split(".")[-1] in SCALES
] + [(family, "initializer_factor") for family in ("owlv2", "xclip")]


@cache
def fresh_weights(family: str, option: str | None = None) -> dict[str, np.ndarray]:
    """The weights of the family's first case from a seed, with an option of the config doubled."""
    case = cases_of(family).CASES[0]
    config = case.tf_class.config_class(**case.config)
    if option:
        *outer, name = option.split(".")
        part = getattr(config, outer[0]) if outer else config
        setattr(part, name, 2 * getattr(part, name))
    keras.utils.set_random_seed(0)
    places = slots(case.tf_class(config))
    return {path: np.asarray(slot.variable) for path, slot in places.items()}


@pytest.mark.slow
@pytest.mark.parametrize(("family", "option"), SCALED)
def test_fresh_weights_follow_the_config(family: str, option: str) -> None:
    once, twice = fresh_weights(family), fresh_weights(family, option)
    changed = [path for path in once if not np.array_equal(once[path], twice[path])]
    assert bool(changed) == (option not in NO_EFFECT)
    if option == "initializer_factor":  # all that is drawn
        assert changed == [path for path, value in once.items() if value.std() > 0]
    for path in changed:
        np.testing.assert_allclose(twice[path], 2 * once[path], rtol=1e-5, atol=1e-7, err_msg=path)
