"""What prepares LXMERT's inputs: a tokenizer. Features of objects come from outside."""

from __future__ import annotations

from tfzoo.models.lxmert.tokenizer import LxmertTokenizer, LxmertTokenizerFast

__all__ = ["LxmertTokenizer", "LxmertTokenizerFast"]
