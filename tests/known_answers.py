"""The numbers that anyone can check without a published checkpoint, and the test of each.

Those that published checkpoints give stand in each family's `expected.py`:
`tfzoo verify --published` and `python -m pytest -m network` compute them, and
`tests/modeling/expected/parity_published.py` shows that the reference computes the same.
"""

from __future__ import annotations

__all__ = ["KNOWN_ANSWERS"]

_HERE = "tests/test_known_answers.py"
_MINILM = "tests/models/lxmert/parity_minilm.py"

KNOWN_ANSWERS: dict[str, tuple[str, ...]] = {
    # ---- without a checkpoint
    "OWLv2's processor: the mean of COCO's photo 39769 is 0.2353, or -0.2303 with black padding": (
        # The photo may not be shipped (a row of OWLv2's `expected.py` has it); on one of ours:
        f"{_HERE}::test_padding_of_owlv2_is_grey_or_black",
    ),
    "OWLv2's box bias at 960 / 16": (f"{_HERE}::test_box_biases",),
    "OWL-ViT's box bias at 768 / 32": (f"{_HERE}::test_box_biases",),
    "CLIP's preprocessing of a portrait": (f"{_HERE}::test_clip_preprocessing_is_exact",),
    "Perceiver's ids": (
        f"{_HERE}::test_perceiver_ids",
        "tests/models/perceiver/test_tokenizer.py::test_known_ids",
    ),
    "BERT's ids": (f"{_HERE}::test_bert_ids",),
    "CLIP's ids": (f"{_HERE}::test_clip_ids",),
    "CLIP's vocabulary of 49,408 entries": (f"{_HERE}::test_clip_vocabulary",),
    # ---- with trained weights from a package
    "MiniLM's hidden states in LXMERT's language layers": (
        f"{_MINILM}::test_hidden_states_are_minilms",
        f"{_MINILM}::test_similarities_of_sentences_make_sense",
    ),
}
