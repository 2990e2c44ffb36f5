"""LXMERT's tokenizer, which is BERT's."""

from __future__ import annotations

from tfzoo.text.bert import BertTokenizer, BertTokenizerFast

__all__ = ["LxmertTokenizer", "LxmertTokenizerFast"]


class LxmertTokenizer(BertTokenizer):
    """`BertTokenizer` under LXMERT's name: `[CLS]` question `[SEP]`, lower-cased.

    The arguments are those of `BertTokenizer`.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "vocab.txt")
        >>> tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "who", "is", "he", "##re", "?"]
        >>> _ = path.write_text("\\n".join(tokens))
        >>> tokenizer = LxmertTokenizer(path)
        >>> tokenizer("Who is here?").input_ids
        [2, 5, 6, 7, 8, 9, 3]
        >>> tokenizer.build_inputs_with_special_tokens([5, 6], [7])
        [2, 5, 6, 3, 7, 3]
        >>> tokenizer.get_special_tokens_mask([5, 6], [7])
        [1, 0, 0, 1, 0, 1]
    """


class LxmertTokenizerFast(BertTokenizerFast):
    """`BertTokenizerFast` under LXMERT's name: `[CLS]` question `[SEP]`, lower-cased.

    The arguments are those of `BertTokenizerFast`.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "vocab.txt")
        >>> tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "who", "is", "he", "##re", "?"]
        >>> _ = path.write_text("\\n".join(tokens))
        >>> tokenizer = LxmertTokenizerFast(path)
        >>> encoding = tokenizer("Who is here?", return_offsets_mapping=True)
        >>> encoding.input_ids
        [2, 5, 6, 7, 8, 9, 3]
        >>> encoding.offset_mapping[3:5]
        [(7, 9), (9, 11)]
    """
