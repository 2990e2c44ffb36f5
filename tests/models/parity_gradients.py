"""Gradients of the heads whose loss the reference leaves out: PyTorch's autograd through its model.

The reference computes the outputs; the loss on top of them is written here once more, in PyTorch.
All other heads have a loss in the reference, and their one-step check in `tests/models` and in
`test_lxmert.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import linear_sum_assignment
from torch.nn import functional
from transformers.loss.loss_for_object_detection import generalized_box_iou

from tests.models.owlv2.cases import CASES as OWLV2
from tests.models.perceiver.cases import CASES as PERCEIVER
from tests.models.perceiver.cases import videos
from tests.support import reference
from tests.support.cases import Case
from tests.support.reference import torch
from tfzoo.core.variables import slots
from weights_convert.plan import save_plan
from weights_convert.rules import family_map

CASES = {case.name: case for case in (*OWLV2, *PERCEIVER)}


def one_gradient(case: Case, labels: Any) -> tuple[float, dict[str, np.ndarray]]:
    """The loss, and the gradient of every weight of a checkpoint: a step of `fit` at rate 1."""
    model = case.load()
    places = slots(model)
    entries = save_plan(places, family_map(model.base_model_type))
    before = {e.name: places[e.path].variable.numpy() for e in entries}
    model.compile(keras.optimizers.SGD(1.0))
    batch = tf.data.Dataset.from_tensors((case.make_inputs(), labels))
    loss = model.fit(batch, shuffle=False, verbose=0).history["loss"][0]
    return loss, {
        e.name: e.to_checkpoint(before[e.name] - places[e.path].variable.numpy()) for e in entries
    }


def check(case: Case, labels: Any, loss_of: Callable[[Any], Any]) -> None:
    """Whether both sides have the same loss and the same gradients."""
    oracle = reference.load_strictly(case.torch_class, case.folder)
    expected = loss_of(oracle(**reference.torch_inputs(case.make_inputs())))
    expected.backward()
    loss, found = one_gradient(case, labels)
    assert loss == pytest.approx(float(expected.detach()), rel=1e-5)
    parameters = dict(oracle.named_parameters())
    gradients = {n: p.grad.numpy() for n, p in parameters.items() if p.grad is not None}
    largest = max(float(np.abs(gradient).max()) for gradient in gradients.values())
    assert sum(gradient.any() for gradient in gradients.values()) > 0.5 * len(found)
    for name, gradient in found.items():
        error = np.abs(gradient - gradients.get(name, 0.0)).max()
        assert error <= 1e-4 * largest, f"{name}: off by {error / largest:.1e}"


# ---- OWLv2 and OWL-ViT
def corners(boxes: Any) -> Any:
    """Centres and sizes to corners."""
    return torch.cat([boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2], -1)


def loss_of_picture(logits: Any, boxes: Any, targets: Any, classes: list[int]) -> Any:
    """Focal loss (alpha 0.3, gamma 2), L1 and generalised IoU, over the number of targets."""
    log_p, log_not = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    present = -0.3 * log_not.exp() ** 2 * log_p
    absent = -0.7 * log_p.exp() ** 2 * log_not
    cost = (present - absent)[:, classes] + torch.cdist(boxes, targets, p=1)
    cost = cost - generalized_box_iou(corners(boxes), corners(targets))
    rows, columns = linear_sum_assignment(cost.detach().numpy())
    return (absent.sum() + cost[rows, columns].sum() + len(classes)) / len(classes)


def loss_of_detector(outputs: Any, boxes: np.ndarray, classes: list[list[int]]) -> Any:
    """The mean over pictures, and the objectness against the best score of each box."""
    pictures = zip(outputs.logits, outputs.pred_boxes, torch.as_tensor(boxes), classes, strict=True)
    losses = [loss_of_picture(x, y, t[: len(c)], c) for x, y, t, c in pictures]
    total = torch.stack(losses).mean()
    if "objectness_logits" not in outputs:
        return total
    best = outputs.logits.detach().max(-1).values.sigmoid()
    found = outputs.objectness_logits.reshape(best.shape)
    return total + functional.binary_cross_entropy_with_logits(found, best)


@pytest.mark.parametrize(
    ("name", "classes"), [("owlv2/detector", [[0], [2, 0]]), ("owlv2/owlvit", [[1, 0]])]
)
def test_detectors(name: str, classes: list[list[int]]) -> None:
    boxes = np.random.default_rng(1).uniform(0.2, 0.6, (len(classes), 2, 4)).astype("float32")
    padded = np.array([[*row, -1][:2] for row in classes])
    labels = {"boxes": boxes, "class_labels": padded}
    check(CASES[name], labels, lambda outputs: loss_of_detector(outputs, boxes, classes))


# ---- Perceiver
def test_optical_flow() -> None:
    """The mean end-point error, in pixels."""
    truth = np.random.default_rng(2).normal(size=(2, 4, 6, 2)).astype("float32")
    true = torch.as_tensor(truth)
    check(CASES["perceiver/flow"], truth, lambda found: (found.logits - true).norm(dim=-1).mean())


def test_multimodal_autoencoding() -> None:
    """L1 of sound, 0.03 of that of pixels and 0.0001 of the label's cross-entropy."""
    case = CASES["perceiver/multimodal"]
    assert set(case.make_inputs()) == set(videos(np.random.default_rng(0), 2))
    shapes = case.load()(case.make_inputs()).logits
    rng = np.random.default_rng(3)
    labels = {
        name: rng.normal(size=tuple(shapes[name].shape)).astype("float32")
        for name in ("audio", "image")
    }
    true = {name: torch.as_tensor(value) for name, value in labels.items()}
    labels["label"] = np.array([3, 1])

    def loss_of(outputs: Any) -> Any:
        logits = outputs.logits
        image, audio = ((logits[name] - true[name]).abs().mean() for name in ("image", "audio"))
        label = functional.cross_entropy(logits["label"], torch.tensor([3, 1]))
        return audio + 0.03 * image + 0.0001 * label

    check(case, labels, loss_of)
