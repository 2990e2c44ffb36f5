"""A small X-CLIP checkpoint with all its files: config, weights, tokenizer, image processor."""

from __future__ import annotations

from pathlib import Path

import keras

import tfzoo
from tests.models.xclip.cases import config
from tests.text.clip_files import SMALL, write_vocabulary


def write_xclip_checkpoint(folder: Path, seed: int = 0, num_frames: int = 8) -> Path:
    """Write a fresh model for frames of 32 x 32 pixels, with a vocabulary of 199 tokens."""
    tokenizer = tfzoo.CLIPTokenizerFast.from_pretrained(write_vocabulary(folder))
    processor = tfzoo.XCLIPProcessor(tfzoo.VideoMAEImageProcessor(**SMALL), tokenizer)
    text = {"vocab_size": len(tokenizer), "max_position_embeddings": 77}
    vision = {"image_size": 32, "num_frames": num_frames}
    keras.utils.set_random_seed(seed)
    model = tfzoo.TFXCLIPModel(tfzoo.XCLIPConfig(**config(text, vision)))
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
