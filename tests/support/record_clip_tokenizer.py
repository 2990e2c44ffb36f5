"""Record what the reference's CLIP tokenizer makes of the sentences.

Run `python -m tests.support.record_clip_tokenizer` after a change of the cases; it needs
transformers 4.57.6.
"""

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path

from tests.text.clip_sentences import CALLS, RECORDED, SENTENCES, results, write_vocabulary


def main() -> None:
    """Write the recording anew."""
    from tests.support.reference import transformers

    with tempfile.TemporaryDirectory() as folder:
        write_vocabulary(Path(folder))
        tokenizer = transformers.CLIPTokenizerFast.from_pretrained(folder, model_max_length=77)
    text = json.dumps(results(tokenizer), separators=(",", ":"), ensure_ascii=True)
    RECORDED.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))
    size = RECORDED.stat().st_size / 1e3
    print(f"{len(SENTENCES)} sentences, {len(CALLS)} calls, {size:.0f} kB")


if __name__ == "__main__":
    main()
