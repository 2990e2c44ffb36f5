"""`fill_mask`: bytes that are missing in a text."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import tfzoo
from tests.tasks.helpers import TOKENIZER, make


@pytest.fixture(scope="module")
def language() -> Any:
    return make("MaskedLM", max_position_embeddings=40)


def scores(model: Any, text: str) -> np.ndarray:
    """The model's probabilities for each token of a text, alone and without padding."""
    ids = TOKENIZER(text, return_tensors="np").input_ids
    logits = keras.ops.convert_to_numpy(model(input_ids=ids).logits)[0, : ids.shape[1]]
    powers = np.exp(logits.astype("float64"))
    return powers / powers.sum(-1, keepdims=True)


def test_masked_bytes_are_filled(language: Any) -> None:
    text = "some w[MASK]rds m[MASK][MASK]sing"
    filled = tfzoo.fill_mask(language, TOKENIZER, text, top_k=3)
    ids = np.array(TOKENIZER(text).input_ids)
    places = np.flatnonzero(ids == 3)
    expected = scores(language, text)[places]
    best = expected[:, 6:].argmax(-1)
    ids[places] = best + 6
    assert filled.text == bytes((ids[1:-1] - 6).tolist()).decode("utf-8", errors="replace")
    assert [len(row) for row in filled.candidates] == [3, 3, 3]
    for row, one in zip(filled.candidates, expected, strict=True):
        assert row[0] == (chr(one[6:].argmax()), pytest.approx(one[6:].max()))
        assert [p for _, p in row] == sorted((p for _, p in row), reverse=True)
    assert np.ptp(expected, axis=0).max() > 1e-4, "equal places would prove nothing"


@pytest.mark.parametrize("side", ["right", "left"])
def test_texts_do_not_disturb_each_other(side: str, language: Any) -> None:
    texts = ["a[MASK]", "a longer one with [MASK][MASK] in it"]
    tokenizer = tfzoo.PerceiverTokenizer(padding_side=side)
    for found, text in zip(tfzoo.fill_mask(language, tokenizer, texts), texts, strict=True):
        alone = tfzoo.fill_mask(language, TOKENIZER, text)
        assert found.text == alone.text
        for row, other in zip(found.candidates, alone.candidates, strict=True):
            assert [token for token, _ in row] == [token for token, _ in other]
            np.testing.assert_allclose([p for _, p in row], [p for _, p in other], rtol=1e-4)


def test_special_tokens_are_not_guessed_and_stay() -> None:
    model = make("MaskedLM", max_position_embeddings=40)
    bias = np.zeros(262)
    bias[[0, 5, 106]] = 1e3, 999, 998  # [PAD], [SEP], "d"
    model.embedding_decoder.bias.assign(bias)
    filled = tfzoo.fill_mask(model, TOKENIZER, "[SEP]a[MASK]", top_k=1)
    assert filled.text == "[SEP]ad"
    assert filled.candidates[0][0][0] == "d"
    assert filled.candidates[0][0][1] < 0.2


def test_renamed_mask(language: Any) -> None:
    tokenizer = tfzoo.PerceiverTokenizer(mask_token="_")
    expected = tfzoo.fill_mask(language, TOKENIZER, "a [MASK]")
    assert tfzoo.fill_mask(language, tokenizer, "a _") == expected


def test_texts_that_cannot_be_filled(language: Any) -> None:
    with pytest.raises(ValueError, match=r"expected \[MASK\] in place of each byte"):
        tfzoo.fill_mask(language, TOKENIZER, "nothing [mask]")
    with pytest.raises(ValueError, match="at most 38 bytes, a .MASK. counted as one, got 51"):
        tfzoo.fill_mask(language, TOKENIZER, "[MASK]" + 50 * "a")
    with pytest.raises(ValueError, match="expected a text or a list of texts, got int"):
        tfzoo.fill_mask(language, TOKENIZER, [3])
    with pytest.raises(ValueError, match="top_k: expected a whole number above 0"):
        tfzoo.fill_mask(language, TOKENIZER, "[MASK]", top_k=0)
    with pytest.raises(TypeError, match="tokenizer: expected a PerceiverTokenizer, got a str"):
        tfzoo.fill_mask(language, "[MASK]", TOKENIZER)
    with pytest.raises(TypeError, match="expected a TFPerceiverForMaskedLM, got a str"):
        tfzoo.fill_mask("model", TOKENIZER, "[MASK]")
