"""Region features before they reach LXMERT: boxes, checks, batches."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.test_regions import NAMES, RECORDS, WIDTH, record
from tfzoo.data import regions as lxmert_features
from tfzoo.data.regions import (
    RegionFeatureError,
    RegionFeatures,
    RegionFeatureWarning,
    check_region_features,
    normalize_boxes,
    region_batch,
)


# ---- boxes
def test_boxes_become_fractions_as_the_authors_make_them() -> None:
    boxes = np.array([[[0, 0, 640, 480], [64, 120, 320, 240]], [[0, 0, 10, 20], [5, 5, 5, 5]]])
    got = normalize_boxes(boxes, np.array([480, 20]), np.array([640, 10]))
    assert got.dtype == np.float32
    np.testing.assert_allclose(
        got, [[[0, 0, 1, 1], [0.1, 0.25, 0.5, 0.5]], [[0, 0, 1, 1], [0.5, 0.25, 0.5, 0.25]]]
    )
    assert normalize_boxes(np.zeros((0, 4)), 4, 4).shape == (0, 4)
    edge = normalize_boxes(np.array([[-0.5, 0, 640.9, 480.3]]), 480, 640)
    assert edge.tolist() == [[0, 0, 1, 1]]


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([[10, 10, 700, 20]], "reach to x = 700 and y = 20.*swapped"),
        ([[10, 10, 20, 600]], "of width 640 and height 480"),
        ([[-30, 10, 20, 60]], "from -30"),
        ([[100, 100, 50, 120]], "end before they begin, such as"),
        ([[0.1, 0.2, 0.3, 0.9]], "between 0 and 1 already"),
        ([[np.nan, 0, 1, 2]], "NaN"),
        ([[np.inf, 0, np.inf, 2]], "NaN"),
        ([[0, 1, 2]], r"expected boxes \(..., N, 4\)"),
        ([0, 1, 2, 3], r"expected boxes \(..., N, 4\)"),
    ],
)
def test_boxes_other_than_corners_in_pixels(boxes: list, message: str) -> None:
    with pytest.raises(RegionFeatureError, match=message):
        normalize_boxes(np.array(boxes), height=480, width=640)
    with pytest.raises(RegionFeatureError, match="positive height"):
        normalize_boxes(np.array([[0, 0, 4, 4]]), height=0, width=640)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(
    height=st.integers(2, 4000),
    width=st.integers(2, 4000),
    parts=st.lists(st.tuples(*[st.floats(0, 1)] * 4), min_size=1, max_size=9),
)
def test_any_box_inside_an_image_lands_between_0_and_1(height, width, parts) -> None:
    corners = np.sort(np.array(parts).reshape(-1, 2, 2), axis=1).reshape(-1, 4)
    corners[0] = [0, 0, 1, 1]
    got = normalize_boxes(corners * [width, height, width, height], height, width)
    np.testing.assert_allclose(got, corners, atol=1e-5)


# ---- what to check
def good(regions: int = 36, width: int = 2048) -> tuple[np.ndarray, np.ndarray]:
    made = record("good", regions, width)
    return 3 * made.features[None], made.normalized_boxes()[None]


def test_sound_features_pass_silently() -> None:
    feats, boxes = good()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_region_features(feats, boxes)
        check_region_features(feats[0], boxes[0])
        check_region_features(feats[:, :9], boxes[:, :9], num_boxes=9)
        check_region_features(feats[:, :9], boxes[:, :9])
        check_region_features(feats, boxes, np.ones((1, 36)))
        check_region_features(feats, 50 * np.tile(boxes, 2), box_width=8)


def change(name: str, value: object, at: object = ...) -> dict:
    feats, boxes = good()
    arrays = {"visual_feats": feats.copy(), "visual_pos": boxes.copy()}
    arrays[name][at] = value
    return arrays


PIXELS = good()[1] * [640, 480, 640, 480]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (change("visual_pos", PIXELS), "visual_pos reaches from .* pass normalize_boxes"),
        (change("visual_pos", 1.1, (0, 3, 2)), "reaches from .* to 1.1"),
        (change("visual_pos", -0.1, (0, 3, 0)), "reaches from -0.1"),
        (change("visual_pos", [0.8, 0.8, 0.1, 0.1], (0, 3)), "1 of 36 boxes end before they begin"),
        (change("visual_pos", 0), "visual_pos is zero everywhere"),
        (change("visual_feats", 0), "visual_feats is zero everywhere"),
        (change("visual_pos", np.nan, (0, 1, 2)), "visual_pos has 1 NaN or infinite"),
        (change("visual_feats", np.inf, (0, 1)), "visual_feats has 2048 NaN or infinite"),
        ({**change("visual_pos", 0.5), "feature_width": 1024}, "width 1024, got 2048"),
        ({"visual_feats": good()[0], "visual_pos": good()[1][..., :2]}, "width 4, got 2"),
        ({"visual_feats": good()[0], "visual_pos": good()[1][:, :35]}, r"visual_pos has \(1, 35\)"),
        ({"visual_feats": good()[0][0], "visual_pos": good()[1]}, "or both without B"),
        ({"visual_feats": good()[0], "visual_pos": good()[1][0]}, "or both without B"),
    ],
)
def test_what_would_ruin_the_answers_is_refused(arrays: dict, message: str) -> None:
    with pytest.raises(RegionFeatureError, match=message):
        check_region_features(**arrays)


def test_masks_are_respected() -> None:
    arrays = change("visual_pos", [np.nan, 5, 0, 0], (0, 35))
    mask = np.ones((1, 36), int)
    with pytest.raises(RegionFeatureError, match="NaN"):
        check_region_features(**arrays, visual_attention_mask=mask)
    mask[0, 35] = 0
    check_region_features(**arrays, visual_attention_mask=mask)
    with pytest.raises(RegionFeatureError, match=r"visual_attention_mask: expected \(1, 36\)"):
        check_region_features(**arrays, visual_attention_mask=mask[:, 1:])
    with pytest.raises(RegionFeatureError, match="no region counts"):
        check_region_features(**arrays, visual_attention_mask=0 * mask)


def sizes_instead_of_corners() -> dict:
    feats, boxes = good()
    return {
        "visual_feats": feats,
        "visual_pos": np.concatenate([0.3 * boxes[..., :2], 0.3 * boxes[..., :2] + 0.1], -1),
    }


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({**change("visual_feats", 1.0, 0), "num_boxes": 20}, "36 regions an image"),
        (change("visual_pos", 0, (0, slice(30, None))), "6 of 36 boxes are zero"),
        (change("visual_feats", 0, (0, slice(30, None))), "6 of 36 regions have features of zeros"),
        (change("visual_feats", -1.0, (0, slice(18))), "50 % of visual_feats are negative"),
        (sizes_instead_of_corners(), r"looks like \(x, y, width, height\)"),
        (
            change("visual_feats", good()[0] / np.linalg.norm(good()[0], axis=-1, keepdims=True)),
            "every row of visual_feats has the length 1",
        ),
    ],
)
def test_what_is_probably_unintended_is_warned_of(arrays: dict, message: str) -> None:
    with pytest.warns(RegionFeatureWarning, match=message) as caught:
        check_region_features(**arrays)
    assert len(caught) == 1
    assert caught[0].filename == __file__


# ---- batches
def test_batches_are_padded_and_masked() -> None:
    batch = region_batch(RECORDS)
    assert {name: array.shape for name, array in batch.items()} == {
        "visual_feats": (3, 4, WIDTH),
        "visual_pos": (3, 4, 4),
        "visual_attention_mask": (3, 4),
    }
    assert batch["visual_attention_mask"].tolist() == [[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    assert np.array_equal(batch["visual_feats"][0, :2], RECORDS[0].features)
    assert not batch["visual_feats"][0, 2:].any()
    assert batch["visual_pos"].max() <= 1
    check_region_features(**batch, feature_width=WIDTH)
    with pytest.raises(RegionFeatureError, match=r"one feature width, got the widths \[6, 7\]"):
        region_batch([RECORDS[0], record("other", width=7)])
    with pytest.raises(RegionFeatureError, match=r"got the widths \[\]"):
        region_batch([])
    outside = replace(RECORDS[0], width=100)
    with pytest.raises(RegionFeatureError, match=f"image '{NAMES[0]}': boxes reach"):
        region_batch([outside])


def test_records_must_fit_together() -> None:
    boxes, feats = RECORDS[0].boxes, RECORDS[0].features
    for arguments in (
        (480, 640, boxes[:1], feats),
        (480, 640, boxes[0], feats),
        (480, 640, boxes, feats[0]),
        (0, 640, boxes, feats),
    ):
        with pytest.raises(RegionFeatureError, match="image 'x': expected"):
            RegionFeatures("x", *arguments)


def test_the_public_module_has_it_all() -> None:
    for name in lxmert_features.__all__:
        assert getattr(lxmert_features, name) is not None
