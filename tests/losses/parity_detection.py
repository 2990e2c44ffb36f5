"""Losses of detectors against the reference's Deformable DETR, which has the same three terms."""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import numpy as np
import pytest

from tests.support.processes import run_python
from tests.support.reference import torch, torch_inputs, transformers
from tfzoo.losses.detection.loss import detection_loss

_ = transformers.PreTrainedModel  # loads the losses as well
reference = transformers.loss.loss_deformable_detr


def one_image(seed: int) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Logits, boxes and targets of one image, for which divisors per image and per batch agree."""
    rng = np.random.default_rng(seed)
    count = seed + 1
    return (
        rng.normal(size=(1, 9, 4)).astype("float32"),
        rng.uniform(0.1, 0.9, size=(1, 9, 4)).astype("float32"),
        {
            "boxes": rng.uniform(0.3, 0.6, size=(count, 4)).astype("float32"),
            "class_labels": rng.integers(0, 4, size=count),
        },
    )


def reference_losses(logits: np.ndarray, boxes: np.ndarray, targets: dict) -> dict[str, Any]:
    """The reference's components; its alpha and gamma are 0.25 and 2, its weights here 2, 5, 2."""
    matcher = reference.DeformableDetrHungarianMatcher(class_cost=2, bbox_cost=5, giou_cost=2)
    losses = reference.DeformableDetrImageLoss(matcher, 4, 0.25, ["labels", "boxes"])
    outputs = torch_inputs({"logits": logits, "pred_boxes": boxes})
    return losses(outputs, [torch_inputs(targets)])


@pytest.mark.parametrize("seed", [0, 1, 4])
def test_components_are_the_reference_s(seed: int) -> None:
    logits, boxes, targets = one_image(seed)
    with torch.no_grad():
        theirs = reference_losses(logits, boxes, targets)
    settings = {"class_weight": 2.0, "box_weight": 5.0, "giou_weight": 2.0, "alpha": 0.25}
    ours = detection_loss(logits, None, boxes, [targets], **settings)
    names = {"loss_class": "loss_ce", "loss_bbox": "loss_bbox", "loss_giou": "loss_giou"}
    for name, other in names.items():
        assert float(ours[name]) == pytest.approx(float(theirs[other]), rel=1e-5), name


_GRADIENT = """
import sys, numpy as np, keras
from tfzoo.losses.detection.loss import detection_loss
rng = np.random.default_rng(0)
logits, objectness = (rng.normal(size=s).astype("float32") for s in [(2, 5, 3), (2, 5)])
boxes = rng.uniform(0.2, 0.5, size=(2, 5, 4)).astype("float32")
targets = {
    "boxes": np.array([[[.3, .4, .2, .3], [.7, .6, .5, .4]], [[.5, .5, 1, 1], [0, 0, 0, 0]]]),
    "class_labels": np.array([[2, 0], [1, -1]]),
}
backend = keras.backend.backend()
if backend == "jax":
    import jax
    run = lambda x: detection_loss(x, objectness, boxes, targets)["loss"]
    eager = jax.value_and_grad(run)(logits)
    found = jax.jit(jax.value_and_grad(run))(logits)
    assert np.allclose(found[1], eager[1], atol=1e-6)
elif backend == "torch":
    x = keras.ops.convert_to_tensor(logits).requires_grad_()
    loss = detection_loss(x, objectness, boxes, targets)["loss"]
    loss.backward()
    found = loss.detach(), x.grad
else:
    import tensorflow as tf
    x = tf.Variable(logits)
    with tf.GradientTape() as tape:
        loss = detection_loss(x, objectness, boxes, targets)["loss"]
    found = loss, tape.gradient(loss, x)
print(float(found[0]), *np.asarray(found[1]).ravel().tolist())
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_learn_the_same(backend: str) -> None:
    with redirect_stdout(StringIO()) as ours:  # TensorFlow is this process's own
        exec(_GRADIENT, {})
    other = run_python(_GRADIENT, KERAS_BACKEND=backend)
    numbers = [np.array(text.split(), float) for text in (other, ours.getvalue())]
    assert np.allclose(*numbers, rtol=1e-5, atol=1e-6)
