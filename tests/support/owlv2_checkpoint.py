"""A small OWLv2 checkpoint with all its files: config, weights, tokenizer, image processor."""

from __future__ import annotations

from pathlib import Path

import keras

import tfzoo
from recipes.running import weaken
from tests.models.owlv2.cases import VISION, config
from tests.text.clip_files import write_vocabulary

#: Fresh heads are drawn from N(0, 1), as the reference does, and would amplify rounding.
HEADS = (r"_head\.", VISION["hidden_size"] ** -0.5)


def write_owlv2_checkpoint(folder: Path, seed: int = 0, kind: str = "Owlv2") -> Path:
    """Write a fresh detector for photos of 32 x 32 pixels, with a vocabulary of 199 tokens.

    Args:
        folder: Is made.
        seed: Of the weights.
        kind: "Owlv2" or "OwlViT".
    """
    vocabulary = write_vocabulary(folder, pad_token="!", model_max_length=16)
    tokenizer = tfzoo.CLIPTokenizerFast.from_pretrained(vocabulary)
    images = getattr(tfzoo, f"{kind}ImageProcessor")(size={"height": 32, "width": 32})
    text = {"vocab_size": len(tokenizer), "max_position_embeddings": 16}
    fields = config(text, {"image_size": 32, "patch_size": 8})
    keras.utils.set_random_seed(seed)
    model_class = getattr(tfzoo, f"TF{kind}ForObjectDetection")
    model = model_class(getattr(tfzoo, f"{kind}Config")(**fields))
    weaken(model, *HEADS)
    model.save_pretrained(folder)
    getattr(tfzoo, f"{kind}Processor")(images, tokenizer).save_pretrained(folder)
    return folder
