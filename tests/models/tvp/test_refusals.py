"""TVP refuses videos, texts and weights that do not fit."""

from __future__ import annotations

import numpy as np
import pytest

from tests.models.tvp.cases import BY_NAME, GROUNDING, inputs, tiny, videos


def test_wrong_videos_are_refused() -> None:
    model, given = GROUNDING.load(), inputs(1)
    rng = np.random.default_rng(0)
    for frames in (2, 4, 6):
        pixels = videos(rng, 1, frames, 3, 32, 32)
        message = rf"prompts are for 3 frames \(num_frames\), pixel_values have {frames}"
        for call in (lambda p: model({**given, **p}), model.encode_video):
            with pytest.raises(ValueError, match=message):
                call(pixels)
    with pytest.raises(ValueError, match=r"for frames of 32 x 32 pixels .* have 32 x 40: .*interp"):
        model({**given, **videos(rng, 1, 3, 3, 32, 40)})
    with pytest.raises(ValueError, match=r"pixel_values must have shape .*num_channels=3"):
        model({**given, **videos(rng, 1, 3, 1, 32, 32)})
    with pytest.raises(ValueError, match="1 x 1 cells|too small.*0 x 0 cells"):
        model({**given, **videos(rng, 1, 3, 3, 8, 8)}, interpolate_pos_encoding=True)
    down = BY_NAME["down_add"].load()
    with pytest.raises(ValueError, match=r"32 x 32 pixels .* 40 x 40: set the processor's sizes\."):
        down({**given, **videos(rng, 1, 3, 3, 40, 40)}, interpolate_pos_encoding=True)
    small = BY_NAME["remove"].load()
    pixels = videos(rng, 1, 2, 2, 40, 40)
    with pytest.raises(ValueError, match="for frames of 32 x 32 pixels"):
        small({**given, **pixels})
    with pytest.raises(ValueError, match="1 texts for 2 videos; each video needs one text"):
        model({**given, **videos(rng, 2, 3, 3, 32, 32)})


def test_grids_beyond_the_tables_are_refused() -> None:
    model = tiny(max_grid_row_position_embeddings=1)
    with pytest.raises(ValueError, match=r"grid of 2 x 2 cells, .* positions for 1 x 8 .*interpol"):
        model(inputs(1))
    assert model(inputs(1), interpolate_pos_encoding=True).logits.shape == (1, 2)


def test_wrong_texts_are_refused() -> None:
    model, given = GROUNDING.load(), inputs(1)
    pixels = {"pixel_values": given["pixel_values"]}
    video = model.encode_video(pixels)
    for call in (lambda ids: model(input_ids=ids, **pixels), lambda ids: model.ground(ids, video)):
        with pytest.raises(ValueError, match="hold 10 tokens, the model has positions for 9"):
            call(np.ones((1, 10), int))
        with pytest.raises(ValueError, match=r"input_ids must lie in \[0, 40\) .* got 1 to 40"):
            call(np.array([[1, 40]]))
    with pytest.raises(ValueError, match=r"attention_mask must have the shape of .*\(1, 6\), got"):
        model({**given, "attention_mask": np.ones((1, 5), int)})
    with pytest.raises(
        ValueError, match=r"head_mask must have shape \(3,\) or \(2, 3\), got \(2,\)"
    ):
        model(given, head_mask=np.ones(2))
    with pytest.raises(ValueError, match="2 queries for 3 videos"):
        model.ground(np.ones((2, 3), int), model.encode_video(inputs(3)["pixel_values"]))
    with pytest.raises(ValueError, match="input_ids is required"):
        model(**pixels)
