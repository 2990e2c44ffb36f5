"""Perceiver's six published configurations at full size, against the living reference.

They are as wide as published, and less deep where a layer follows its like. Flow has smaller
frames, a quarter as high and as wide, which are still read and decoded in many blocks.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.models.perceiver.test_model import PUBLISHED
from tests.support import reference
from tests.support.compare import assert_same

FLOW_SIZE = (92, 124)  # of 368 x 496


def _full_inputs(task: str) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    if task == "MaskedLM":
        mask = (np.arange(2048)[None] < 1500).astype("int64")
        return {"input_ids": rng.integers(6, 262, (1, 2048)) * mask, "attention_mask": mask}
    if task == "OpticalFlow":
        return {"inputs": rng.standard_normal((1, 2, 27, *FLOW_SIZE), dtype="float32")}
    if task == "MultimodalAutoencoding":
        return {
            "image": rng.standard_normal((1, 16, 3, 224, 224), dtype="float32"),
            "audio": rng.standard_normal((1, 30720, 1), dtype="float32"),
            "label": np.zeros((1, 700), "float32"),
            "image_points": np.arange(6272),
            "audio_points": np.arange(15),
        }
    return {"pixel_values": rng.standard_normal((1, 3, 224, 224), dtype="float32")}


@pytest.mark.parametrize("task", PUBLISHED)
def test_full_size_as_published_agrees(task: str, tmp_path: Path) -> None:
    """Outputs of the six published configurations with random weights, inside a graph."""
    inputs = _full_inputs(task)
    config = {**PUBLISHED[task][0], "num_self_attends_per_block": 6}  # of up to 26
    if "num_blocks" in config:
        config["num_blocks"] = 2  # of 8
    if task == "OpticalFlow":
        config["train_size"] = list(FLOW_SIZE)
    oracle, model = reference.both(f"PerceiverFor{task}", config, tmp_path)
    expected = reference.run(oracle, inputs)
    del oracle
    call = tf.function(lambda tensors: model(tensors))
    assert_same(call({k: tf.constant(v) for k, v in inputs.items()}), expected)
