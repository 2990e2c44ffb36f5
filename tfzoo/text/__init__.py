"""Tokenizers: CLIP's, BERT's, and what every tokenizer is made of.

`tokenizer` has the base class, whose lower half is `vocabulary` (tokens, ids, special tokens,
decoding); `files` reads and writes, `lengths` pads and truncates, `batch_encoding` is the result.
`clip` and `bert` are the families' own, with `basic` (text to words) and `wordpiece` (the backend)
for BERT. Perceiver's bytes (`byte_level`) get their tokenizer in its own folder.
"""
