"""What fills the screen is shown in a line."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from tfzoo.io.video_reader import VideoClip
from tfzoo.preprocessing.processor import BatchFeature
from tfzoo.text.batch_encoding import BatchEncoding

PIXELS = np.zeros((2, 3, 4, 4), "float32")


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (BatchFeature(), "BatchFeature()"),
        (BatchFeature({"pixel_values": PIXELS}), "BatchFeature(pixel_values=(2, 3, 4, 4) float32)"),
        (
            BatchFeature({"pixel_values": keras.ops.zeros((1, 2)), "labels": None}),
            "BatchFeature(pixel_values=(1, 2) float32, labels=None)",
        ),
        (
            BatchEncoding({"input_ids": [[1, 2], [3, 4]], "mask": [[1], [1, 1]], "words": []}),
            "BatchEncoding(input_ids=2 x 2 x int, mask=2 x different, words=[])",
        ),
        (
            BatchFeature({"pixel_values": [[PIXELS, PIXELS]], "size": (8, 9), "text": "a" * 99}),
            "BatchFeature(pixel_values=1 x 2 x (2, 3, 4, 4) float32, size=2 x int, "
            "text='aaaaaaaaaaaa...aaaaaaaaaaaaa')",
        ),
        (
            VideoClip(np.zeros((8, 4, 6, 3), "uint8"), np.arange(8), 25.0, 200, 8.0),
            "VideoClip(frames=(8, 4, 6, 3) uint8, indices=(8,) int64, fps=25.0, total_frames=200, "
            "duration=8.0, timestamps=(8,) float64)",
        ),
    ],
    ids=["empty", "arrays", "tensors", "lists", "nested", "clip"],
)
def test_one_line_with_shapes(shown: Any, expected: str) -> None:
    assert repr(shown) == str(shown) == expected
