"""TVP learns: the prompts alone or everything, with batch norms that move or stay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfzoo
from tests.io.synthetic import make_video
from tests.models.tvp.cases import GROUNDING, config, queries, videos
from tests.support.processes import run_python
from tests.support.tvp_checkpoint import write_tvp_checkpoint
from tfzoo.core.variables import slots

STATISTICS = (".moving_mean", ".moving_variance", ".num_batches_tracked")


def arrays(model: Any) -> dict[str, np.ndarray]:
    return {path: slot.variable.numpy() for path, slot in slots(model).items()}


def moved(model: Any, before: dict[str, np.ndarray]) -> set[str]:
    return {path for path, now in arrays(model).items() if not np.array_equal(now, before[path])}


def fitted(part: str | None, statistics: bool) -> tuple[Any, set[str]]:
    """A model after one step, and what moved."""
    model = GROUNDING.load()
    model.freeze("backbone")  # takes no effect: what counts is the last call
    model.freeze(part, statistics=statistics)
    before = arrays(model)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    batch = tf.data.Dataset.from_tensors(GROUNDING.make_inputs())
    history = model.fit(batch, shuffle=False, verbose=0).history
    assert set(history) == {"loss", "loss_iou", "loss_distance", "loss_duration"}
    return model, moved(model, before)


def test_prompts_alone() -> None:
    """The paper's recipe on top of a trained model: nothing else moves, statistics included."""
    _, changed = fitted("all_but_prompts", statistics=False)
    sides = {f"model.visual_prompter.pad_{side}" for side in ("up", "down", "left", "right")}
    assert changed == {"model.text_prompt", *sides}


@pytest.mark.parametrize("statistics", [False, True])
def test_everything_learns(statistics: bool) -> None:
    model, changed = fitted(None, statistics)
    still = set(slots(model)) - changed
    no_effect = {path for path in still if path.endswith("attention.key.bias")}
    frozen = {path for path in slots(model) if statistics and path.endswith(STATISTICS)}
    assert still - no_effect - frozen == {"model.visual_embeddings.position_embeddings.embeddings"}
    assert not changed & frozen


def test_a_frozen_backbone_keeps_its_statistics() -> None:
    model, changed = fitted("backbone", statistics=False)
    backbone = {p for p in slots(model) if p.startswith("model.vision_model.backbone.")}
    assert backbone
    assert not backbone & changed
    assert "model.vision_model.grid_encoder_conv.kernel" in changed
    with pytest.raises(ValueError, match="freeze takes 'all_but_prompts', 'backbone' or None, got"):
        model.freeze("prompts")


def test_losses_are_logged_without_their_weights() -> None:
    model = GROUNDING.load()
    model.freeze(statistics=True)
    given = GROUNDING.make_inputs()
    parts = tfzoo.TvpLoss()(model(given).logits, given["labels"])
    expected = {f"loss_{name}": float(np.mean(part)) for name, part in parts.items()}
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    weights = np.array([2.0, 0.0], "float32")
    labels = given.pop("labels")
    for batch, scale in (((given, labels), 1.0), ((given, labels, weights), None)):
        results = model.evaluate(tf.data.Dataset.from_tensors(batch), verbose=0, return_dict=True)
        if scale is None:
            first = float(parts["iou"][0]) * 2.0 / 2
            assert results["loss_iou"] == pytest.approx(first, rel=1e-5)
            continue
        total = expected["loss_iou"] + expected["loss_distance"] + 0.1 * expected["loss_duration"]
        assert results == pytest.approx({"loss": total, **expected}, rel=1e-5)


_STEP = """
import sys, numpy as np, tensorflow as tf
(device,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
from tests.models.tvp.cases import GROUNDING
from tfzoo.core.variables import slots
rng = np.random.default_rng(0)
whole = {name: np.concatenate([value] * 2) for name, value in GROUNDING.make_inputs().items()}
whole["pixel_values"] = rng.normal(size=whole["pixel_values"].shape).astype("float32")
def step(name, strategy, inputs):
    is_one = strategy is tf.distribute.get_strategy()  # goes without a graph, which takes long
    with strategy.scope():
        model = GROUNDING.load()
        model.compile(keras.optimizers.SGD(0.05), run_eagerly=is_one)
    data = tf.data.Dataset.from_tensor_slices(inputs).batch(len(inputs["input_ids"]))
    model.fit(data, shuffle=False, verbose=0)
    np.savez(name, **{path: slot.variable.numpy() for path, slot in slots(model).items()})
step(sys.argv[1] + "/one.npz", tf.distribute.get_strategy(), whole)
step(sys.argv[1] + "/both.npz", tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), whole)
"""


@pytest.mark.slow
def test_live_statistics_on_two_devices(tmp_path: Path) -> None:
    """They are those of the whole batch, and so one step is that of one device."""
    run_python(_STEP, tmp_path)
    one, both = (np.load(tmp_path / f"{name}.npz") for name in ("one", "both"))
    names = [path for path in both if path.endswith(STATISTICS)]
    assert len(names) == 3 * len(GROUNDING.load().model.vision_model.backbone.batch_norms())
    for path in both:
        np.testing.assert_allclose(both[path], one[path], rtol=1e-4, atol=1e-5, err_msg=path)


def test_folded_norms_are_never_stale() -> None:
    """A function that was traced before training computes with what training left."""
    model, given = GROUNDING.load(), GROUNDING.make_inputs(with_labels=False)
    call = tf.function(lambda x: model(x).logits)
    before = np.asarray(call(given))
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    batch = tf.data.Dataset.from_tensors(GROUNDING.make_inputs())
    model.fit(batch, shuffle=False, epochs=3, verbose=0)
    after = np.asarray(call(given))
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(after, model(given).logits, rtol=1e-5)
    image = given["pixel_values"][:, 0].transpose(0, 2, 3, 1)
    stem = model.model.vision_model.backbone.stem
    padded = np.pad(image, ((0, 0), (3, 3), (3, 3), (0, 0)))
    plain = stem.normalization(stem.convolution(padded))  # one after the other
    np.testing.assert_allclose(
        np.asarray(stem(image)), np.maximum(np.asarray(plain)[:, :16, :16], 0), atol=1e-4
    )


@pytest.mark.parametrize(
    "span",
    [
        pytest.param([20.0, 9.0, 4.0], id="reversed"),
        pytest.param([20.0, 9.0, 20.5], id="beyond", marks=pytest.mark.slow),
    ],
)
def test_wrong_spans_end_a_training(span: list[float]) -> None:
    model, given = GROUNDING.load(), GROUNDING.make_inputs()
    given["labels"][1] = span
    before = arrays(model)
    model.compile(keras.optimizers.SGD(0.1))
    with pytest.raises(tf.errors.InvalidArgumentError, match="0 <= start <= end <= duration"):
        model.fit(tf.data.Dataset.from_tensors(given), shuffle=False, verbose=0)
    weights = {path for path in moved(model, before) if not path.endswith(STATISTICS)}
    assert not weights


def test_padding_does_not_learn() -> None:
    rng = np.random.default_rng(0)
    given = {**queries(rng, 1), **videos(rng, 1, 3, 3, 32, 32)}
    given["labels"] = np.array([[20, 10, 17]], "float32")  # overlaps with what is predicted
    given["input_ids"][0, 3:] = 0
    del given["attention_mask"]  # so that padding is seen
    model = GROUNDING.load()
    table = model.get_input_embeddings().embeddings
    before = table.numpy()
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    model.fit(tf.data.Dataset.from_tensors(given), shuffle=False, verbose=0)
    changed = np.flatnonzero(np.abs(table.numpy() - before).max(-1))
    assert set(changed) == set(given["input_ids"].ravel().tolist()) - {0}


@pytest.mark.slow
def test_it_overfits_three_spans() -> None:
    """In a graph: the first step of `fit` in the checks of every family is one under XLA."""
    keras.utils.set_random_seed(0)
    fields = config(hidden_size=24, intermediate_size=48, initializer_range=0.2)
    model = tfzoo.TFTvpForVideoGrounding(tfzoo.TvpConfig(**fields))
    rng = np.random.default_rng(0)
    given = {**queries(rng, 3), **videos(rng, 3, 3, 3, 32, 32)}
    given["labels"] = np.array([[20, 0, 5], [30, 12, 27], [10, 8, 10]], "float32")
    model.freeze(statistics=True)
    model.compile(keras.optimizers.Adam(5e-3, global_clipnorm=1.0), jit_compile=False)
    batch = tf.data.Dataset.from_tensors(given)
    assert model.evaluate(batch, verbose=0, return_dict=True)["loss_iou"] > 0.95
    model.fit(batch.repeat(60), shuffle=False, verbose=0)
    assert model.evaluate(batch, verbose=0, return_dict=True)["loss_iou"] < 0.3
    labels = given.pop("labels")
    assert model.predict(given, batch_size=1, verbose=0).logits.shape == (3, 2)
    plain = tf.data.Dataset.from_tensors((given, labels[:, 1:] / labels[:, :1]))
    model.compile(keras.optimizers.SGD(1e-3), loss="mse", metrics=["mae"], run_eagerly=True)
    assert np.isfinite(model.fit(plain, shuffle=False, verbose=0).history["mae"][0])


def test_dropout_acts_in_training_only() -> None:
    model = tfzoo.TFTvpForVideoGrounding(tfzoo.TvpConfig(**config(hidden_dropout_prob=0.3)))
    given = GROUNDING.make_inputs()
    one, two = (np.asarray(model(given).logits) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    one, two = (np.asarray(model(given, training=True).logits) for _ in range(2))
    assert np.abs(one - two).max() > 0


@pytest.mark.slow
def test_videos_sentences_and_spans(tmp_path: Path) -> None:
    """Files of videos through the processor, as a set that Keras asks for one batch at a time."""
    folder = write_tvp_checkpoint(tmp_path / "checkpoint")
    processor = tfzoo.TvpProcessor.from_pretrained(folder)
    model = tfzoo.TFTvpForVideoGrounding.from_pretrained(folder)
    videos = [make_video(tmp_path / f"{i}.mp4", frames) for i, frames in enumerate((50, 75, 25))]
    spans = [(0.5, 1.5), (1.0, 3.0), (0.0, 0.25)]
    rows = list(
        zip(videos, ("the dog runs", "a person is sitting", "a rocket"), spans, strict=True)
    )

    def batches() -> Iterator[dict[str, np.ndarray]]:
        for video, sentence, span in rows:
            clip = tfzoo.read_video(video, num_frames=4, sampling="spread")
            inputs = processor(sentence, clip.frames, "np", max_text_length=12)
            yield {**inputs, "labels": np.array([[clip.duration, *span]], "float32")}

    one = next(batches())
    assert one["labels"].tolist() == [[2.0, 0.5, 1.5]]
    specs = {name: tf.TensorSpec(value.shape, value.dtype) for name, value in one.items()}
    data = tf.data.Dataset.from_generator(batches, output_signature=specs)
    data = data.apply(tf.data.experimental.assert_cardinality(len(rows)))
    model.freeze(statistics=True)
    metrics = tfzoo.metrics.grounding_metrics()
    model.compile(keras.optimizers.Adam(1e-2), metrics=metrics, jit_compile=False)
    history = model.fit(data.unbatch().batch(2), shuffle=False, epochs=8, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert {metric.name for metric in tfzoo.metrics.grounding_metrics()} < set(history)
