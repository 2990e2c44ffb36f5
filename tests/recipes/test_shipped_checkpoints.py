"""What the checkpoints that ship with tfzoo can do, on data that training never saw.

Each is tested as far as the data here go; the recipes print the figures on the whole test sets.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

import tfzoo
from recipes import (
    lxmert_easy_vqa,
    owlv2_shapes,
    perceiver_bytes,
    perceiver_digits,
    perceiver_flow,
    timesformer_camera_motion,
    tvp_pans,
    xclip_camera_motion,
)
from recipes.easy_vqa_regions import questions
from tests.support.paths import FIXTURES
from tfzoo.assets import shipped_checkpoints

SHIPPED = shipped_checkpoints()
LIMIT, LIMIT_OF_ALL = 1_500_000, 8_000_000


def timesformer(folder: Path) -> None:
    model = tfzoo.TFAutoModelForVideoClassification.from_pretrained(folder)
    processor = tfzoo.AutoImageProcessor.from_pretrained(folder)
    with mock.patch.object(timesformer_camera_motion, "TEST_CLIPS", 70):
        accuracy, _ = timesformer_camera_motion.evaluate(model, processor)
    assert accuracy >= 0.90  # of 350 clips at least 0.97: tests/models/test_camera_motion.py


def xclip(folder: Path) -> None:
    model = tfzoo.TFXCLIPModel.from_pretrained(folder)
    processor = tfzoo.AutoProcessor.from_pretrained(folder)
    assert xclip_camera_motion.evaluate(model, processor, clips=105) >= 0.90


def owlv2(folder: Path) -> None:
    model = tfzoo.TFOwlv2ForObjectDetection.from_pretrained(folder)
    processor = tfzoo.AutoProcessor.from_pretrained(folder)
    assert owlv2_shapes.evaluate(model, processor, scenes=50) >= 0.80
    assert owlv2_shapes.guided_accuracy(model, processor, scenes=12) >= 0.70


def tvp(folder: Path) -> None:
    model = tfzoo.TFTvpForVideoGrounding.from_pretrained(folder)
    processor = tfzoo.AutoProcessor.from_pretrained(folder)
    figures = tvp_pans.evaluate(model, processor, clips=50)
    assert figures["mean_iou"] >= 0.70
    assert figures["constant"] < 0.45


def lxmert(folder: Path) -> None:
    model = tfzoo.TFLxmertForQuestionAnswering.from_pretrained(folder)
    tokenizer = tfzoo.AutoTokenizer.from_pretrained(folder)
    labels = [model.config.id2label[i] for i in range(model.config.num_qa_labels)]
    split = questions("test", FIXTURES / "easy_vqa")
    right = lxmert_easy_vqa.evaluate(model, lxmert_easy_vqa.Encoded(split, tokenizer, labels))
    assert np.mean(right) >= 0.95


def masked_bytes(folder: Path) -> None:
    model = tfzoo.TFPerceiverForMaskedLM.from_pretrained(folder)
    assert perceiver_bytes.evaluate(model)["accuracy"] >= 0.60  # bigrams find 0.29


def flow(folder: Path) -> None:
    model = tfzoo.TFPerceiverForOpticalFlow.from_pretrained(folder)
    figures = perceiver_flow.evaluate(model, pairs=50)
    assert 5 * figures["end_point_error"] <= figures["zero_flow"]


def digits(folder: Path) -> None:
    model = tfzoo.TFPerceiverForImageClassificationFourier.from_pretrained(folder)
    processor = tfzoo.AutoImageProcessor.from_pretrained(folder)
    assert perceiver_digits.evaluate(model, processor) >= 0.90


CHECKS: dict[str, Callable[[Path], None]] = {
    "lxmert-easy-vqa": lxmert,
    "owlv2-shapes": owlv2,
    "perceiver-bytes": masked_bytes,
    "perceiver-digits": digits,
    "perceiver-flow": flow,
    "timesformer-camera-motion": timesformer,
    "tvp-pans": tvp,
    "xclip-camera-motion": xclip,
}


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.slow
def test_a_shipped_checkpoint_keeps_its_promise(name: str) -> None:
    CHECKS[name](SHIPPED[name])


def test_they_are_small() -> None:
    sizes = {
        name: sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
        for name, folder in SHIPPED.items()
    }
    assert max(sizes.values()) <= LIMIT, sizes
    assert sum(sizes.values()) <= LIMIT_OF_ALL, sizes
