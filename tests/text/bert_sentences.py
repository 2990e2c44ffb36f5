"""Texts, options and calls on which the BERT tokenizers must give the reference's ids."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from tests.support.paths import FIXTURES
from tests.text import clip_sentences

DATA = FIXTURES / "tokenizers"
VOCABULARY = DATA / "bert-vocab.txt"
RECORDED = DATA / "bert_recorded.json.gz"
SPECIAL = ("[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]")

WORDS_AND_PIECES = [
    "Who is eating the apple?",
    "unaffable",
    "what color is the cat's collar",
    "embeddings tokenization hyperparameters",
    "Hello, my dog is cute",
    "do n't do n ' t don't",
    "I ' m you ' re he ' s we ' ve , . ! ?",
    "it is n't , they 're , I 'm , we 've , she 's .",
    "##ing ##s",
    "a ##b c##d",
    "# # #",
    "zzzzzz qqqq xkcd",
    "x" * 100,
    "x" * 101,
    "é" * 100,
    "é" * 101,
    "e\u0301" * 100,
    "e\u0301" * 101,
    "İ" * 60,
    "x" * 99 + "!" + "y" * 101,
    "a" * 100 + " and " + "a" * 101,
    "ΣΑΣ ΟΔΟΣ Σ",
    "ǅ ŉ ǰ ΐ ﬁ ﬀ ß ẞ İ I ı",
    "résumé naïve Ångström coöperate São Zürich",
    "Résumé NAÏVE ÅNGSTRÖM Ñandú Ça",
    "Hello World! Caf\u00e9 CAFE\u0301",
    "\u0301 \u0300a a\u0300\u0301\u0327b",
    "한국어 텍스트 조선글",
    "か\u3099が ハ\u309aパ",
    "\u0939\u093f\u0928\u094d\u0926\u0940",
    "zażółć gęślą jaźń Đorđe Øre Łódź",
    "vi\u1ec7t nam ti\u1ebfng",
    "\u1e9b\u0323 \u1e69",
]
IDEOGRAPHS = [
    "ah\u535a\u63a8zz",
    "中华人民共和国",
    "日本語のテキストABC漢字123",
    "\u4e00\u9fff\u3400\u4dbf\uf900\ufaff",
    "\U00020000\U0002a6df\U0002a700\U0002b73f\U0002b740\U0002b81f\U0002b820\U0002ceaf\U0002f800",
    "x\u3400y\u33ffz\u4dc0w",
    "、。「」・ー〜",
    "ひらがな カタカナ",
    "中 国",
    "①②㈱㍿",
]
INVISIBLE = [
    "soft\u00adhy\u00adphen",
    "zero\u200bwidth\u200cspace\u200djoined",
    "\ufeffmark\ufeff",
    "nul\0nul \ufffd\ufffdreplaced\ufffd",
    "tab\tnew\nline\r\nreturn",
    "private\ue000use",
    "line\u2028para\u2029graph",
    "nel\u0085next",
    "a\u001cb\u001fc",
    "\u00a0\u2003\u3000",
    "bidi \u202a left \u202c",
    "\u180e mongolian",
]
SIGNS = [
    "a+b=c ~x ^y `z` |w| $5 <tag>",
    "…—–‘’“”«»¿¡§¶",
    "·•‣※†‡",
    "€£¥₩ ±×÷ °",
    "5'11\" 3.14 1,000",
    "\u055a\u05be\u060c\u0964\u3001",
    "👩\u200d🚀 🏳️\u200d🌈 ☺️",
    "😀😀 so😀happy",
    "𝕋 𝒳 Ⅷ ½",
]
GLUED = [
    "a[MASK]b",
    "[MASK][MASK]",
    "[mask] [Mask] [MASK ] [ MASK]",
    "The capital is [MASK].",
    "[CLS] already [SEP] formatted [SEP]",
    "x[SEP]y[PAD]z[UNK]",
    "UNK[UNK]unk [UNK]!",
    "[[MASK]]",
    "[MASK",
    "MASK]",
    " [MASK] \u00a0[SEP]",
    "É[MASK]É",
    "中[MASK]国",
    "[CLS][SEP]",
]
OWN = [*WORDS_AND_PIECES, *IDEOGRAPHS, *INVISIBLE, *SIGNS, *GLUED]
SENTENCES = [*OWN, *clip_sentences.SENTENCES]
FEW = [*OWN, *clip_sentences.PLAIN, *clip_sentences.SPACED, *clip_sentences.ACCENTS]

NEVER = ["c++", "who's", "C++", "Ünsplit", "hello-world", "résumé", "[mask]", "!!!", "don't"]
NEVER_TEXTS = [
    "I like C++ and c++ , (c++) c++.",
    "who's Who's ünsplit Ünsplit",
    "hello-world Hello-World !!! a!!!",
    "résumé RÉSUMÉ resume [mask] don't",
]
# name: (name of the class, name of the vocabulary, arguments)
VARIANTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "fast": ("Fast", "uncased", {}),
    "slow": ("", "uncased", {}),
    "slow, words only": ("", "uncased", {"do_basic_tokenize": False}),
    "slow, never_split": ("", "uncased", {"never_split": NEVER}),
    "slow, cased, never_split": ("", "cased", {"never_split": NEVER, "do_lower_case": False}),
    **{
        f"{kind}, cased={cased}, strip_accents={strip}": (
            "Fast" if kind == "fast" else "",
            "cased" if cased else "uncased",
            {"do_lower_case": not cased, "strip_accents": strip},
        )
        for kind in ("fast", "slow")
        for cased, strip in [(True, None), (True, True), (True, False), (False, False)]
    },
    **{
        f"{kind}, ideographs as letters": (
            "Fast" if kind == "fast" else "",
            "uncased",
            {"tokenize_chinese_chars": False},
        )
        for kind in ("fast", "slow")
    },
}

LONG = "the cat sat on the mat and looked at the dog " * 4
BATCH = ["a red cat", "", "Caf\u00e9s, you say?", LONG, "[MASK] x", "unaffable 日本"]
SHORT = [text for text in BATCH if text is not LONG]
PAIRS = [
    ("a cat", "two dogs and a bird"),
    ("", "b"),
    ("c", ""),
    (LONG, "short"),
    ("x", LONG),
    ("one two three four five", "six seven eight nine ten"),
    ("one two three four five six", "six seven eight nine ten"),
    ("one two three four five", "six seven eight nine ten eleven"),
]
WORDS = [["a", "Cat's"], ["two words", "", "e\u0301"], ["[MASK]x"]]
EVERYTHING = {
    "return_special_tokens_mask": True,
    "return_offsets_mapping": True,
    "return_length": True,
}
_PADDED = {"padding": True, "truncation": True, "max_length": 20}
_OVERFLOW = {"truncation": True, "max_length": 8, "return_overflowing_tokens": True}
# name: (texts, arguments of the call), for both classes; none of them warns
CALLS: dict[str, tuple[Any, dict[str, Any]]] = {
    "plain": (SHORT, {}),
    "padded": (BATCH, _PADDED),
    "padded left": (BATCH, {**_PADDED, "padding_side": "left"}),
    "mask of special tokens": (BATCH, {**_PADDED, "return_special_tokens_mask": True}),
    "max_length": (SHORT, {"padding": "max_length", "max_length": 16}),
    "512": (SHORT[:2], {"padding": "max_length", "truncation": True}),
    "multiple of 8": (SHORT, {"padding": True, "pad_to_multiple_of": 8}),
    "truncated to 5": (BATCH, {"truncation": True, "max_length": 5}),
    "no special tokens": (SHORT, {"add_special_tokens": False}),
    "no types": (SHORT, {"return_token_type_ids": False, "return_attention_mask": False}),
    "pairs": (PAIRS, {}),
    "pairs, padded": (PAIRS[:3], {"padding": True, "return_special_tokens_mask": True}),
    "pairs, only_first": (PAIRS[:4], {"truncation": "only_first", "max_length": 11}),
    "pairs, only_second": ([PAIRS[0], PAIRS[4]], {"truncation": "only_second", "max_length": 7}),
    **{
        f"pairs, longest_first, {length}": (PAIRS, {"truncation": True, "max_length": length})
        for length in range(3, 15)
    },
    "words": (WORDS, {"is_split_into_words": True}),
    "words of one text": (WORDS[0], {"is_split_into_words": True}),
    "one text": (BATCH[0], {}),
    "one text, pair": (BATCH[0], {"text_pair": "a dog"}),
    "text_pair": (["a cat", "b"], {"text_pair": ["a dog", ""], "padding": True}),
}
# what the reference's slow class lacks or answers in another form
FAST_CALLS: dict[str, tuple[Any, dict[str, Any]]] = {
    "everything": (SHORT, EVERYTHING),
    "truncated to 2": (BATCH, {"truncation": True, "max_length": 2}),
    "everything padded": (BATCH, {**_PADDED, **EVERYTHING}),
    "everything of words": (WORDS, {"is_split_into_words": True, **EVERYTHING}),
    "everything of pairs": (PAIRS, {**_PADDED, **EVERYTHING}),
    "no special tokens, pairs": (PAIRS, {"add_special_tokens": False}),
    "overflow": (BATCH, _OVERFLOW),
    "overflow, stride, padded": (BATCH, {**_OVERFLOW, "stride": 3, "padding": True, **EVERYTHING}),
    "overflow of pairs": (PAIRS, {**_OVERFLOW, **EVERYTHING}),
    "overflow, only_second": (
        [PAIRS[0], PAIRS[4]],
        {**_OVERFLOW, "truncation": "only_second", "stride": 1},
    ),
    "empty second text": (BATCH[0], {"text_pair": ""}),
    "special tokens split": (GLUED, {"split_special_tokens": True}),
}


def vocabulary_of(name: str) -> list[str]:
    """The tokens of "uncased", BERT's own, or of "cased", which also has capitals and accents."""
    tokens = VOCABULARY.read_text(encoding="utf-8").split("\n")[:-1]
    if name == "uncased":
        return tokens
    letters = [chr(code) for code in (*range(65, 91), *range(0xC0, 0x180))]
    more = [token.capitalize() for token in tokens[1996:8000] if token.isalpha()]
    more += [form for letter in letters for form in (letter, f"##{letter}")]
    more += ["Caf\u00e9", "R\u00e9sum\u00e9", "Z\u00fcrich", "C++", "don't"]
    return list(dict.fromkeys([*tokens, *more]))


def write_vocabulary(folder: Path, name: str = "uncased") -> Path:
    """Write `vocab.txt`."""
    text = "".join(f"{token}\n" for token in vocabulary_of(name))
    (folder / "vocab.txt").write_text(text, encoding="utf-8", newline="\n")
    return folder


def texts_of(variant: str) -> list[str]:
    """What a variant is tried on: the two plain ones on everything."""
    if variant in ("fast", "slow"):
        return SENTENCES
    return [*FEW, *NEVER_TEXTS] if "never" in variant else FEW


def results(tokenizer: Any, variant: str) -> dict[str, Any]:
    """What the tokenizer of a variant makes of all this, as plain JSON values."""
    texts = texts_of(variant)
    ids = tokenizer(texts)["input_ids"]
    answers = {"ids": ids, "tokens": [tokenizer.tokenize(text) for text in texts[:120]]}
    if variant not in ("fast", "slow"):
        return json.loads(json.dumps(answers))
    answers |= {
        "decoded": tokenizer.batch_decode(ids),
        "skipped": tokenizer.batch_decode(ids, skip_special_tokens=True),
        "cleaned": tokenizer.batch_decode(ids, clean_up_tokenization_spaces=True),
        "as is": tokenizer.batch_decode(ids, clean_up_tokenization_spaces=False),
    }
    if variant == "fast":
        answers["offsets"] = tokenizer(texts, return_offsets_mapping=True)["offset_mapping"]
    calls = calls_of(variant)
    answers["calls"] = {name: dict(tokenizer(text, **call)) for name, (text, call) in calls.items()}
    return json.loads(json.dumps(answers))


def calls_of(variant: str) -> dict[str, tuple[Any, dict[str, Any]]]:
    """The calls that a class can answer."""
    return {**CALLS, **FAST_CALLS} if variant == "fast" else CALLS


def recorded() -> dict[str, Any]:
    """What the reference made of it, by variant."""
    return json.loads(gzip.decompress(RECORDED.read_bytes()))
