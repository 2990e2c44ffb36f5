"""The parts of a tokenizer, which `tfzoo.preprocessing.tokenizers` puts together.

`files` (reading and writing), `special_tokens` < `vocabulary` < `calls` (layers of the class),
`inputs` (what counts as texts), `lengths` (padding, truncation), `batch_encoding` (the result).
"""

from __future__ import annotations

__all__: list[str] = []
