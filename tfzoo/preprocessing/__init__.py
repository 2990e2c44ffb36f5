"""Host-side preprocessing in numpy and Pillow, equal to the reference's processors bit for bit.

Modules: `image` (what happens to one image), `video` (what counts as videos), `processor` (the base
of the image processors), `tokenizers` (the base of the tokenizers, made of the parts in `text`),
`multimodal` (the base of those that take images and texts), `videomae`, `clip_tokenizer` and
`bert_tokenizer` (which families share). Names load on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfzoo.preprocessing.bert_tokenizer import BertTokenizer, BertTokenizerFast
    from tfzoo.preprocessing.clip_tokenizer import CLIPTokenizer, CLIPTokenizerFast
    from tfzoo.preprocessing.processor import BaseImageProcessor, BatchFeature
    from tfzoo.preprocessing.tokenizers import BaseTokenizer, BatchEncoding, TokenizerError
    from tfzoo.preprocessing.video import make_batched_videos

_MODULES = {
    "BaseImageProcessor": "processor",
    "BaseTokenizer": "tokenizers",
    "BatchEncoding": "tokenizers",
    "BatchFeature": "processor",
    "BertTokenizer": "bert_tokenizer",
    "BertTokenizerFast": "bert_tokenizer",
    "CLIPTokenizer": "clip_tokenizer",
    "CLIPTokenizerFast": "clip_tokenizer",
    "TokenizerError": "tokenizers",
    "make_batched_videos": "video",
}

__all__ = [
    "BaseImageProcessor",
    "BaseTokenizer",
    "BatchEncoding",
    "BatchFeature",
    "BertTokenizer",
    "BertTokenizerFast",
    "CLIPTokenizer",
    "CLIPTokenizerFast",
    "TokenizerError",
    "make_batched_videos",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
