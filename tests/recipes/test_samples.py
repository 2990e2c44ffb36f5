"""The samples of `tfzoo demo`, as the recipes write them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recipes import (
    owlv2_shapes,
    perceiver_bytes,
    perceiver_flow,
    timesformer_camera_motion,
    tvp_pans,
    xclip_camera_motion,
)
from recipes.samples import write_film
from tfzoo.io import read_video


def test_a_film_keeps_its_frames(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (5, 16, 24, 3), np.uint8)
    write_film(tmp_path / "film.gif", frames)
    clip = read_video(tmp_path / "film.gif", num_frames=5)
    assert clip.frames.shape == frames.shape
    with pytest.raises(ValueError, match="has 1 frames, expected 5"):
        write_film(tmp_path / "still.gif", np.repeat(frames[:1], 5, axis=0))


@pytest.mark.parametrize(
    ("recipe", "files"),
    [
        (timesformer_camera_motion, ["sample.gif"]),
        (xclip_camera_motion, ["sample.gif"]),
        (tvp_pans, ["sample.gif"]),
        (owlv2_shapes, ["sample.png"]),
        (perceiver_flow, ["sample_1.png", "sample_2.png"]),
        (perceiver_bytes, []),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_samples(recipe, files: list[str], tmp_path: Path) -> None:
    recipe.write_sample(tmp_path / "checkpoint")
    folder = tmp_path / "checkpoint"
    assert sorted(path.name for path in folder.iterdir()) == sorted([*files, "demo.json"])
    sample = json.loads((folder / "demo.json").read_text())
    assert set(sample) == {"about", "truth", "predict"}
    assert set(files) <= set(sample["predict"])
    assert sum(path.stat().st_size for path in folder.iterdir()) < 200_000
    for name in files:
        with Image.open(folder / name) as image:
            assert min(image.size) >= 48
