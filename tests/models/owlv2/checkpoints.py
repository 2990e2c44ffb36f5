"""Small checkpoints of OWLv2 and OWL-ViT: for the published ones, and to be served."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import tfzoo
from recipes.running import weaken
from tests.models.owlv2.cases import config
from tests.support.cases import Head
from tests.support.owlv2_checkpoint import HEADS, write_owlv2_checkpoint
from tests.support.published_checkpoints import moved
from tests.text.clip_files import write_vocabulary

__all__ = ["PUBLISHED", "SERVED"]


def _base(kind: str, folder: Path) -> None:
    vocabulary = write_vocabulary(folder, pad_token="!", model_max_length=16)
    tokenizer = tfzoo.CLIPTokenizerFast.from_pretrained(vocabulary)
    side = {"Owlv2": 256, "OwlViT": 192}[kind]
    size = {"height": side, "width": side}
    images = getattr(tfzoo, f"{kind}ImageProcessor")(size=size)
    text = {"vocab_size": len(tokenizer), "max_position_embeddings": 16}
    fields = config(text, {"image_size": side, "patch_size": 64})
    model = getattr(tfzoo, f"TF{kind}ForObjectDetection")(getattr(tfzoo, f"{kind}Config")(**fields))
    weaken(model, *HEADS)
    moved(model).save_pretrained(folder)
    getattr(tfzoo, f"{kind}Processor")(images, tokenizer).save_pretrained(folder)


PUBLISHED = {
    "google/owlv2-base-patch16": partial(_base, "Owlv2"),
    "google/owlv2-base-patch16-ensemble": partial(_base, "Owlv2"),
    "google/owlvit-base-patch32": partial(_base, "OwlViT"),
}
SERVED = {
    "owlv2": Head(write_owlv2_checkpoint, {"queries": ["a cup", "a spoon"]}),
    "owlvit": Head(partial(write_owlv2_checkpoint, kind="OwlViT"), {"queries": ["a cup"]}),
}
