"""Byte pairs and WordPieces that are learnt from a few sentences."""

from __future__ import annotations

from pathlib import Path

import tfzoo
from recipes.small_vocabularies import learn_merges, write_bpe, write_word_pieces


def test_the_most_frequent_pairs_are_merged_first() -> None:
    assert learn_merges(["low low lower"], 2) == [("l", "o"), ("lo", "w</w>")]
    merges = learn_merges(["pan pan pan left left"], 50)
    assert merges[0] == ("a", "n</w>"), "of equal counts the first in the alphabet"
    assert {"".join(pair) for pair in merges} >= {"pan</w>", "left</w>"}
    assert len(merges) == 5, "whole words need no further merges"


def test_byte_pairs_encode_any_text(tmp_path: Path) -> None:
    write_bpe(tmp_path, ["the camera pans left"], 30)
    tokenizer = tfzoo.CLIPTokenizerFast.from_pretrained(tmp_path, model_max_length=77)
    ids = tokenizer("the camera pans left").input_ids
    assert len(ids) == 6, "begin, four whole words, end"
    assert ids[-1] == len(tokenizer) - 1, "the model pools at the largest id"
    for text in ("unheard words, 42!", "ein schöner Tag – 日本"):
        encoded = tokenizer(text).input_ids
        assert len(tokenizer) - 1 not in encoded[:-1], "nothing is unknown"
        letters = tokenizer.decode(encoded, skip_special_tokens=True)
        assert letters.replace(" ", "") == text.lower().replace(" ", "")
    assert tokenizer.convert_tokens_to_ids("!") == 0, "OWLv2 pads with it"


def test_words_are_pieces_of_their_own(tmp_path: Path) -> None:
    write_word_pieces(tmp_path, ["when does it pan left?"])
    tokenizer = tfzoo.BertTokenizerFast.from_pretrained(tmp_path)
    ids = tokenizer("When does it pan left?").input_ids
    assert len(ids) == 8
    assert tokenizer.unk_token_id not in tokenizer("zebras, 7 of them").input_ids
    assert tokenizer.pad_token_id == 0
