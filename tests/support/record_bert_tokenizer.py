"""Record what the reference's BERT tokenizers make of the sentences.

Run `python -m tests.support.record_bert_tokenizer` after a change of the cases; it needs
transformers 4.57.6.
"""

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path
from typing import Any

from tests.text.bert_sentences import (
    RECORDED,
    SENTENCES,
    VARIANTS,
    results,
    write_vocabulary,
)


def reference_of(variant: str, folder: Path, prefix: str = "Lxmert") -> Any:
    """The reference's tokenizer of a variant; its vocabulary is written to `folder`."""
    from tests.support.reference import transformers

    kind, vocabulary, options = VARIANTS[variant]
    cls = getattr(transformers, f"{prefix}Tokenizer{kind}")
    path = write_vocabulary(folder, vocabulary) / "vocab.txt"
    return cls(str(path), model_max_length=512, **options)


def main() -> None:
    """Write the recording anew."""
    with tempfile.TemporaryDirectory() as folder:
        answers = {name: results(reference_of(name, Path(folder)), name) for name in VARIANTS}
    text = json.dumps(answers, separators=(",", ":"), ensure_ascii=True)
    RECORDED.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))
    size = RECORDED.stat().st_size / 1e3
    print(f"{len(SENTENCES)} sentences, {len(VARIANTS)} variants, {size:.0f} kB")


if __name__ == "__main__":
    main()
