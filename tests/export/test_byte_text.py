"""Perceiver's tokenizer in the graph: the same ids and texts as on the host, for any bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken

from tests.models.perceiver.texts import BATCH, SENTENCES
from tests.support.endpoints import as_bytes
from tfzoo import PerceiverTokenizer
from tfzoo.export import ServingError
from tfzoo.export.graph.byte_text import ByteText

LIMIT = 40
TEXTS = tf.TensorSpec([None], tf.string)


def functions(tokenizer: PerceiverTokenizer, limit: int = LIMIT) -> tuple[Callable, Callable]:
    """From texts to ids (cut or not) and mask, and to the same texts by way of ids."""
    codec = ByteText(tokenizer, limit)

    @tf.function(input_signature=[TEXTS], autograph=False)
    def cut(texts: tf.Tensor) -> Any:
        return codec.encode(texts, truncate=True)

    @tf.function(input_signature=[TEXTS], autograph=False)
    def there_and_back(texts: tf.Tensor) -> Any:
        ids, lengths = codec.encode(texts)
        return ids, lengths, codec.decode(ids, lengths)

    return cut, there_and_back


CUT, THERE_AND_BACK = functions(PerceiverTokenizer())


def check(texts: list[bytes]) -> None:
    """Compare with the host path, both with and without a limit."""
    tokenizer = PerceiverTokenizer()
    words = [text.decode("utf-8", errors="replace") for text in texts]
    expected = tokenizer(words, padding=True, truncation=True, max_length=LIMIT)
    ids, lengths = CUT(as_bytes(*texts))
    assert ids.numpy().tolist() == expected["input_ids"]
    assert lengths.numpy().tolist() == np.sum(expected["attention_mask"], axis=1).tolist()
    short = [w for w in words if len(tokenizer(w).input_ids) <= LIMIT]
    ids, lengths, back = THERE_AND_BACK(as_bytes(*short, "ä"))
    rows = [row[:n] for row, n in zip(ids.numpy().tolist(), lengths.numpy(), strict=True)]
    assert [text.decode() for text in back.numpy()] == [*short, "ä"]
    assert [tokenizer.decode(row[1:-1]) for row in rows] == [*short, "ä"]


@pytest.mark.parametrize("text", SENTENCES, ids=repr)
def test_ids_equal_the_hosts(text: str) -> None:
    check([text.encode()])


def test_batches_are_padded() -> None:
    check([text.encode() for text in (*BATCH, *SENTENCES)])


_PIECES = st.one_of(
    st.binary(max_size=6),
    st.text(max_size=6).map(str.encode),
    st.sampled_from(
        [b"[MASK]", b"[PAD]", b"[CLS", b"]", b"\xf5\xff", b"\xc0\x80", b"\xef\xbb\xbf"]
    ),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(_PIECES, max_size=6).map(b"".join), min_size=1, max_size=4))
def test_any_bytes_are_text(texts: list[bytes]) -> None:
    check(texts)


def test_long_texts_are_an_error_that_says_so() -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"at most 38 bytes.*\[39\]"):
        THERE_AND_BACK(as_bytes("short", 39 * "x"))
    ids, *_ = THERE_AND_BACK(as_bytes(32 * "x" + 6 * "[MASK]"))
    assert ids.shape == (1, LIMIT)


def test_the_tokenizers_own_limit_counts() -> None:
    cut, _ = functions(PerceiverTokenizer(model_max_length=7))
    assert cut(as_bytes("abcdefgh"))[0].shape == (1, 7)


def test_texts_are_cut_on_the_side_that_the_tokenizer_says() -> None:
    tokenizer = PerceiverTokenizer(truncation_side="left")
    cut, _ = functions(tokenizer, 8)
    texts = ["abcdefghij", "abc", "ab[MASK]cdefg"]
    expected = tokenizer(texts, padding=True, truncation=True, max_length=8)["input_ids"]
    assert cut(as_bytes(*texts))[0].numpy().tolist() == expected


def test_other_special_tokens() -> None:
    tokenizer = PerceiverTokenizer(mask_token="<?>", cls_token="é", sep_token="a.c")
    _, there_and_back = functions(tokenizer)
    text = "abc <?> [MASK] é a.c <?"
    ids, _, back = there_and_back(as_bytes(text))
    assert ids.numpy().tolist() == [tokenizer(text).input_ids]
    assert back.numpy()[0].decode() == text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"padding_side": "left"}, "pads on the left"),
        ({"clean_up_tokenization_spaces": True}, "cleans up spaces"),
        ({"mask_token": AddedToken("[MASK]", lstrip=True)}, "take white space along"),
        ({"mask_token": "[CLS][SEP]"}, "tokens that overlap"),
        ({"mask_token": "SEP]x"}, "tokens that overlap"),
    ],
)
def test_tokenizers_that_cannot_be_served(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ServingError, match=f"cannot be served, it .*{words}"):
        ByteText(PerceiverTokenizer(**options), LIMIT)


def test_added_tokens_cannot_be_served() -> None:
    tokenizer = PerceiverTokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": list("αβγδεζη")})
    functions(tokenizer)
    tokenizer.add_special_tokens({"additional_special_tokens": list("αβγδεζηθ")})
    with pytest.raises(ServingError, match="more than 13 special tokens"):
        ByteText(tokenizer, LIMIT)
    tokenizer = PerceiverTokenizer()
    tokenizer.add_tokens(["word"])
    with pytest.raises(ServingError, match="added tokens that are not special"):
        ByteText(tokenizer, LIMIT)
