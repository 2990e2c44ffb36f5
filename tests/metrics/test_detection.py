"""Average precision on cases that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tfzoo.metrics import average_precision, box_iou

A, B, C = [0, 0, 10, 10], [20, 20, 40, 40], [50, 0, 60, 30]
NOWHERE = [90, 90, 95, 95]


def found(*rows: tuple[float, int, list]) -> dict:
    """Detections of an image from (score, label, box)."""
    scores, labels, boxes = zip(*rows, strict=True) if rows else ((), (), ())
    return {"scores": np.array(scores), "labels": np.array(labels), "boxes": np.array(boxes)}


def real(*rows: tuple[int, list]) -> dict:
    """Targets of an image from (label, box)."""
    labels, boxes = zip(*rows, strict=True) if rows else ((), ())
    return {"labels": np.array(labels, int), "boxes": np.array(boxes)}


def test_all_found_is_one() -> None:
    results = [found((0.2, 0, A), (0.9, 1, B)), found(), found((0.5, 1, C))]
    assert average_precision(results, [real((0, A), (1, B)), real(), real((1, C))]) == 1.0


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], 0.0),
        ([(0.9, 0, NOWHERE)], 0.0),
        ([(0.9, 1, A), (0.8, 1, B)], 0.0),  # another class
        ([(0.9, 0, A)], 1 / 2),
        ([(0.9, 0, A), (0.8, 0, B)], 1.0),
        ([(0.9, 0, A), (0.8, 0, B), (0.7, 0, NOWHERE)], 1.0),  # wrong after all is found
        ([(0.9, 0, NOWHERE), (0.8, 0, A), (0.7, 0, B)], 2 / 3),  # 1/2 and 2/3, lifted to 2/3
        ([(0.9, 0, A), (0.8, 0, NOWHERE), (0.7, 0, B)], (1 + 2 / 3) / 2),
        ([(0.9, 0, A), (0.8, 0, A), (0.7, 0, B)], (1 + 2 / 3) / 2),  # found twice counts once
        ([(0.7, 0, B), (0.8, 0, A), (0.9, 0, NOWHERE)], 2 / 3),  # the order of rows does not matter
    ],
)
def test_two_targets_of_one_class(rows: list, expected: float) -> None:
    score = average_precision([found(*rows)], [real((0, A), (0, B))])
    assert score == pytest.approx(expected)


def test_ranks_go_over_all_images() -> None:
    targets = [real((0, A)), real((0, A))]
    first = average_precision([found((0.9, 0, A)), found((0.8, 0, NOWHERE), (0.7, 0, A))], targets)
    assert first == pytest.approx((1 + 2 / 3) / 2)
    last = average_precision([found((0.6, 0, A)), found((0.8, 0, NOWHERE), (0.7, 0, A))], targets)
    assert last == pytest.approx(2 / 3)


def test_mean_over_classes_that_have_targets() -> None:
    results = [found((0.9, 0, A), (0.8, 7, B))]  # nothing of class 7 is there, class 1 is missed
    assert average_precision(results, [real((0, A), (1, B))]) == 0.5


def test_threshold() -> None:
    half = [0, 0, 10, 5]
    assert box_iou(np.array([A]), np.array([half, B])).tolist() == [[0.5, 0.0]]
    assert average_precision([found((0.9, 0, half))], [real((0, A))], 0.5) == 1.0
    assert average_precision([found((0.9, 0, half))], [real((0, A))], 0.51) == 0.0


def test_a_detection_takes_the_best_target_that_is_free() -> None:
    near, far = [0, 0, 10, 10], [0, 0, 10, 12]
    results = [found((0.9, 0, far), (0.8, 0, far))]  # the second is left with `near`
    assert average_precision(results, [real((0, near), (0, far))]) == 1.0


def test_boxes_without_area_overlap_nothing() -> None:
    point = np.array([[1.0, 1.0, 1.0, 1.0]])
    assert box_iou(point, point).tolist() == [[0.0]]


@pytest.mark.parametrize(
    ("results", "targets", "message"),
    [
        ([found()], [], "1 results for 0 targets"),
        ([], [], "no target in any image"),
        ([found((0.9, 0, A))], [real()], "no target in any image"),
        ([{"labels": [0], "boxes": [A]}], [real((0, A))], r"results\[0\] lacks \['scores'\]"),
        ([found()], [{"class_labels": [0], "boxes": [A]}], r"targets\[0\] lacks \['labels'\]"),
        ([found()], [{"labels": [0, 1], "boxes": [A]}], r"targets\[0\] must hold boxes \(K, 4\)"),
        ([found()], [{"labels": [0], "boxes": [A[:3]]}], "must be corners"),
        ([found()], [{"labels": [0], "boxes": [[5, 5, 1, 1]]}], "must be corners x0 <= x1"),
    ],
)
def test_input_that_is_refused(results: list, targets: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        average_precision(results, targets)


@pytest.mark.parametrize("threshold", [0.0, 1.1, -1.0])
def test_thresholds_that_are_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match=r"iou_threshold must lie in \(0, 1\]"):
        average_precision([found()], [real((0, A))], threshold)
