"""On Colab `pip install "tfzoo[viz]"` adds packages and moves none.

pip leaves an installed package alone where its version satisfies what is asked for. So the claim
holds if every requirement of tfzoo is satisfied by what Colab has, and those that Colab lacks ask
for nothing that it has in another version. `tests/fixtures/colab/preinstalled.json` holds what two
of Colab's published lists say of them, with their dates.
"""

from __future__ import annotations

import importlib.metadata
import json
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests.support.paths import FIXTURES, ROOT

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

RUNTIMES = json.loads((FIXTURES / "colab/preinstalled.json").read_text("utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def asked_for() -> list[Requirement]:
    """What the notebooks' line of pip asks for."""
    lines = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["viz"]]
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize("runtime", RUNTIMES, ids=lambda runtime: runtime["date"])
def test_nothing_that_colab_has_is_moved(runtime: dict[str, Any]) -> None:
    has = {canonicalize_name(name): version for name, version in runtime["installed"].items()}
    missing = []
    for requirement in asked_for():
        name = canonicalize_name(requirement.name)
        if name in has:
            assert requirement.specifier.contains(has[name]), f"{requirement} moves {has[name]}"
        else:
            missing.append(name)
    assert missing == runtime["absent"], "a requirement that the recorded list does not speak of"
    for name in missing:
        needs = [Requirement(line) for line in importlib.metadata.requires(name) or ()]
        needs = [one for one in needs if one.marker is None or one.marker.evaluate({"extra": ""})]
        assert needs == [], f"{name} needs packages of its own: look at what Colab has of them"
    assert SpecifierSet(PROJECT["requires-python"]).contains(runtime["python"])
