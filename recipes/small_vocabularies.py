"""Vocabularies made of the recipes' own sentences: byte pairs for CLIP, WordPieces for BERT.

A vocabulary of byte pairs is complete: it begins with all 256 bytes, so that any text can be
encoded; the pairs that are merged are those most frequent in the given texts (Sennrich et al. 2016,
arXiv:1508.07909). One of WordPieces is complete for ASCII.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

__all__ = ["learn_merges", "write_bpe", "write_word_pieces"]

_END = "</w>"
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_ASCII = [chr(code) for code in range(33, 127) if not chr(code).isupper()]


def learn_merges(texts: Iterable[str], count: int) -> list[tuple[str, str]]:
    """The `count` pairs of pieces to merge, the most frequent first; ties by the alphabet.

    Args:
        texts: Any; everything but letters divides words.
        count: At most; fewer where every word becomes whole before.

    Example:
        >>> learn_merges(["low low lower"], 2)
        [('l', 'o'), ('lo', 'w</w>')]
    """
    found = Counter(word for text in texts for word in re.findall("[a-z]+", text.lower()))
    words = {(*word[:-1], word[-1] + _END): times for word, times in found.items()}
    merges: list[tuple[str, str]] = []
    while len(merges) < count:
        pairs: Counter[tuple[str, str]] = Counter()
        for pieces, times in words.items():
            for pair in pairwise(pieces):
                pairs[pair] += times
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        words = {_merged(pieces, best): times for pieces, times in words.items()}
    return merges


def _merged(pieces: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    result: list[str] = []
    for piece in pieces:
        if result and (result[-1], piece) == pair:
            result[-1] += piece
        else:
            result.append(piece)
    return tuple(result)


def _byte_letters() -> list[str]:
    """The letters that represent the 256 bytes, in CLIP's order: printable ones first."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [*map(chr, shown), *(chr(256 + n) for n in range(256 - len(shown)))]


def write_bpe(folder: Path, texts: Iterable[str], merges: int) -> None:
    """Writes `vocab.json` and `merges.txt` of a CLIP tokenizer.

    Args:
        folder: Made if it does not exist.
        texts: What the merges are learnt from.
        merges: How many at most. The vocabulary has 512 + merges + 2 entries.
    """
    pairs, letters = learn_merges(texts, merges), _byte_letters()
    tokens = [*letters, *(letter + _END for letter in letters), *map("".join, pairs)]
    tokens = list(dict.fromkeys([*tokens, "<|startoftext|>", "<|endoftext|>"]))
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {token: index for index, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), "utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in pairs)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", "utf-8")


def write_word_pieces(folder: Path, texts: Iterable[str]) -> None:
    """Writes `vocab.txt` of a BERT tokenizer: all words of the texts, and single signs.

    Args:
        folder: Is made.
        texts: Their words become pieces of their own, in alphabetical order.
    """
    words = {word for text in texts for word in re.findall("[a-z]+", text.lower())}
    pieces = [*_SPECIAL, *_ASCII, *(f"##{sign}" for sign in _ASCII)]
    tokens = list(dict.fromkeys([*pieces, *sorted(words)]))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", "utf-8")
