"""Small checkpoints that stand for the published ones, and files for their documented inputs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

import tfzoo
from tests.models.owlv2.cases import config as owl_config
from tests.support.lxmert_checkpoint import write_lxmert_checkpoint
from tests.support.paths import FIXTURES
from tests.support.tvp_checkpoint import write_tvp_checkpoint
from tests.support.xclip_checkpoint import write_xclip_checkpoint
from tests.text.clip_files import write_vocabulary

__all__ = ["WRITERS", "write_inputs", "write_stand_ins"]

PHOTO = FIXTURES / "photos" / "coffee.jpg"


def _spread(model: Any) -> Any:
    """The same model with all weights moved: fresh ones give zeros and halves."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if "float" in str(weight.dtype) and "variance" not in weight.path:
            weight.assign(weight + 0.05 * rng.standard_normal(weight.shape))
    return model


def _timesformer(folder: Path) -> None:
    sizes = {"image_size": 224, "patch_size": 112, "hidden_size": 16, "intermediate_size": 24}
    depth = {"num_hidden_layers": 1, "num_attention_heads": 2, "num_labels": 5}
    config = tfzoo.TimesformerConfig(**sizes, **depth)
    _spread(tfzoo.TFTimesformerForVideoClassification(config)).save_pretrained(folder)
    tfzoo.VideoMAEImageProcessor().save_pretrained(folder)


def _owl(kind: str, folder: Path) -> None:
    vocabulary = write_vocabulary(folder, pad_token="!", model_max_length=16)
    tokenizer = tfzoo.CLIPTokenizerFast.from_pretrained(vocabulary)
    side = {"Owlv2": 256, "OwlViT": 192}[kind]
    size = {"height": side, "width": side}
    images = getattr(tfzoo, f"{kind}ImageProcessor")(size=size)
    text = {"vocab_size": len(tokenizer), "max_position_embeddings": 16}
    fields = owl_config(text, {"image_size": side, "patch_size": 64})
    model = getattr(tfzoo, f"TF{kind}ForObjectDetection")(getattr(tfzoo, f"{kind}Config")(**fields))
    _spread(model).save_pretrained(folder)
    getattr(tfzoo, f"{kind}Processor")(images, tokenizer).save_pretrained(folder)


def _perceiver(head: str, folder: Path, **fields: Any) -> None:
    sizes = {"num_latents": 4, "d_latents": 16, "d_model": 16, "num_self_attends_per_block": 1}
    heads = {"num_self_attention_heads": 2, "num_cross_attention_heads": 1}
    config = tfzoo.PerceiverConfig(**sizes, **heads, **fields)
    _spread(getattr(tfzoo, f"TFPerceiverFor{head}")(config)).save_pretrained(folder)
    tfzoo.PerceiverTokenizer().save_pretrained(folder)
    tfzoo.PerceiverImageProcessor().save_pretrained(folder)


def _xclip(folder: Path) -> None:
    write_xclip_checkpoint(folder)


def _tvp(folder: Path) -> None:
    write_tvp_checkpoint(folder, num_frames=1)


def _lxmert(folder: Path) -> None:
    write_lxmert_checkpoint(folder)


_VISION = "ImageClassification"
WRITERS: dict[str, Callable[[Path], None]] = {
    "unc-nlp/lxmert-base-uncased": _lxmert,
    "facebook/timesformer-base-finetuned-k400": _timesformer,
    "microsoft/xclip-base-patch32": _xclip,
    "google/owlv2-base-patch16": partial(_owl, "Owlv2"),
    "google/owlv2-base-patch16-ensemble": partial(_owl, "Owlv2"),
    "google/owlvit-base-patch32": partial(_owl, "OwlViT"),
    "deepmind/language-perceiver": partial(_perceiver, "MaskedLM"),
    "deepmind/vision-perceiver-learned": partial(_perceiver, f"{_VISION}Learned", image_size=224),
    "deepmind/vision-perceiver-fourier": partial(_perceiver, f"{_VISION}Fourier"),
    "deepmind/vision-perceiver-conv": partial(_perceiver, f"{_VISION}ConvProcessing"),
    "deepmind/optical-flow-perceiver": partial(_perceiver, "OpticalFlow", train_size=[16, 24]),
    "Jiqing/tiny-random-tvp": _tvp,
}


def write_stand_ins(folder: Path) -> dict[str, Path]:
    """Write a small checkpoint for each published one; returns where each lies."""
    places = {}
    for name, write in WRITERS.items():
        keras.utils.set_random_seed(len(places))
        places[name] = folder / name
        write(places[name])
    return places


def write_inputs(folder: Path) -> dict[str, Path]:
    """Write a file for each documented input; returns where each lies."""
    folder.mkdir(parents=True)
    photo = np.asarray(Image.open(PHOTO).convert("RGB"))
    frames = np.stack([np.roll(photo, 5 * i, axis=1) for i in range(9)])
    np.save(folder / "frames.npy", frames)
    np.save(folder / "frames8.npy", frames[1:])
    return {
        "cats": PHOTO,
        "sintel": PHOTO,
        "spaghetti": folder / "frames.npy",
        "spaghetti8": folder / "frames8.npy",
    }
