"""OWLv2 learns: a small detector overfits eight images of named shapes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfzoo
from recipes.running import weaken
from tests.models.owlv2.cases import CASES
from tfzoo.core.variables import slots
from tfzoo.metrics import average_precision

SIDE = 48
NAMES = ("red square", "green square", "blue disc", "red disc")
DETECTOR, OWLVIT = CASES[0], CASES[4]


def draw(rng: np.random.Generator) -> tuple[np.ndarray, list[list[float]], list[int]]:
    """An image (3, SIDE, SIDE) with two shapes, their boxes in pixels, and their names."""
    image = np.full((SIDE, SIDE, 3), 0.5, "float32")
    boxes, names = [], rng.permutation(len(NAMES))[:2].tolist()
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    for half, name in enumerate(names):  # one in the upper half, one in the lower
        size = int(rng.integers(12, 18))
        left, top = int(rng.integers(2, SIDE - size - 2)), half * 24 + int(rng.integers(1, 5))
        inside = (x > left) & (x < left + size) & (y > top) & (y < top + size)
        if "disc" in NAMES[name]:
            centre = left + size / 2, top + size / 2
            inside = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < (size / 2) ** 2
        colour = ["red", "green", "blue"].index(NAMES[name].split()[0])
        image[inside] = np.eye(3, dtype="float32")[colour]
        boxes.append([left, top, left + size, top + size])
    return image.transpose(2, 0, 1) * 2 - 1, boxes, names


@pytest.fixture(scope="module")
def shapes() -> tuple[dict[str, Any], list[dict[str, np.ndarray]]]:
    """Eight images as inputs with labels, and what they show, in pixels."""
    rng = np.random.default_rng(0)
    drawn = [draw(rng) for _ in range(8)]
    corners = np.array([boxes for _, boxes, _ in drawn], "float32")
    names = np.array([found for _, _, found in drawn])
    centres = (corners[..., :2] + corners[..., 2:]) / 2 / SIDE
    sizes = (corners[..., 2:] - corners[..., :2]) / SIDE
    ids = np.array([[47, 1 + i, 48, 0, 0, 0, 0] for i in range(len(NAMES))])
    inputs = {
        "input_ids": np.concatenate([ids] * 8),
        "pixel_values": np.stack([image for image, _, _ in drawn]),
        "labels": {"boxes": np.concatenate([centres, sizes], -1), "class_labels": names},
    }
    truth = [{"boxes": b, "labels": n} for b, n in zip(corners, names, strict=True)]
    return inputs, truth


def small(seed: int = 0) -> Any:
    keras.utils.set_random_seed(seed)
    text = {
        "vocab_size": 49,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "max_position_embeddings": 7,
    }
    vision = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": SIDE,
        "patch_size": 8,
    }
    config = tfzoo.Owlv2Config(text_config=text, vision_config=vision, projection_dim=32)
    return tfzoo.TFOwlv2ForObjectDetection(config)


@pytest.mark.slow
def test_overfits_named_shapes(shapes: tuple[dict, list]) -> None:
    inputs, truth = shapes
    model = small()
    weaken(model, r"^\w+_head\.", 64**-0.5)  # as the recipe does
    model.compile(keras.optimizers.Adam(2e-3, global_clipnorm=1.0))
    batches = tf.data.Dataset.from_tensors(inputs).repeat(250)
    history = model.fit(batches, shuffle=False, verbose=0).history
    assert {"loss", "loss_class", "loss_bbox", "loss_giou", "loss_objectness"} == set(history)
    outputs = model(**{name: value for name, value in inputs.items() if name != "labels"})
    processor = tfzoo.Owlv2ImageProcessor(size={"height": SIDE, "width": SIDE})
    found = processor.post_process_object_detection(
        outputs, threshold=0.05, target_sizes=[(SIDE, SIDE)] * 8
    )
    assert average_precision(found, truth, 0.5) >= 0.95


def targets(images: int = 2) -> dict[str, np.ndarray]:
    boxes = np.array([[[0.3, 0.3, 0.2, 0.2], [0.7, 0.6, 0.3, 0.3]]] * images, "float32")
    return {"boxes": boxes, "class_labels": np.array([[0, 2], [2, -1]][:images])}


def test_all_forms_of_labels_agree() -> None:
    model, inputs = DETECTOR.load(), DETECTOR.make_inputs()
    padded = targets()
    listed = [
        {"boxes": padded["boxes"][0].tolist(), "class_labels": [0, 2]},
        {"boxes": tf.constant(padded["boxes"][1, :1]), "class_labels": tf.constant([2])},
    ]
    one, other = model(**inputs, labels=padded), model(**inputs, labels=listed)
    assert float(one.loss) == pytest.approx(float(other.loss), rel=1e-6)
    assert float(one.loss) == pytest.approx(sum(map(float, one.loss_dict.values())), rel=1e-6)
    losses = []
    for batch in ({**inputs, "labels": padded}, (inputs, padded)):
        fresh = DETECTOR.load()
        fresh.compile(keras.optimizers.SGD(1e-3), run_eagerly=True)
        history = fresh.fit(tf.data.Dataset.from_tensors(batch), shuffle=False, verbose=0).history
        losses.append({name: values[0] for name, values in history.items()})
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0]["loss_giou"] == pytest.approx(float(one.loss_dict["loss_giou"]), rel=1e-5)
    compiled = tf.function(lambda x, y: model(**x, labels=y).loss)
    assert float(compiled(inputs, padded)) == pytest.approx(float(one.loss), rel=1e-5)


def test_every_weight_of_detection_learns() -> None:
    model, inputs = DETECTOR.load(), DETECTOR.make_inputs()
    before = {path: slot.variable.numpy() for path, slot in slots(model).items()}
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    batch = tf.data.Dataset.from_tensors({**inputs, "labels": targets()})
    model.fit(batch, shuffle=False, verbose=0)
    still = {p for p, s in slots(model).items() if np.array_equal(s.variable, before[p])}
    still = {path for path in still if not path.endswith("self_attn.key.bias")}  # no effect at all
    assert still == {"owlv2.logit_scale", "owlv2.visual_projection.kernel"}


@pytest.mark.parametrize(
    ("part", "frozen"),
    [
        ("text", ("owlv2.text_model", "owlv2.text_projection")),
        ("backbone", ("owlv2.",)),
        (None, ("owlv2.logit_scale", "owlv2.visual_projection")),
    ],
)
def test_freezing(part: str | None, frozen: tuple[str, ...]) -> None:
    model = DETECTOR.load()
    model.freeze("backbone")
    model.base.text_model.encoder.trainable = True  # what counts is the last call of freeze
    model.freeze(part)
    learning = {id(variable) for variable in model.trainable_variables}
    unused = ("owlv2.logit_scale", "owlv2.visual_projection")
    for path, slot in slots(model).items():
        assert (id(slot.variable) in learning) != path.startswith((*frozen, *unused)), path
    with pytest.raises(ValueError, match="freeze takes 'text', 'backbone' or None, got 'heads'"):
        model.freeze("heads")


def test_owlvit_trains_without_objectness() -> None:
    model, inputs = OWLVIT.load(), OWLVIT.make_inputs()
    labels = {"boxes": targets(1)["boxes"], "class_labels": np.array([[0, 1]])}
    model.compile(keras.optimizers.SGD(1e-3), run_eagerly=True)
    batch = tf.data.Dataset.from_tensors({**inputs, "labels": labels})
    history = model.fit(batch, shuffle=False, verbose=0).history
    assert set(history) == {"loss", "loss_class", "loss_bbox", "loss_giou"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boxes": [[[0.3, 0.3, 0.2, -0.2]] * 2] * 2}, "a width and a height above 0"),
        ({"boxes": [[[1.3, 0.3, 0.2, 0.2]] * 2] * 2}, r"\[0, 1\]"),
        ({"class_labels": [[0, 3], [2, -1]]}, "class"),
        ({"class_labels": [[0], [2]]}, r"Padded labels must hold"),
    ],
)
def test_bad_labels_are_refused(change: dict, message: str) -> None:
    model, inputs = DETECTOR.load(), DETECTOR.make_inputs()
    labels = {**targets(), **{name: np.array(value) for name, value in change.items()}}
    with pytest.raises(ValueError, match=message):
        model(**inputs, labels=labels)
