"""Tokenizers: CLIP's, BERT's, and what every tokenizer is made of.

`tokenizers` is the base class, made of `files` (reading and writing), `special_tokens` <
`vocabulary` < `calls` (layers of the class), `inputs` (what counts as texts), `lengths` (padding,
truncation), `batch_encoding` (the result). For BERT: `basic` (text to words), `wordpiece` (the
backend), `pairs` (cutting what is looked up). Perceiver's bytes are in its own folder.
"""
