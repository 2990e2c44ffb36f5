"""A checkpoint of one head starts another: the base model is loaded, the new head is fresh."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest

import tfzoo
from tests.support.paths import FIXTURES
from tfzoo.core.variables import slots
from weights_convert.checkpoint import open_checkpoint
from weights_convert.plan import canonical_names, save_plan
from weights_convert.rules import family_map

# Checkpoint, class, and what is fresh of it; all else has the checkpoint's values.
SWAPS = [
    ("perceiver/masked_lm", "TFPerceiverForSequenceClassification", r"perceiver\.decoder\."),
    ("perceiver/masked_lm", "TFPerceiverModel", None),
    ("timesformer/bare", "TFTimesformerForVideoClassification", r"classifier\."),
    ("timesformer/divided", "TFTimesformerModel", None),
    ("lxmert/model", "TFLxmertForQuestionAnswering", r"answer_head\."),
    ("lxmert/pretraining", "TFLxmertForQuestionAnswering", None),
    ("owlv2/detector", "TFOwlv2Model", None),
    ("tvp/bare", "TFTvpForVideoGrounding", r"video_grounding_head\."),
    ("xclip/pairs", "TFXCLIPVisionModel", None),
]


def load(folder: str, name: str, **kwargs: Any) -> tuple[Any, str]:
    """The model, and what its loading warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = getattr(tfzoo, name).from_pretrained(FIXTURES / "models" / folder, **kwargs)
    return model, "\n".join(str(warning.message) for warning in caught)


@pytest.mark.parametrize(("folder", "name", "fresh"), SWAPS)
def test_the_base_model_is_loaded_and_the_new_head_is_fresh(
    folder: str, name: str, fresh: str | None
) -> None:
    model, message = load(folder, name)
    places, family, count = slots(model), family_map(model.base_model_type), 0
    with open_checkpoint(FIXTURES / "models" / folder) as stored:
        names = canonical_names(stored, family)
        for entry in save_plan(places, family):
            if fresh is not None and re.match(fresh, entry.path):
                count += 1
                assert f" {entry.path}" in message
                continue
            assert f" {entry.path}" not in message
            found = stored.read(names[family.full_name(entry.name, family.has_base(places))])
            value = entry.to_checkpoint(places[entry.path].variable.numpy())
            np.testing.assert_array_equal(value, found, entry.path)
    assert bool(count) == bool(message) == (fresh is not None)
    assert ("Train the model before you use it" in message) == (fresh is not None)
