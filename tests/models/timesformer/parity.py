"""TimeSformer against the living reference."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfzoo
from tests.models.timesformer.cases import CASES, CLASSIFIER, TINY, clips
from tests.support import reference
from tests.support.cases import Case
from tests.support.compare import assert_same
from tests.support.parity_checks import ParityChecks

FLAGS = {"output_hidden_states": True, "output_attentions": True}


class TestTimesformer(ParityChecks):
    cases = CASES
    full_size = (
        Case(
            name="timesformer/full",
            model=CLASSIFIER,
            config={"num_labels": 400, "num_hidden_layers": 6},  # of 12
            inputs=lambda rng: clips(rng, 1, 8, 3, 224, 224),
        ),
    )


@pytest.mark.parametrize("attention_type", ["divided_space_time", "joint_space_time", "space_only"])
def test_other_frames_and_sizes(attention_type: str, tmp_path: Path) -> None:
    """What the reference takes, we take with its numbers; what it refuses, we refuse."""
    config = {**TINY, "image_size": 32, "patch_size": 8, "attention_type": attention_type}
    oracle = reference.random_model("TimesformerForVideoClassification", config)
    oracle.save_pretrained(tmp_path)
    model = tfzoo.TFTimesformerForVideoClassification.from_pretrained(tmp_path)
    sizes = [(t, 32, 32) for t in (8, 4, 3, 2, 1)]
    sizes += [(4, h, w) for h, w in ((64, 64), (16, 64), (35, 35), (32, 24), (24, 24))]
    refused = []
    for frames, height, width in sizes:
        inputs = clips(np.random.default_rng(3), 3, frames, 3, height, width)
        try:
            expected = reference.run(oracle, inputs, **FLAGS)
        except RuntimeError:
            refused.append((frames, height, width))
            with pytest.raises(ValueError, match="divided space-time attention needs"):
                model(inputs)
            continue
        assert_same(model(inputs, **FLAGS), expected, what=f"{frames} x {height} x {width}")
    divided = attention_type == "divided_space_time"
    assert refused == ([(4, 24, 24)] if divided else [])


def test_one_column_of_patches_works() -> None:
    """The reference derives the wrong number of rows here and fails; the right one is plain."""
    config = tfzoo.TimesformerConfig(**{**TINY, "attention_type": "space_only"})
    model = tfzoo.TFTimesformerForVideoClassification(config)
    out = model(clips(np.random.default_rng(0), 1, 2, 3, 24, 4), output_attentions=True)
    assert tuple(out.attentions[0].shape) == (2, 4, 7, 7)


def _logits(folder: Path, files: Mapping[str, Path]) -> Mapping[str, Any]:
    half = [0.5, 0.5, 0.5]
    processor = reference.transformers.VideoMAEImageProcessor(image_mean=half, image_std=half)
    pixels = processor(list(np.load(files["spaghetti"]))[:8], return_tensors="pt").pixel_values
    return reference.load_strictly("TimesformerForVideoClassification", folder)(pixels)


#: What the reference's tests of published numbers do, in the order of `expected.py`'s rows.
PUBLISHED = (_logits,)
