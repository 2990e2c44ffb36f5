"""Small Perceiver checkpoints with all their files, one for each published one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

import tfzoo

__all__ = ["write_perceiver_checkpoint"]

_TINY: dict[str, Any] = {
    "num_latents": 4,
    "d_latents": 16,
    "d_model": 16,
    "num_self_attends_per_block": 1,
    "num_self_attention_heads": 2,
    "num_cross_attention_heads": 1,
}
_HEADS: dict[str, tuple[str, dict[str, Any]]] = {
    "language-perceiver": ("MaskedLM", {}),
    "vision-perceiver-learned": ("ImageClassificationLearned", {"image_size": 224}),
    "vision-perceiver-fourier": ("ImageClassificationFourier", {}),
    "vision-perceiver-conv": ("ImageClassificationConvProcessing", {}),
    "optical-flow-perceiver": ("OpticalFlow", {"train_size": [400, 520]}),
    "multimodal-perceiver": (
        "MultimodalAutoencoding",
        {
            "image_size": 8,
            "output_shape": [1, 16, 32, 32],
            "output_num_channels": 16,
            "samples_per_patch": 1920,  # few patches: few chunks to decode
        },
    ),
}


def write_perceiver_checkpoint(folder: Path, name: str, seed: int = 0) -> Path:
    """Write a fresh model with the tokenizer and the image processor of the published ones.

    Args:
        folder: Is made.
        name: Of the published checkpoint, without `deepmind/`.
        seed: Of the weights.
    """
    head, fields = _HEADS[name]
    keras.utils.set_random_seed(seed)
    config = tfzoo.PerceiverConfig(**{**_TINY, **fields})
    getattr(tfzoo, f"TFPerceiverFor{head}")(config).save_pretrained(folder)
    tfzoo.PerceiverTokenizer().save_pretrained(folder)
    tfzoo.PerceiverImageProcessor().save_pretrained(folder)
    return folder
