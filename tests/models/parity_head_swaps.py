"""What is fresh after a change of heads is what the reference says is newly initialised."""

from __future__ import annotations

import re

import pytest

from tests.models.test_head_swaps import SWAPS, load
from tests.support import reference
from tests.support.paths import FIXTURES
from tfzoo.core.variables import slots
from weights_convert.plan import save_plan
from weights_convert.rules import family_map


@pytest.mark.parametrize(("folder", "name", "fresh"), SWAPS)
def test_the_reference_leaves_the_same_fresh(folder: str, name: str, fresh: str | None) -> None:
    model, _ = load(folder, name)
    cls = getattr(reference.transformers, name.removeprefix("TF"))
    _, info = cls.from_pretrained(FIXTURES / "models" / folder, output_loading_info=True)
    entries = save_plan(slots(model), family_map(model.base_model_type))
    own = {entry.name for entry in entries if fresh and re.match(fresh, entry.path)}
    assert own == set(info["missing_keys"])
