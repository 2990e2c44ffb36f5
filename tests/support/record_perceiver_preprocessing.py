"""Record what the reference makes of Perceiver's texts and photos.

Run `python -m tests.support.record_perceiver_preprocessing` after a change of either; it needs
transformers 4.57.6.
"""

from __future__ import annotations

import gzip
import json
from typing import Any

import numpy as np

from tests.models.perceiver.image_cases import CASES, RECORDED, RECORDED_TEXTS
from tests.models.perceiver.texts import BATCH, CALLS, PAIRS, SENTENCES
from tests.support.record_preprocessing import digest, thinned


def text_results(tokenizer: Any) -> dict[str, Any]:
    """What a tokenizer makes of all texts and calls, as plain values."""
    ids = [tokenizer(text)["input_ids"] for text in SENTENCES]
    return {
        "ids": ids,
        "tokens": [tokenizer.tokenize(text) for text in SENTENCES],
        "decoded": [tokenizer.decode(row) for row in ids],
        "bare": [tokenizer.decode(row, skip_special_tokens=True) for row in ids],
        "batches": [_plain(tokenizer(BATCH, **call)) for call in CALLS],
        "pairs": [_plain(tokenizer(PAIRS, **call)) for call in CALLS],
    }


def _plain(encoding: Any) -> dict[str, Any]:
    return {name: np.asarray(value, object).tolist() for name, value in encoding.items()}


def main() -> None:
    """Write the recordings anew."""
    from tests.support.reference import transformers

    recorded = {}
    for case in CASES:
        processor = transformers.PerceiverImageProcessor(**case.init)
        pixels = processor(case.images(), return_tensors="np", **case.call).pixel_values
        recorded[f"{case.name}.digest"] = digest(pixels)
        recorded[f"{case.name}.sample"] = thinned(pixels)
    np.savez_compressed(RECORDED, **recorded)
    text = json.dumps(text_results(transformers.PerceiverTokenizer()))
    RECORDED_TEXTS.write_bytes(gzip.compress(text.encode(), mtime=0))
    for path in (RECORDED, RECORDED_TEXTS):
        print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
