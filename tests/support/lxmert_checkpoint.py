"""A small LXMERT checkpoint with all its files, and a file of region features that fits it."""

from __future__ import annotations

import shutil
from pathlib import Path

import keras
import numpy as np

import tfzoo
from tests.support.paths import FIXTURES
from tfzoo.data.regions import RegionFeatures, write_region_features

VOCABULARY = FIXTURES / "tokenizers" / "bert-vocab.txt"
ANSWERS = {0: "yes", 1: "no", 2: "two"}


def write_lxmert_checkpoint(folder: Path, seed: int = 0) -> Path:
    """Write a fresh answerer of three answers, with BERT's vocabulary.

    Args:
        folder: Is made.
        seed: Of the weights.
    """
    sizes = {"hidden_size": 12, "num_attention_heads": 2, "intermediate_size": 16}
    depth = {"l_layers": 1, "x_layers": 1, "r_layers": 1}
    keras.utils.set_random_seed(seed)
    config = tfzoo.LxmertConfig(num_qa_labels=len(ANSWERS), id2label=ANSWERS, **sizes, **depth)
    tfzoo.TFLxmertForQuestionAnswering(config).save_pretrained(folder)
    shutil.copy(VOCABULARY, folder / "vocab.txt")
    tfzoo.LxmertTokenizerFast.from_pretrained(folder).save_pretrained(folder)
    return folder


def write_regions(path: Path, image_id: str) -> Path:
    """Write features of 36 regions of one image, as the authors' detector would give them."""
    rng = np.random.default_rng(0)
    corners = np.sort(rng.uniform(0, 480, (36, 2, 2)), axis=1).reshape(36, 4).astype("float32")
    features = rng.exponential(size=(36, 2048)).astype("float32")
    write_region_features(path, [RegionFeatures(image_id, 480, 640, corners, features)])
    return path
