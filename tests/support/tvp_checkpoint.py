"""A small TVP checkpoint with all its files: config, weights, tokenizer, image processor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

import tfzoo
from tests.models.tvp.image_cases import write_vocabulary

# As tfzoo's files of the published checkpoints: pixels of 0..255, BGR, padding of zeros.
_PIXELS = {
    "do_center_crop": False,
    "do_rescale": False,
    "image_mean": [127.5, 120.0, 110.0],
    "image_std": [60.0, 55.0, 50.0],
}


def write_tvp_checkpoint(folder: Path, seed: int = 0, **fields: Any) -> Path:
    """Write a fresh grounding model for 4 frames of 64 x 64 pixels, with 60-odd words.

    Args:
        folder: Is made.
        seed: Of the weights.
        **fields: Of the configuration, over those of the small model.
    """
    tokenizer = tfzoo.BertTokenizerFast.from_pretrained(write_vocabulary(folder))
    size = {"height": 64, "width": 64}
    images = tfzoo.TvpImageProcessor(size={"longest_edge": 64}, pad_size=size, **_PIXELS)
    backbone = {"depths": [1, 1], "hidden_sizes": [8, 16], "embedding_size": 8}
    small = {
        "backbone_config": {"model_type": "resnet", **backbone},
        "visual_prompt_size": 8,
        "max_img_size": 64,
        "num_frames": 4,
        "vocab_size": len(tokenizer),
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 20,
        "initializer_range": 0.3,  # answers that differ
    }
    keras.utils.set_random_seed(seed)
    model = tfzoo.TFTvpForVideoGrounding(tfzoo.TvpConfig(**{**small, **fields}))
    model.save_pretrained(folder)
    tfzoo.TvpProcessor(images, tokenizer).save_pretrained(folder)
    return folder
