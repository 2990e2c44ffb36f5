"""transformers' own TensorFlow LXMERT (4.57.6, on tf-keras): a second oracle.

It lives in processes of its own, because the first oracle switches TensorFlow off in transformers
and because it brings another Keras. `python -m tests.support.lxmert_tf record` writes the fixtures
in tests/fixtures/lxmert_tf anew.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.compare import flatten
from tests.support.paths import FIXTURES

DATA = FIXTURES / "lxmert_tf"

SIZES = {
    "vocab_size": 20,
    "hidden_size": 8,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 10,
    "num_qa_labels": 5,
    "num_object_labels": 6,
    "num_attr_labels": 4,
    "visual_feat_dim": 7,
    "l_layers": 1,
    "x_layers": 1,
    "r_layers": 1,
}
# name -> the reference's class, its config
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "pretraining": ("TFLxmertForPreTraining", SIZES),
    "bare": ("TFLxmertModel", SIZES),
    "no_answers": ("TFLxmertForPreTraining", {**SIZES, "task_qa": False, "hidden_act": "relu"}),
    "deep": ("TFLxmertForPreTraining", {**SIZES, "l_layers": 3, "x_layers": 2, "r_layers": 2}),
}
RECORDED = ("pretraining", "bare")
FLAGS = {"output_hidden_states": True, "output_attentions": True}


def inputs() -> dict[str, np.ndarray]:
    """Two sentences of four words, five regions; the old class takes no mask of the regions."""
    rng = np.random.default_rng(11)
    corners = np.sort(rng.random((2, 5, 2, 2), "float32"), axis=2).reshape(2, 5, 4)
    return {
        "input_ids": rng.integers(1, 20, (2, 4)),
        "attention_mask": np.array([[1, 1, 1, 1], [1, 1, 1, 0]]),
        "token_type_ids": np.array([[0, 0, 1, 1], [0, 1, 1, 1]]),
        "visual_feats": rng.standard_normal((2, 5, 7), "float32"),
        "visual_pos": corners,
    }


def write(folder: Path, case: str, seed: int) -> None:
    """Write `config.json` and `tf_model.h5` of a random model, and `outputs.npz`."""
    import transformers

    name, settings = CASES[case]
    model = getattr(transformers, name)(transformers.LxmertConfig(**settings))
    feed = {key: np.asarray(value) for key, value in inputs().items()}
    model(feed)
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(0.4 * rng.standard_normal(weight.shape) + ("gamma" in weight.name))
    model.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(model.config.to_diff_dict(), indent=1))
    outputs = flatten(dict(model(feed, **FLAGS)), lambda tensor: tensor.numpy())
    np.savez_compressed(folder / "outputs.npz", **outputs)


def main(arguments: list[str]) -> None:
    """Run a command of the module's docstring."""
    if arguments != ["record"]:
        raise SystemExit(__doc__)
    for case in RECORDED:
        write(DATA / case, case, seed=0)
    files = sorted(path for path in DATA.rglob("*") if path.is_file())
    print({str(path.relative_to(DATA)): path.stat().st_size for path in files})


if __name__ == "__main__":
    main(sys.argv[1:])
