"""Every number that anyone can check, and where it is checked.

A row's proof is a test, as `path::name`, or a row of `tfzoo.published`, as `family: name`, which
`tfzoo verify --published` and `python -m pytest -m network` compute with the real checkpoint;
`tests/parity/test_published.py` shows that it is computed as the reference computes it.
"""

from __future__ import annotations

__all__ = ["KNOWN_ANSWERS"]

_HERE = "tests/test_known_answers.py"
_MINILM = "tests/parity/test_lxmert_minilm.py"
_OWLV2, _OWLVIT = "owlv2: google/owlv2-base-patch16", "owlv2: google/owlvit-base-patch32"
_VISION = "perceiver: deepmind/vision-perceiver-"

KNOWN_ANSWERS: dict[str, tuple[str, ...]] = {
    # ---- without a checkpoint
    "OWLv2's processor: the mean of COCO's photo 39769 is 0.2353, or -0.2303 with black padding": (
        # The photo may not be shipped, so this needs the network, too; the same on a photo of ours:
        "owlv2: Owlv2ImageProcessor: the mean of a photo's pixels (grey until transformers 4, "
        "black since 5; tfzoo's default is grey)",
        f"{_HERE}::test_padding_of_owlv2_is_grey_or_black",
    ),
    "OWLv2's box bias at 960 / 16": (f"{_HERE}::test_box_biases",),
    "OWL-ViT's box bias at 768 / 32": (f"{_HERE}::test_box_biases",),
    "CLIP's preprocessing of a portrait": (f"{_HERE}::test_clip_preprocessing_is_exact",),
    "Perceiver's ids": (
        f"{_HERE}::test_perceiver_ids",
        "tests/preprocessing/test_perceiver_tokenizer.py::test_known_ids",
    ),
    "BERT's ids": (f"{_HERE}::test_bert_ids",),
    "CLIP's ids": (f"{_HERE}::test_clip_ids",),
    "CLIP's vocabulary of 49,408 entries": (f"{_HERE}::test_clip_vocabulary",),
    # ---- with trained weights from a package
    "MiniLM's hidden states in LXMERT's language layers": (
        f"{_MINILM}::test_hidden_states_are_minilms",
        f"{_MINILM}::test_similarities_of_sentences_make_sense",
    ),
    # ---- with a published checkpoint
    "LXMERT base, hidden states": (
        "lxmert: unc-nlp/lxmert-base-uncased: hidden states of 11 tokens about 10 random objects",
    ),
    "TimeSformer base k400, logits": (
        "timesformer: facebook/timesformer-base-finetuned-k400: what somebody does in eight frames",
    ),
    "X-CLIP base-patch32, scores": (
        "xclip: microsoft/xclip-base-patch32: one clip and three texts",
    ),
    "X-CLIP base-patch32 at 180 x 180": (
        "xclip: microsoft/xclip-base-patch32: the same clip at 180 x 180 pixels",
    ),
    "OWLv2 base, scores": (
        f"{_OWLV2}: a photo beside two texts",
        f"{_OWLV2}: a photo beside two texts, at 1024 x 1024 pixels",
    ),
    "OWLv2 base, detection": (
        f"{_OWLV2}: where two texts are in a photo",
        f"{_OWLV2}: where two texts are in a photo, at 1024 x 1024 pixels",
        f"{_OWLV2}: where two texts are in a photo, at 1264 x 1024 pixels",
        f"{_OWLV2}: a photo looked for in itself",
    ),
    "OWLv2 base ensemble, boxes in pixels": (f"{_OWLV2}-ensemble: the cats in a photo, in pixels",),
    "OWL-ViT base, scores and boxes": (
        f"{_OWLVIT}: a photo beside two texts",
        f"{_OWLVIT}: a photo beside two texts, at 800 x 800 pixels",
        f"{_OWLVIT}: where two texts are in a photo",
        f"{_OWLVIT}: where two texts are in a photo, at 800 x 800 pixels",
    ),
    "Perceiver language, logits and the hidden bytes": (
        "perceiver: deepmind/language-perceiver: a sentence with hidden bytes",
    ),
    "Perceiver vision, learned, logits": (f"{_VISION}learned: what a photo shows",),
    "Perceiver vision, Fourier, logits": (f"{_VISION}fourier: what a photo shows",),
    "Perceiver vision, convolution, logits": (f"{_VISION}conv: what a photo shows",),
    "Perceiver optical flow of one image twice": (
        "perceiver: deepmind/optical-flow-perceiver: the motion between an image and itself",
    ),
    "TVP tiny-random, hidden states and logits": (
        "tvp: Jiqing/tiny-random-tvp: hidden states of a photo and two tokens",
        "tvp: Jiqing/tiny-random-tvp: the moment that two tokens describe",
    ),
}
