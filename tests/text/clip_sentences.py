"""Texts and calls on which the tokenizer must give the reference's ids."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from tokenizers.pre_tokenizers import ByteLevel

from tests.support.paths import FIXTURES

DATA = FIXTURES / "tokenizers"
MERGES = DATA / "clip-merges.txt"
RECORDED = DATA / "clip_recorded.json.gz"

PLAIN = [
    "a photo of a cat",
    "a photo of a dog",
    "eating spaghetti",
    "playing sports",
    "go karting",
    "A Photo Of A CAT.",
    "a bad photo of the origami tiger",
    "a centered satellite photo of permanent crop land.",
    "the quick brown fox jumps over the lazy dog",
    "Two people are playing table-tennis, aren't they?",
    "antidisestablishmentarianism",
    "supercalifragilisticexpialidocious",
    "a tattoo of a dragon",
    "an x-ray of a hand",
    "art of the mountain, in the style of van Gogh",
    "i",
    "I",
    "a",
    "Zürich",
    "São Paulo",
    "smørrebrød",
    "Ελληνικά γράμματα",
    "Привет, мир!",
    "שלום עולם",
    "مرحبا بالعالم",
    "हिन्दी में लिखा",
    "สวัสดีชาวโลก",
    "안녕하세요 세계",
    "こんにちは世界",
    "ハーフ ﾊｰﾌ",
    "一只猫的照片",
    "日本語の文章と English の混合",
    "中文,没有空格。",
    "𠀀𠀁𠀂 rare ideographs",
    "İstanbul ıI",
    "ß ẞ Straße",
    "ﬁ ﬂ ﬀ ligatures",
    "Ǆ ǅ ǆ",
    "ΣΊΣΥΦΟΣ ς",
    "¿Qué? ¡Sí!",
    "«guillemets» „quotes“ ‘single’ “double”",
    "it’s curly, don’t you think",
    "… – — ― ‐ ‑",
    "½ ¼ ² ³ ① Ⅳ ٣ ৩ ๓",
    "100% $5.99 €20 £3 ¥500",
    "3.14159 2,000,000 1e-5 0x1F",
    "1234567890",
    "2024-01-31T23:59:59Z",
    "a1b2c3",
    "10km/h 5'11\" 45°",
    "don't can't won't shan't",
    "DON'T CAN'T WON'T",
    "I'm you're he's she'd we'll they've",
    "I'M YOU'RE HE'S SHE'D WE'LL THEY'VE",
    "I'Ll We'Re",
    "'tis 'twas rock'n'roll",
    "o'clock O'Brien's",
    "'' ''' 's 't 're 've 'm 'll 'd",
    "'s's's",
    "dogs' tails",
    "hello,world",
    "hello , world",
    "hello...world!!!",
    "wait... what?! no way!?",
    "(parentheses) [brackets] {braces} <angles>",
    "a/b\\c|d",
    "#hashtag @mention",
    "user@example.com",
    "https://example.com/path?query=1&other=two#fragment",
    "www.example.co.uk:8080",
    "C:\\Users\\name\\file.txt",
    "snake_case camelCase PascalCase kebab-case",
    "__init__ --flag -x ++ -- == != <= >= => ->",
    "```code``` *bold* _italic_ ~strike~",
    "^^ :-) ;-) :D <3 </3 ¯\\_(ツ)_/¯",
    "🎉",
    "🎉🎉🎉",
    "I ❤ you ❤️ so much",
    "👍🏽 thumbs",
    "👨\u200d👩\u200d👧\u200d👦 family",
    "🇩🇪🇫🇷 flags",
    "1️⃣ 2️⃣ keycaps",
    "☕️ coffee ☕ time",
    "a🐈b🐕c",
    "© ® ™ § ¶ † ‡ •",
    "∀x∈ℝ: x²≥0 ∧ √2≈1.414",
    "← ↑ → ↓ ⇒ ⇔",
    "░▒▓█ ┌─┐",
    "𝕌𝕟𝕚𝕔𝕠𝕕𝕖 𝓼𝓬𝓻𝓲𝓹𝓽",
    "Ⓒⓘⓡⓒⓛⓔⓓ ＦＵＬＬＷＩＤＴＨ",
    "<|startoftext|>",
    "<|endoftext|>",
    "<|startoftext|>hello<|endoftext|>",
    "a <|endoftext|> in the middle",
    "no<|endoftext|>space",
    "<|ENDOFTEXT|> in capitals",
    "<|StartOfText|> mixed",
    "<|endoftext|><|endoftext|><|endoftext|>",
    "<|endoftext | > not one",
    "<|startoftext |>",
    "<pad> <mask> [CLS] [SEP] [UNK]",
    "word</w> suffix",
    "</w>",
    "</w></w>",
    "Ġ Ċ ĉ byte symbols",
    "#version: 0.2",
]

SPACED = [
    "",
    " ",
    "   ",
    "\n",
    "\t\t",
    " \n\t\r ",
    "\u00a0",
    "\u3000",
    "\u200b",
    "\ufeff",
    "two  spaces",
    "three   spaces   here",
    " leading",
    "trailing ",
    "  both  ",
    "tab\tseparated",
    "line\nbreak",
    "carriage\r\nreturn",
    "form\ffeed",
    "vertical\vtab",
    "nbsp\u00a0between",
    "thin\u2009space",
    "em\u2003space",
    "ideographic\u3000space",
    "line\u2028separator",
    "paragraph\u2029separator",
    "next\u0085line",
    "narrow\u202fnbsp",
    "ogham\u1680space",
    "mongolian\u180eseparator",
    "zero\u200bwidth",
    "zero\u200djoiner",
    "zero\u200cnon-joiner",
    "word\u2060joiner",
    "\ufeffbyte order mark",
    "soft\u00adhyphen",
    "left\u200eto\u200fright",
    "bidi\u202eoverride\u202c",
]
CONTROLS = [f"a{chr(code)}b" for code in (*range(32), 127, *range(128, 160, 5))]
# the same text composed and decomposed
ACCENTS = [
    "caf\u00e9",
    "cafe\u0301",
    "\u00c9COLE",
    "E\u0301COLE",
    "na\u00efve",
    "nai\u0308ve",
    "\u1ed9",
    "o\u0323\u0302",
    "o\u0302\u0323",
    "\u212b",
    "A\u030a",
    "\u00c5",
    "\u2126",
    "\u03a9",
    "\ud55c\uae00",
    "\u1112\u1161\u11ab\u1100\u1173\u11af",
    "\u0344",
    "e\u0301\u0302\u0303\u0304",
    "\u0301 alone",
    "q\u0307",
    "\u0958",
    "\ufb2c",
    "i\u0307",
    "\u0130",
]
LONG = [
    "a photo of a cat " * 20,
    "word " * 75,
    "word " * 76,
    "word " * 200,
    "a" * 500,
    "abc" * 100,
    "1" * 90,
    "日本" * 60,
    "🎉" * 80,
    "!" * 200,
    "! " * 100,
    "x" * 74 + " end " * 40,
    "pneumonoultramicroscopicsilicovolcanoconiosis " * 12,
]
TEMPLATES = ["a photo of {}.", "{}!", "'{}'", "{}{}", "THE {}"]
FILLED = [
    template.format(word, word)
    for template in TEMPLATES
    for word in ("cat", "Übung", "l'été", "42", "北京", "🐱", "x'LL", "<|endoftext|>", "e\u0301")
]
MARKS = [f"a{mark}b {mark} c{mark}" for mark in "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"]
SENTENCES = [*PLAIN, *SPACED, *CONTROLS, *ACCENTS, *LONG, *FILLED, *MARKS]

BATCH = [
    PLAIN[0],
    "",
    "I'LL  be\u00a0there: 5 cats!",
    "cafe\u0301 🎉 日本",
    LONG[0],
    "<|endoftext|> x",
]
SHORT = [text for text in BATCH if text is not LONG[0]]
PAIRS = [("a cat", "two dogs and a bird"), ("", "b"), ("c", ""), (LONG[0], "short"), ("x", LONG[1])]
WORDS = [["a", "Cat's"], ["two words", "", "e\u0301"], ["🎉"]]

EVERYTHING = {
    "return_token_type_ids": True,
    "return_special_tokens_mask": True,
    "return_offsets_mapping": True,
    "return_length": True,
}
# name: (texts, arguments of the call); none of them warns
CALLS: dict[str, tuple[Any, dict[str, Any]]] = {
    "plain": (SHORT, {}),
    "everything": (SHORT, EVERYTHING),
    "everything padded": (BATCH, {"padding": True, "truncation": True, **EVERYTHING}),
    "everything padded left": (
        BATCH,
        {"padding": True, "truncation": True, "padding_side": "left", **EVERYTHING},
    ),
    "longest": (SHORT, {"padding": "longest"}),
    "do_not_pad": (SHORT, {"padding": "do_not_pad", "truncation": "do_not_truncate"}),
    "max_length": (SHORT, {"padding": "max_length"}),
    "max_length 9": (SHORT, {"padding": "max_length", "max_length": 9}),
    "max_length 30 left": (
        SHORT,
        {"padding": "max_length", "max_length": 30, "padding_side": "left"},
    ),
    "77": (BATCH, {"padding": "max_length", "truncation": True}),
    "77 longest": (BATCH, {"padding": True, "truncation": True}),
    "truncated to 5": (BATCH, {"truncation": True, "max_length": 5}),
    "truncated to 2": (BATCH, {"truncation": True, "max_length": 2}),
    "multiple of 8": (SHORT, {"padding": True, "pad_to_multiple_of": 8}),
    "multiple of 8 left": (
        SHORT,
        {"padding": True, "pad_to_multiple_of": 8, "padding_side": "left"},
    ),
    "max_length 10, multiple of 4": (
        SHORT,
        {"padding": "max_length", "max_length": 10, "pad_to_multiple_of": 4},
    ),
    "multiple without padding": (SHORT, {"pad_to_multiple_of": 8}),
    "no special tokens": (SHORT, {"add_special_tokens": False}),
    "no special tokens, truncated": (
        BATCH,
        {"add_special_tokens": False, "truncation": True, "max_length": 1, "padding": True},
    ),
    "no mask": (SHORT, {"return_attention_mask": False}),
    "overflow": (BATCH, {"truncation": True, "max_length": 8, "return_overflowing_tokens": True}),
    "overflow, stride, padded": (
        BATCH,
        {
            "truncation": True,
            "max_length": 8,
            "stride": 3,
            "padding": True,
            "return_overflowing_tokens": True,
            **EVERYTHING,
        },
    ),
    "pairs": (PAIRS[:3], EVERYTHING),
    "pairs, longest_first": (PAIRS, {"truncation": True, "max_length": 12, **EVERYTHING}),
    "pairs, only_first": (PAIRS[:4], {"truncation": "only_first", "max_length": 11}),
    "pairs, only_second": (
        [PAIRS[0], PAIRS[4]],
        {"truncation": "only_second", "max_length": 9, "padding": "max_length"},
    ),
    "words": (WORDS, {"is_split_into_words": True, **EVERYTHING}),
    "words of one text": (WORDS[0], {"is_split_into_words": True}),
    "one text": (PLAIN[0], EVERYTHING),
    "one text, truncated": (LONG[0], {"truncation": True}),
    "one text, overflow": (
        PLAIN[0],
        {"truncation": True, "max_length": 5, "return_overflowing_tokens": True},
    ),
    "one text, text_pair": (PLAIN[0], {"text_pair": "a dog"}),
    "one text, empty text_pair": (PLAIN[0], {"text_pair": ""}),
    "text_pair": (["a cat", "b"], {"text_pair": ["a dog", ""], "padding": True}),
    "special tokens split": (["<|endoftext|> x"], {"split_special_tokens": True}),
}


def write_vocabulary(folder: Path) -> Path:
    """Write CLIP's `vocab.json` and `merges.txt`; the first follows from the second.

    256 signs for bytes, the same at the end of a word, one token for each merge, two special ones.
    """
    text = MERGES.read_text(encoding="utf-8")
    merged = ["".join(line.split()) for line in text.strip().split("\n")[1:]]
    signs = sorted(ByteLevel.alphabet())
    tokens = [*signs, *(sign + "</w>" for sign in signs), *merged]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (folder / "merges.txt").write_text(text, encoding="utf-8")
    return folder


def results(tokenizer: Any) -> dict[str, Any]:
    """What a tokenizer makes of all this, as plain JSON values."""
    encoded = tokenizer(SENTENCES, return_offsets_mapping=True)
    ids = encoded["input_ids"]
    answers = {
        "ids": ids,
        "mask": encoded["attention_mask"],
        "offsets": encoded["offset_mapping"],
        "decoded": tokenizer.batch_decode(ids),
        "skipped": tokenizer.batch_decode(ids, skip_special_tokens=True),
        "cleaned": tokenizer.batch_decode(ids, clean_up_tokenization_spaces=True),
        "tokens": [tokenizer.tokenize(text) for text in SENTENCES[:60]],
    }
    calls = {name: dict(tokenizer(texts, **call)) for name, (texts, call) in CALLS.items()}
    return json.loads(json.dumps({"sentences": answers, "calls": calls}))


def recorded() -> dict[str, Any]:
    """What the reference made of it."""
    return json.loads(gzip.decompress(RECORDED.read_bytes()))
