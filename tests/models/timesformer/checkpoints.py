"""Small checkpoints of TimeSformer: for the published ones, and to be served."""

from __future__ import annotations

import shutil
from pathlib import Path

import tfzoo
from tests.support.cases import Head
from tests.support.published_checkpoints import moved

__all__ = ["PUBLISHED", "SERVED"]


def _base(folder: Path) -> None:
    sizes = {"image_size": 224, "patch_size": 112, "hidden_size": 16, "intermediate_size": 24}
    depth = {"num_hidden_layers": 1, "num_attention_heads": 2, "num_labels": 5}
    config = tfzoo.TimesformerConfig(**sizes, **depth)
    moved(tfzoo.TFTimesformerForVideoClassification(config)).save_pretrained(folder)
    tfzoo.VideoMAEImageProcessor().save_pretrained(folder)


def _shipped(folder: Path) -> None:
    shutil.copytree(tfzoo.default_checkpoint(), folder, dirs_exist_ok=True)


PUBLISHED = {"facebook/timesformer-base-finetuned-k400": _base}
SERVED = {"timesformer": Head(_shipped)}
