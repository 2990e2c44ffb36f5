"""Known answers that need no checkpoint; `tests/known_answers.py` lists them."""

from __future__ import annotations

import ast

import numpy as np
import pytest
from PIL import Image

import tfzoo
from tests.known_answers import KNOWN_ANSWERS
from tests.support.paths import FIXTURES, ROOT
from tests.text.clip_sentences import write_vocabulary
from tfzoo.models.owlv2.layers import box_bias

CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073]
CLIP_STD = [0.26862954, 0.26130258, 0.27577711]


# ---- the list
@pytest.mark.parametrize("what", KNOWN_ANSWERS)
def test_every_proof_exists(what: str) -> None:
    for proof in KNOWN_ANSWERS[what]:
        path, _, name = proof.partition("::")
        body = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
        assert name in [node.name for node in body if isinstance(node, ast.FunctionDef)], proof


# ---- images
def test_padding_of_owlv2_is_grey_or_black() -> None:
    """A wide photo of 320 x 213 pixels: a third of the square is padding."""
    photo = Image.open(FIXTURES / "photos" / "coffee.jpg")
    grey, black = (
        processor(photo, return_tensors="np").pixel_values[0]
        for processor in (tfzoo.Owlv2ImageProcessor(), tfzoo.Owlv2ImageProcessor(pad_value=0.0))
    )
    edge = 960 * 213 // 320
    for value, pixels in ((0.5, grey), (0.0, black)):
        expected = (value - np.array(CLIP_MEAN)) / CLIP_STD
        below = pixels[:, edge + 8 :].reshape(3, -1)
        np.testing.assert_allclose(below, np.tile(expected[:, None], below.shape[1]), atol=1e-5)
    np.testing.assert_array_equal(grey[:, : edge - 8], black[:, : edge - 8])


def test_clip_preprocessing_is_exact() -> None:
    """What an independent package expects of CLIP's preprocessing, to the last bit."""
    processor = tfzoo.VideoMAEImageProcessor(
        size={"shortest_edge": 224},
        crop_size={"height": 224, "width": 224},
        resample=3,
        image_mean=CLIP_MEAN,
        image_std=CLIP_STD,
    )
    photo = Image.open(FIXTURES / "golden" / "franz-kafka.jpg").convert("RGB")
    pixels = processor([photo], return_tensors="np").pixel_values[0]
    with np.load(FIXTURES / "golden" / "franz-kafka.npz") as golden:
        np.testing.assert_array_equal(pixels, golden["pixel_values"])


# ---- boxes
@pytest.mark.parametrize(
    ("image_size", "patch_size", "expected"),
    [(960, 16, (-4.0717, -3.3644, -2.9425)), (768, 32, (-3.1332, -2.3968, -1.9452))],
    ids=["owlv2", "owlvit"],
)
def test_box_biases(image_size: int, patch_size: int, expected: tuple[float, ...]) -> None:
    side = image_size // patch_size
    rest = expected[0]
    np.testing.assert_allclose(
        box_bias(side, side)[:3, :4], [[first, rest, rest, rest] for first in expected], atol=1e-4
    )


# ---- texts
def test_perceiver_ids() -> None:
    ids = tfzoo.PerceiverTokenizer()("hello world").input_ids
    assert ids == [4, 110, 107, 114, 114, 117, 38, 125, 117, 120, 114, 106, 5]


@pytest.mark.parametrize("cls", [tfzoo.BertTokenizer, tfzoo.BertTokenizerFast])
@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("hello world", [101, 7592, 2088, 102]),
        ("Hello World!", [101, 7592, 2088, 999, 102]),
        ("unaffable naïve CAFÉ", [101, 14477, 20961, 3468, 15743, 7668, 102]),
    ],
)
def test_bert_ids(cls: type, text: str, ids: list[int]) -> None:
    tokenizer = cls(FIXTURES / "tokenizers" / "bert-vocab.txt")
    assert tokenizer(text).input_ids == ids


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tfzoo.CLIPTokenizerFast:
    return tfzoo.CLIPTokenizerFast.from_pretrained(write_vocabulary(tmp_path_factory.mktemp("c")))


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("a photo of a cat", [49406, 320, 1125, 539, 320, 2368, 49407]),
        (
            "a photo of a remote control, 2 cats!",
            [49406, 320, 1125, 539, 320, 9687, 3366, 267, 273, 3989, 256, 49407],
        ),
        ("what's in the video?", [49406, 768, 568, 530, 518, 1455, 286, 49407]),
    ],
)
def test_clip_ids(clip: tfzoo.CLIPTokenizerFast, text: str, ids: list[int]) -> None:
    assert clip(text).input_ids == ids


def test_clip_vocabulary(clip: tfzoo.CLIPTokenizerFast) -> None:
    """256 bytes, the same at the end of a word, 48,894 merges joined, start and end."""
    vocabulary = clip.get_vocab()
    assert len(clip) == len(vocabulary) == 256 + 256 + 48894 + 2
    assert (vocabulary["<|startoftext|>"], vocabulary["<|endoftext|>"]) == (49406, 49407)
