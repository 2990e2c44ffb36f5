"""Texts and calls that the byte tokenizer is tested with."""

from __future__ import annotations

from typing import Any

__all__ = ["BATCH", "CALLS", "PAIRS", "SENTENCES"]

SENTENCES = (
    "",
    " ",
    "hello world",
    "A long paragraph for summarization.",
    "Unicode €.",
    "e è é ê ë",
    "naïve CAFÉ, 日本語, ภาษา, עברית",
    "one 😀 two 👩‍👩‍👧 three",
    "\x00\x01\t\n\r\x7f\x80\xff",
    "This is an incomplete sentence where some words are missing.",
    "This is an incomplete sentence where some words are[MASK][MASK].",
    "[CLS] in the middle [SEP] and [PAD] [BOS][EOS] at the end",
    "[mask] [MASK [MASK]] MASK] [[MASK]",
    "  two  spaces  [MASK]  stay  ",
    " .  , ! ? n't 's",
)
BATCH = ["one two three", "é", "", "[MASK] and some more words after it"]
PAIRS = [("one two three", "é"), ("", "four"), ("abcdefgh", "ijklmnop")]

CALLS: tuple[dict[str, Any], ...] = (
    {"padding": True},
    {"padding": "longest", "pad_to_multiple_of": 8},
    {"padding": "max_length", "max_length": 40},
    {"padding": "max_length", "max_length": 12, "truncation": True},
    {"padding": True, "truncation": "longest_first", "max_length": 9, "return_tensors": "np"},
    {"truncation": True, "max_length": 11, "return_token_type_ids": True},
    {"truncation": True, "max_length": 10, "return_special_tokens_mask": True, "padding": True},
    {"add_special_tokens": False},
    {"add_special_tokens": False, "truncation": True, "max_length": 5, "padding": True},
    {"return_attention_mask": False, "return_length": True},
    {"padding": True, "padding_side": "left", "return_token_type_ids": True},
)
