"""The detection loss against NumPy in float64, and what it must refuse."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfzoo.losses.detection.loss import detection_loss, generalized_iou, prepare_targets

RNG = np.random.default_rng(0)
BOX = [0.5, 0.5, 0.2, 0.2]
TARGETS = [
    {"boxes": [[0.3, 0.4, 0.2, 0.3], [0.7, 0.6, 0.5, 0.4]], "class_labels": [2, 0]},
    {"boxes": [], "class_labels": []},
    {"boxes": np.array([[0.5, 0.5, 1.0, 1.0]]), "class_labels": np.array([1])},
]
PARTS = ("loss_class", "loss_bbox", "loss_giou", "loss_objectness")


def predictions(images: int = 3, boxes: int = 5, queries: int = 3) -> tuple[np.ndarray, ...]:
    """Logits, objectness logits and boxes."""
    rng = np.random.default_rng(1)
    return (
        rng.normal(size=(images, boxes, queries)).astype("float32"),
        rng.normal(size=(images, boxes)).astype("float32"),
        rng.uniform(0.2, 0.5, size=(images, boxes, 4)).astype("float32"),
    )


# ---- the same in NumPy, image by image, pair by pair
def by_hand(
    logits: np.ndarray, objectness: np.ndarray, boxes: np.ndarray, targets: list[dict]
) -> dict[str, float]:
    """All components for weights of 1, alpha 0.3 and gamma 2, with a search of every matching."""
    rows = []
    for scores, objects, found, target in zip(logits, objectness, boxes, targets, strict=True):
        p = 1 / (1 + np.exp(-scores.astype("float64")))
        present, absent = -0.3 * (1 - p) ** 2 * np.log(p), -0.7 * p**2 * np.log(1 - p)
        real, classes = np.reshape(target["boxes"], (-1, 4)), target["class_labels"]
        l1 = [[np.abs(b - t).sum() for t in real] for b in found.astype("float64")]
        iou = [[iou_by_hand(b, t) for t in real] for b in found.astype("float64")]
        pairs = min(
            (list(zip(c, range(len(real)), strict=True)) for c in
             itertools.permutations(range(len(found)), len(real))),
            key=lambda pairs: sum(
                (present - absent)[b, classes[t]] + l1[b][t] - iou[b][t] for b, t in pairs
            ),
        )  # fmt: skip
        focal = absent.sum() + sum((present - absent)[b, classes[t]] for b, t in pairs)
        best = p.max(axis=1)
        o = 1 / (1 + np.exp(-objects.astype("float64")))
        entropy = -(best * np.log(o) + (1 - best) * np.log(1 - o)).mean()
        count = max(1, len(real))
        distance = sum(l1[b][t] for b, t in pairs) / count
        overlap = sum(1 - iou[b][t] for b, t in pairs) / count
        rows.append([focal / count, distance, overlap, entropy])
    return dict(zip(PARTS, np.mean(rows, axis=0), strict=True))


def iou_by_hand(one: np.ndarray, other: np.ndarray) -> float:
    """Generalised IoU of two boxes (cx, cy, w, h)."""
    (a, b), (c, d) = ((x[:2] - x[2:] / 2, x[:2] + x[2:] / 2) for x in (one, other))
    shared = np.prod(np.maximum(np.minimum(b, d) - np.maximum(a, c), 0))
    union = np.prod(b - a) + np.prod(d - c) - shared
    hull = np.prod(np.maximum(b, d) - np.minimum(a, c))
    return shared / union - (hull - union) / hull


def test_components_are_those_by_hand() -> None:
    inputs = predictions()
    losses = detection_loss(*inputs, TARGETS)
    assert set(losses) == {"loss", *PARTS}
    expected = by_hand(*inputs, TARGETS)
    for name, value in expected.items():
        assert float(losses[name]) == pytest.approx(value, rel=1e-5), name
    assert float(losses["loss"]) == pytest.approx(sum(expected.values()), rel=1e-5)


def test_weights_scale_components_and_images() -> None:
    inputs = predictions()
    weights = {
        "class_weight": 2.0,
        "box_weight": 2.0,
        "giou_weight": 2.0,
        "objectness_weight": 0.5,
    }
    losses = {k: float(v) for k, v in detection_loss(*inputs, TARGETS, **weights).items()}
    expected = by_hand(*inputs, TARGETS)  # one factor for all terms leaves the matching as it was
    parts = [expected[name] for name in PARTS]
    assert losses["loss"] == pytest.approx(2 * sum(parts[:3]) + 0.5 * parts[3], rel=1e-5)
    only = detection_loss(*inputs, TARGETS, sample_weight=np.array([0.0, 0.0, 3.0]))
    last = by_hand(*(x[2:] for x in inputs), TARGETS[2:])
    assert float(only["loss"]) == pytest.approx(sum(last.values()), rel=1e-5)


def test_weights_steer_the_matching() -> None:
    boxes = np.array([[[0.5, 0.5, 0.4, 0.4], [0.2, 0.2, 0.1, 0.1]]])
    logits = np.array([[[-2.0], [2.0]]])  # the wrong box has the better score
    target = [{"boxes": boxes[0, :1], "class_labels": [0]}]
    by_box = detection_loss(logits, None, boxes, target, class_weight=0.0)
    assert set(by_box) == {"loss", *PARTS[:3]}
    assert float(by_box["loss_bbox"]) == pytest.approx(0.0, abs=1e-6)
    by_class = detection_loss(logits, None, boxes, target, box_weight=0.0, giou_weight=0.0)
    assert float(by_class["loss_bbox"]) == pytest.approx(1.2, rel=1e-5)


def test_focal_parameters() -> None:
    logits, target = np.zeros((1, 1, 1)), [{"boxes": [[0.5, 0.5, 1, 1]], "class_labels": [0]}]
    boxes = np.array([[[0.5, 0.5, 1.0, 1.0]]])
    for alpha, gamma in [(0.3, 2.0), (0.25, 0.0), (1.0, 1.5)]:
        losses = detection_loss(logits, None, boxes, target, alpha=alpha, gamma=gamma)
        expected = alpha * 0.5**gamma * np.log(2)
        assert float(losses["loss_class"]) == pytest.approx(expected, rel=1e-5)


def test_generalized_iou_of_known_boxes() -> None:
    one, inside = np.array([0.0, 0.0, 4.0, 2.0]), np.array([0.0, 0.0, 2.0, 2.0])
    apart = np.array([6.0, 0.0, 8.0, 2.0])
    assert float(generalized_iou(one, inside)) == pytest.approx(0.5)
    assert float(generalized_iou(one, apart)) == pytest.approx(-4 / 16)
    point = np.zeros(4)
    assert float(generalized_iou(point, point)) == 0.0


def test_padded_and_listed_targets_are_equal() -> None:
    padded = prepare_targets(TARGETS, 3)
    assert np.asarray(padded["class_labels"]).tolist() == [[2, 0], [-1, -1], [1, -1]]
    assert keras.backend.standardize_dtype(padded["boxes"].dtype) == "float32"
    wide = {  # padding may stand anywhere, with any box and any negative class
        "boxes": np.full((3, 4, 4), 7.0),
        "class_labels": np.full((3, 4), -100),
    }
    for row, target in enumerate(TARGETS):
        for column, label in enumerate(target["class_labels"]):
            wide["boxes"][row, 2 * column + 1] = target["boxes"][column]
            wide["class_labels"][row, 2 * column + 1] = label
    tensors = [{key: tf.constant(value) for key, value in t.items()} for t in TARGETS[::2]]
    inputs = predictions()
    listed = detection_loss(*inputs, TARGETS)
    for targets in (padded, wide, prepare_targets(padded, 3), [tensors[0], TARGETS[1], tensors[1]]):
        again = detection_loss(*inputs, targets)
        assert all(float(again[k]) == pytest.approx(float(listed[k]), rel=1e-6) for k in listed)


def test_predictions_that_do_not_fit() -> None:
    logits, objectness, boxes = predictions()
    for wrong in (
        (logits[0], objectness, boxes, TARGETS),
        (logits, objectness[:, :2], boxes, TARGETS),
        (logits, objectness[..., None], boxes, TARGETS),
        (logits, objectness, boxes[..., :3], TARGETS),
        (logits, objectness, boxes[:, :2], TARGETS),
        (logits, objectness, boxes, TARGETS[:2]),
    ):
        with pytest.raises(ValueError, match=r"take logits \(B, N, Q\), objectness_logits"):
            detection_loss(*wrong)
    with pytest.raises(ValueError, match="An image has 2 targets, but the model predicts 1 boxes"):
        detection_loss(logits[:, :1], None, boxes[:, :1], TARGETS)
    for bad in (logits * np.nan, logits * np.inf):
        with pytest.raises(ValueError, match="not finite"):
            detection_loss(bad, None, boxes, TARGETS)


# ---- gradients, graphs, precision
def gradients(inputs: list[np.ndarray], targets: object) -> tuple[dict, list[np.ndarray]]:
    """Losses, and the gradient of their sum for logits, objectness logits and boxes."""
    variables = [tf.Variable(x) for x in inputs]
    with tf.GradientTape() as tape:
        losses = detection_loss(*variables, targets)
    found = tape.gradient(losses["loss"], variables)
    return losses, [np.asarray(g) for g in found]


def test_gradients_are_the_slopes() -> None:
    inputs = list(predictions(boxes=3))
    _, found = gradients(inputs, TARGETS)

    def loss(*arrays: np.ndarray) -> float:
        """In float64, with the objectness aiming at the scores of the unchanged logits."""
        parts = by_hand(*arrays, TARGETS)
        fixed = by_hand(inputs[0], *arrays[1:], TARGETS)
        return sum(parts[name] for name in PARTS[:3]) + fixed["loss_objectness"]

    for which, gradient in enumerate(found):
        assert np.abs(gradient).max() > 1e-3
        for index in [*np.ndindex(gradient.shape)][::5]:
            ends = []
            for step in (1e-5, -1e-5):
                moved = [x.astype("float64") for x in inputs]
                moved[which][index] += step
                ends.append(loss(*moved))
            assert gradient[index] == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=2e-4)


@pytest.mark.parametrize("least", [-65504.0, np.finfo("float32").min, -np.inf])
def test_padded_queries_add_nothing(least: float) -> None:
    logits, objectness, boxes = predictions()
    alone, expected = gradients([logits, objectness, boxes], TARGETS)
    padded = np.concatenate([np.full((3, 5, 1), least, "float32")] * 2 + [logits], axis=-1)
    shifted = [
        {"boxes": t["boxes"], "class_labels": [c + 2 for c in t["class_labels"]]} for t in TARGETS
    ]
    losses, found = gradients([padded, objectness, boxes], shifted)
    for name, value in alone.items():
        assert float(losses[name]) == pytest.approx(float(value), rel=1e-6)
    assert np.all(found[0][..., :2] == 0)
    assert np.allclose(found[0][..., 2:], expected[0], atol=1e-7)
    hidden = [{"boxes": [BOX], "class_labels": [0]}] * 3
    with pytest.raises(ValueError, match=r"class_labels \[0, 0, 0\] point at padded queries"):
        detection_loss(padded[..., 1:3], objectness, boxes, hidden)


def test_extreme_logits_are_safe() -> None:
    _, objectness, boxes = predictions()
    logits = np.where(RNG.random((3, 5, 3)) < 0.5, -5e4, 5e4).astype("float32")
    for gamma in (0.0, 0.5, 2.0):
        variable = tf.Variable(logits)
        with tf.GradientTape() as tape:
            losses = detection_loss(variable, objectness * 1e4, boxes, TARGETS, gamma=gamma)
        assert np.isfinite(losses["loss"])
        assert np.isfinite(tape.gradient(losses["loss"], variable)).all()


@pytest.mark.parametrize("form", ["list", "padded", "no rows"])
def test_no_targets_in_the_whole_batch(form: str) -> None:
    targets = {
        "list": [{"boxes": [], "class_labels": []}] * 3,
        "padded": {"boxes": np.zeros((3, 2, 4)), "class_labels": -np.ones((3, 2), int)},
        "no rows": {"boxes": np.zeros((3, 0, 4)), "class_labels": np.zeros((3, 0), int)},
    }[form]
    inputs = predictions()
    losses, found = gradients(list(inputs), targets)
    expected = by_hand(*inputs, [{"boxes": [], "class_labels": []}] * 3)
    for name in PARTS:
        assert float(losses[name]) == pytest.approx(expected[name], rel=1e-5, abs=1e-7)
    assert float(losses["loss_bbox"]) == float(losses["loss_giou"]) == 0.0
    assert np.isfinite(found[0]).all()
    assert np.all(found[2] == 0)


def test_graphs_give_the_same_and_check_as_they_run() -> None:
    targets, inputs = prepare_targets(TARGETS, 3), predictions()
    shapes = [(None, None, None), (None, None), (None, None, 4)]
    signature = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    kinds = {"boxes": ((None, None, 4), tf.float32), "class_labels": ((None, None), tf.int32)}
    signature.append({name: tf.TensorSpec(*kind) for name, kind in kinds.items()})
    traced = tf.function(detection_loss, input_signature=signature)
    eager = detection_loss(*inputs, targets)
    for name, value in traced(*inputs, targets).items():
        assert float(value) == pytest.approx(float(eager[name]), rel=1e-6)
    for classes, box, message in [
        (3, BOX, "class_labels must lie in"),
        (0, [0.5, 0.5, -1.0, 0.2], "height above 0"),
        (0, [0.9, 0.5, 0.3, 0.2], "must not leave"),
    ]:
        wrong = {
            "boxes": tf.constant([[box]] * 3),
            "class_labels": tf.constant([[classes]] * 3),
        }
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            traced(*inputs, wrong)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32(dtype: str) -> None:
    inputs = [tf.cast(x, dtype) for x in predictions()]
    losses, found = gradients(inputs, TARGETS)
    same = detection_loss(*(tf.cast(x, "float32") for x in inputs), TARGETS)
    for name, value in losses.items():
        assert value.dtype == tf.float32
        assert float(value) == float(same[name])
    assert all(np.isfinite(g.astype("float32")).all() for g in found)


def test_replicas_add_up_to_the_global_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    targets = [TARGETS[0], TARGETS[2]]
    inputs = [x[::2] for x in predictions()]
    whole = detection_loss(*inputs, targets)
    two = type("Strategy", (), {"num_replicas_in_sync": 2})()
    monkeypatch.setattr(tf.distribute, "get_strategy", lambda: two)
    parts = [detection_loss(*(x[i : i + 1] for x in inputs), targets[i : i + 1]) for i in range(2)]
    for name, value in whole.items():
        total = sum(float(part[name]) for part in parts)
        assert total == pytest.approx(float(value), rel=1e-5)


def test_fit_learns_a_batch_by_heart() -> None:
    class Detector(keras.Model):
        """Predictions that are free parameters."""

        def __init__(self) -> None:
            super().__init__()
            self.free = [
                self.add_weight(shape=x.shape, initializer=lambda s, dtype, x=x: x)
                for x in predictions()
            ]
            self.supports_jit = False

        def call(self, x: dict) -> list:
            """Everything, whatever the input."""
            return [self.free[0] * 1.0, self.free[1] * 1.0, keras.ops.sigmoid(self.free[2])]

        def compute_loss(
            self, x: dict, y: dict, y_pred: list, *rest: object, **_: object
        ) -> object:
            """The loss of the targets in `y`."""
            return detection_loss(*y_pred, y)["loss"]

    model = Detector()
    model.compile(keras.optimizers.Adam(0.1))
    y = {name: np.asarray(value) for name, value in prepare_targets(TARGETS, 3).items()}
    data = tf.data.Dataset.from_tensors((np.zeros((3, 1)), y)).repeat(100)
    model.fit(data, shuffle=False, verbose=0)
    logits, objectness, boxes = (np.asarray(x) for x in model(np.zeros((3, 1))))
    losses = detection_loss(logits, None, boxes, TARGETS)
    assert float(losses["loss"]) < 0.1
    score = 1 / (1 + np.exp(-logits.max(axis=-1)))
    assert np.argmax(score[2]) == np.argmax(objectness[2])
