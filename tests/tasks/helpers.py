"""What the tests of Perceiver's tasks share: files, a tokenizer, small random models."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

import tfzoo
from tests.support.paths import FIXTURES

PHOTO = FIXTURES / "photos" / "coffee.jpg"
FRAMES = [FIXTURES / "flow" / f"sintel_{i}.png" for i in (16, 17)]
TINY: dict[str, Any] = {
    "num_latents": 4,
    "d_latents": 16,
    "d_model": 16,
    "num_self_attends_per_block": 2,
    "num_self_attention_heads": 2,
    "num_cross_attention_heads": 1,
}
TOKENIZER = tfzoo.PerceiverTokenizer()


def make(name: str, seed: int = 0, **fields: Any) -> Any:
    """A model whose every weight is random and large enough to matter."""
    keras.utils.set_random_seed(seed)
    model = getattr(tfzoo, f"TFPerceiverFor{name}")(tfzoo.PerceiverConfig(**{**TINY, **fields}))
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if "float" in weight.dtype:
            weight.assign(weight + 0.3 * rng.standard_normal(weight.shape))
    return model
