"""The parts of a tokenizer, which `tfzoo.preprocessing.tokenizers` puts together.

`files` (reading and writing), `special_tokens` < `vocabulary` < `calls` (layers of the class),
`inputs` (what counts as texts), `lengths` (padding, truncation), `batch_encoding` (the result). For
BERT: `basic` (text to words), `wordpiece` (the backend), `pairs` (cutting what is looked up).
"""

from __future__ import annotations

__all__: list[str] = []
