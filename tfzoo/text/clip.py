"""CLIP's tokenizer: lower-cased byte-level BPE whose words end in `</w>`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

from tfzoo.core.files import read_text
from tfzoo.text.files import TokenizerError, check_vocabulary, read_backend, read_vocabulary
from tfzoo.text.tokenizer import BaseTokenizer

__all__ = ["CLIPTokenizer", "CLIPTokenizerFast"]

_START, _END = "<|startoftext|>", "<|endoftext|>"
_END_OF_WORD = "</w>"
# A contraction, a run of letters, one digit, or a run of other signs. Spaces only separate.
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
_MAX_MERGES = 49152 - 256 - 2  # CLIP's list is longer than what was trained; the rest is ignored


class CLIPTokenizerFast(BaseTokenizer):
    """Tokenizer of CLIP, X-CLIP and OWLv2: `<|startoftext|>` text `<|endoftext|>`.

    Text is composed (NFC), lower-cased, and each run of white space becomes one space. The
    padding token is usually `<|endoftext|>` itself: only the mask tells the two apart.

    Args:
        vocab_file: `vocab.json`, tokens and their ids.
        merges_file: `merges.txt`, the pairs that are merged, the most important first.
        tokenizer_file: `tokenizer.json`; wins over the other two.
        unk_token: Stands for what the vocabulary lacks.
        bos_token: Begins each sequence.
        eos_token: Ends each text.
        pad_token: Fills up shorter sequences.
        **kwargs: Further arguments of `BaseTokenizer`, such as `model_max_length=77`.

    Raises:
        TokenizerError: No files, malformed files, or files that do not fit together.
        TypeError: An argument that is not known.

    Source: the reference's `CLIPTokenizerFast`; the pieces come from Radford et al., "Learning
    Transferable Visual Models From Natural Language Supervision".

    Example:
        >>> import json, pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> tokens = ["c", "a", "t", "a</w>", "t</w>", "ca", "cat</w>"]
        >>> tokens += ["<|startoftext|>", "<|endoftext|>"]
        >>> vocabulary = {token: index for index, token in enumerate(tokens)}
        >>> _ = (folder / "vocab.json").write_text(json.dumps(vocabulary))
        >>> _ = (folder / "merges.txt").write_text("#version: 0.2\\nc a\\nca t</w>\\n")
        >>> tokenizer = CLIPTokenizerFast.from_pretrained(folder, model_max_length=77)
        >>> tokenizer(["A cat", "cat"], padding=True, return_tensors="np").input_ids
        array([[7, 3, 6, 8],
               [7, 6, 8, 8]])
        >>> tokenizer.decode([7, 3, 6, 8], skip_special_tokens=True)
        'a cat'
    """

    vocab_files_names: ClassVar[dict[str, str]] = {
        "vocab_file": "vocab.json",
        "merges_file": "merges.txt",
    }
    default_input_names: ClassVar[tuple[str, ...]] = ("input_ids", "attention_mask")

    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        merges_file: str | os.PathLike[str] | None = None,
        tokenizer_file: str | os.PathLike[str] | None = None,
        unk_token: str | AddedToken | None = _END,
        bos_token: str | AddedToken | None = _START,
        eos_token: str | AddedToken | None = _END,
        pad_token: str | AddedToken | None = _END,
        **kwargs: Any,
    ):
        special = {"unk_token": unk_token, "bos_token": bos_token, "eos_token": eos_token}
        if tokenizer_file is not None:
            backend = read_backend(Path(tokenizer_file))
            _check_is_clip(backend, Path(tokenizer_file))
        elif vocab_file is not None and merges_file is not None:
            special = {name: _normalised(name, token) for name, token in special.items()}
            backend = _build(Path(vocab_file), Path(merges_file), special)
        else:
            raise TokenizerError(
                "A CLIP tokenizer needs tokenizer_file (tokenizer.json), or both vocab_file "
                "(vocab.json) and merges_file (merges.txt). Give them, or use "
                f"{type(self).__name__}.from_pretrained with the checkpoint's folder."
            )
        super().__init__(backend, pad_token=pad_token, **special, **kwargs)

    def build_inputs_with_special_tokens(
        self, token_ids_0: Sequence[int], token_ids_1: Sequence[int] | None = None
    ) -> list[int]:
        """`bos ids eos`; a second text follows as `eos ids eos`."""
        ids = [self.bos_token_id, *token_ids_0, self.eos_token_id]
        return ids if token_ids_1 is None else [*ids, ids[-1], *token_ids_1, ids[-1]]

    def create_token_type_ids_from_sequences(
        self, token_ids_0: Sequence[int], token_ids_1: Sequence[int] | None = None
    ) -> list[int]:
        """All zeros: CLIP does not tell the texts of a pair apart."""
        return [0] * len(self.build_inputs_with_special_tokens(token_ids_0, token_ids_1))

    def _text_of(self, ids: list[int], skip_special_tokens: bool, spaces: bool = True) -> str:
        text = super()._text_of(ids, skip_special_tokens, spaces)
        return text.replace(self.backend_tokenizer.model.end_of_word_suffix, " ").strip()


class CLIPTokenizer(CLIPTokenizerFast):
    """`CLIPTokenizerFast` under the name of the reference's slow class, whose files it reads.

    It follows the fast class; the slow one differs on a few texts (it splits Chinese characters).

    Example:
        >>> issubclass(CLIPTokenizer, CLIPTokenizerFast)
        True
    """


def _normalised(name: str, token: str | AddedToken | None) -> AddedToken:
    """A special token that is found in normalised text, so also in capitals."""
    if token is None:
        raise TokenizerError(f"A CLIP tokenizer made of vocab.json and merges.txt needs {name}.")
    if isinstance(token, AddedToken):
        return token
    return AddedToken(token, normalized=True, special=True)


def _build(vocab_file: Path, merges_file: Path, special: Mapping[str, AddedToken]) -> Tokenizer:
    """The backend from `vocab.json` and `merges.txt`."""
    vocabulary = read_vocabulary(vocab_file)
    for name, token in special.items():
        if str(token) not in vocabulary:
            raise TokenizerError(
                f"{vocab_file} lacks the {name} {str(token)!r:.100}. Give the checkpoint's own "
                f"vocabulary, or name the token with {name}=."
            )
    merges = _read_merges(merges_file, vocabulary, vocab_file)
    tokenizer = Tokenizer(
        models.BPE(
            vocab=vocabulary,
            merges=merges,
            continuing_subword_prefix="",
            end_of_word_suffix=_END_OF_WORD,
            fuse_unk=False,
            unk_token=str(special["unk_token"]),
        )
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    start, end = str(special["bos_token"]), str(special["eos_token"])
    tokenizer.post_processor = processors.RobertaProcessing(
        (end, vocabulary[end]),  # by position: the names differ between releases
        (start, vocabulary[start]),
        trim_offsets=False,
        add_prefix_space=False,
    )
    return tokenizer


def _read_merges(path: Path, vocabulary: Mapping[str, int], vocab_file: Path) -> list[tuple]:
    """The merges of `merges.txt`, whose first line names the version of its form."""
    try:
        lines = read_text(path, TokenizerError).strip().split("\n")
    except OSError as error:
        raise TokenizerError(
            f"{path} cannot be read ({error}). Give the path of a merges.txt."
        ) from error
    if "#version" not in lines[0]:
        raise TokenizerError(
            f"{path}: expected '#version: 0.2' in the first line, got {lines[0][:60]!r}. Fetch "
            "the checkpoint's file again."
        )
    merges = [tuple(line.split()) for line in lines[1 : _MAX_MERGES + 1]]
    for number, merge in enumerate(merges, start=2):
        if len(merge) != 2:
            raise TokenizerError(
                f"{path}, line {number}: expected two tokens, got {lines[number - 1][:60]!r}. "
                "Fetch the checkpoint's file again."
            )
        missing = [token for token in (*merge, "".join(merge)) if token not in vocabulary]
        if missing:
            raise TokenizerError(
                f"{path}, line {number}: the token {missing[0]!r:.100} is not in {vocab_file}. "
                "Give the vocab.json and the merges.txt of one checkpoint."
            )
    return merges


def _check_is_clip(backend: Tokenizer, path: Path) -> None:
    kind = type(backend.model).__name__
    suffix = getattr(backend.model, "end_of_word_suffix", None)
    if kind != "BPE" or suffix != _END_OF_WORD:
        raise TokenizerError(
            f"{path}: expected a BPE model whose words end in {_END_OF_WORD!r}, got {kind}"
            f"{f' with the end {suffix!r}' if kind == 'BPE' else ''}. Load it with the tokenizer "
            "class of its own model."
        )
    if not isinstance(backend.pre_tokenizer, pre_tokenizers.Sequence):
        raise TokenizerError(
            f"{path} has the old form of before 2022, which splits words otherwise. Remove it, so "
            "that the vocab.json and merges.txt beside it are used."
        )
    check_vocabulary(backend.get_vocab(with_added_tokens=False), path)
