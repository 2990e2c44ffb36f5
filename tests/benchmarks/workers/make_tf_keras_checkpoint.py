"""Write `tf_model.h5` of transformers' old TensorFlow class, with weights that are all random."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


def make(job: dict[str, Any]) -> None:
    """Construct the model of the job's config and save it in the job's folder."""
    import transformers

    cls = getattr(transformers, job["model"])
    model = cls(cls.config_class(**job["config"]))
    with np.load(job["inputs"]) as inputs:
        model(dict(inputs))  # such models have no weights before their first call
    rng = np.random.default_rng(0)
    model.set_weights([random_values(rng, weight) for weight in model.weights])
    model.save_pretrained(job["checkpoint"])


def random_values(rng: np.random.Generator, weight: Any) -> np.ndarray:
    """Values that keep the size of activations from layer to layer."""
    noise = rng.standard_normal(weight.shape, dtype="float32")
    if len(weight.shape) > 1:
        return noise * min(1.0, weight.shape[0] ** -0.5)
    return (1.0 if "gamma" in weight.name else 0.0) + np.float32(0.2) * noise


if __name__ == "__main__":
    make(json.loads(Path(sys.argv[1]).read_text()))
