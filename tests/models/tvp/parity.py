"""TVP against the living reference, which takes one video at a time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfzoo
from tests.models.tvp.cases import CASES, config, queries, spans, videos
from tests.support import reference
from tests.support.cases import FLAGS, Case
from tests.support.compare import assert_same
from tests.support.parity_checks import ParityChecks
from tfzoo.core.variables import slots
from tfzoo.layers.resnet import ResNet
from weights_convert.rules import family_map

torch, transformers = reference.torch, reference.transformers


class TestTvp(ParityChecks):
    cases = CASES
    is_deep = True  # 53 convolutions, then 12 blocks
    full_size = (
        Case(  # tvp-base, a text padded to 100 tokens; 3 frames for its 48, each goes the same way
            name="tvp/full",
            model="TFTvpForVideoGrounding",
            config={
                "backbone_config": {"model_type": "resnet", "downsample_in_bottleneck": True},
                "num_frames": 3,
                "type_vocab_size": 2,
                "pad_token_id": 0,
            },
            inputs=lambda rng: {
                "input_ids": rng.integers(1, 30522, (1, 100)),
                "attention_mask": (np.arange(100)[None] < 12).astype("int64"),
                **videos(rng, 1, 3, 3, 448, 448),
            },
        ),
    )


def pair(folder: Path, name: str = "TvpForVideoGrounding", **fields: Any) -> tuple[Any, Any]:
    """One checkpoint with random weights and statistics on both sides."""
    oracle = reference.random_model(name, config(**fields), seed=3)
    oracle.save_pretrained(folder)
    return oracle, getattr(tfzoo, f"TF{name}").from_pretrained(folder)


def compare(models: tuple[Any, Any], inputs: dict[str, np.ndarray], **flags: Any) -> None:
    oracle, model = models
    expected = reference.run(oracle, inputs, **FLAGS, **flags)
    assert_same(model(inputs, **FLAGS, **flags), expected)


# ---- the backbone
@pytest.mark.parametrize("size", [(45, 71), (72, 30)])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"downsample_in_bottleneck": True, "depths": [1, 1, 1]},
        {"downsample_in_first_stage": True, "hidden_act": "gelu"},
        {"layer_type": "basic"},
        {"layer_type": "basic", "downsample_in_first_stage": True, "hidden_act": "silu"},
        {"embedding_size": 8, "downsample_in_bottleneck": True, "num_channels": 1},
    ],
    ids=["plain", "in_bottleneck", "first_gelu", "basic", "basic_first_silu", "no_shortcut"],
)
@pytest.mark.parametrize("training", [False, True], ids=["moving", "batch"])
def test_resnet(fields: dict[str, Any], size: tuple[int, int], training: bool) -> None:
    settings = {"embedding_size": 6, "hidden_sizes": [8, 16, 20], "depths": [2, 1, 3], **fields}
    names = ["stem", "stage1", "stage2", "stage3"]
    oracle = reference.random_model("ResNetBackbone", {**settings, "out_features": names})
    resnet = ResNet(tfzoo.ResNetConfig(**settings).sizes, (0, 1, 2, 3), name="backbone")
    resnet.build()
    state, rules = oracle.state_dict(), family_map("tvp")
    entries = {}
    for path, slot in slots(resnet).items():
        name = rules.checkpoint_name(f"backbone.{path}", slot.kind).removeprefix("backbone.")
        entries[name] = slot.variable
        value = state[name].numpy()
        slot.variable.assign(value.transpose(2, 3, 1, 0) if value.ndim == 4 else value)
    assert set(entries) == set(state)
    channels = settings.get("num_channels", 3)
    x = np.random.default_rng(0).normal(size=(2, channels, *size)).astype("float32")
    with torch.no_grad():
        expected = oracle.train(training)(torch.as_tensor(x)).feature_maps
    ours = resnet(x.transpose(0, 2, 3, 1), training=training)
    bound = 1e-4 if training else 1e-5  # the last feature maps have few pixels, whose std divides
    for have, want in zip(ours, expected, strict=True):
        assert_same(np.transpose(have, (0, 3, 1, 2)), {"": want.numpy()}, bound=bound)
    after = {name: value.numpy() for name, value in oracle.state_dict().items()}
    for name, variable in entries.items():
        if "num_batches" in name:
            assert variable.numpy() == after[name]
        if "running" in name:  # they move with the batch's, the variance's divisor is n - 1
            assert_same(variable.numpy(), {"": after[name]}, bound=bound)


# ---- prompts, positions
@pytest.mark.parametrize("mode", ["replace", "add", "remove"])
@pytest.mark.parametrize("kind", ["framepad", "framedownpad"])
def test_prompters(kind: str, mode: str, tmp_path: Path) -> None:
    fields = {"visual_prompter_type": kind, "visual_prompter_apply": mode, "frame_num": 3}
    models = pair(tmp_path, "TvpModel", **fields)
    rng = np.random.default_rng(0)
    compare(models, {**queries(rng, 2), **videos(rng, 2, 3, 3, 32, 32)})
    if kind == "framepad" and mode != "remove":
        compare(models, {**queries(rng, 1), **videos(rng, 1, 1, 3, 32, 32)})
    if mode == "remove":  # takes any number of frames
        compare(models, {**queries(rng, 1), **videos(rng, 1, 5, 3, 32, 32)})


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_one_prompt_serves_any_number_of_frames(frames: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    inputs = {**queries(rng, 1), **videos(rng, 1, frames, 3, 32, 32)}
    compare(pair(tmp_path, num_frames=1), inputs)


@pytest.mark.parametrize("mode", ["replace", "remove"])
@pytest.mark.parametrize("size", [(48, 48), (24, 40), (112, 32)])
def test_other_sizes(size: tuple[int, int], mode: str, tmp_path: Path) -> None:
    """Prompts and, where the grid is larger than the tables, positions are resized."""
    fields = {"max_grid_row_position_embeddings": 4, "max_grid_col_position_embeddings": 3}
    models = pair(tmp_path, visual_prompter_apply=mode, **fields)
    rng = np.random.default_rng(0)
    inputs = {**queries(rng, 1), **videos(rng, 1, 3, 3, *size)}
    compare(models, inputs, interpolate_pos_encoding=True)
    oracle, model = models
    expected = reference.run(oracle, inputs, interpolate_pos_encoding=True)
    call = tf.function(lambda x: model(x, interpolate_pos_encoding=True))
    free = {name: tf.TensorSpec((None,) * a.ndim, a.dtype) for name, a in inputs.items()}
    free["pixel_values"] = tf.TensorSpec((None, None, 3, None, None))
    call = tf.function(call.python_function, [free])
    assert_same(call(inputs), expected)


def test_sizes_that_the_reference_loses_a_pixel_of(tmp_path: Path) -> None:
    """It computes floor(M (size / M)) in floats; here the sizes are the frames'."""
    oracle, model = pair(tmp_path, max_img_size=49, visual_prompt_size=5)
    size = next(n for n in range(33, 200) if int(49 * (n / 49)) != n)
    rng = np.random.default_rng(0)
    inputs = {**queries(rng, 1), **videos(rng, 1, 3, 3, size, size)}
    with pytest.raises(RuntimeError):
        reference.run(oracle, inputs, interpolate_pos_encoding=True)
    assert np.isfinite(model(inputs, interpolate_pos_encoding=True).logits).all()


# ---- masks
@pytest.mark.parametrize("dtype", ["int64", "float32", "bool"])
@pytest.mark.parametrize("mask", [[1, 1, 0, 0, 1, 1], [0] * 6, [1] * 6, None])
def test_masks(mask: list[int] | None, dtype: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    inputs = {**queries(rng, 1), **videos(rng, 1, 3, 3, 32, 32)}
    del inputs["attention_mask"]
    if mask is not None:
        inputs["attention_mask"] = np.array([mask], dtype)
    compare(pair(tmp_path), inputs)


@pytest.mark.parametrize("shape", [(3,), (2, 3)])
def test_weights_of_heads(shape: tuple[int, ...], tmp_path: Path) -> None:
    oracle, model = pair(tmp_path)
    rng = np.random.default_rng(5)
    inputs = {**queries(rng, 2), **videos(rng, 2, 3, 3, 32, 32)}
    weights = rng.choice([0.0, 0.5, 1.0], size=shape).astype("float32")
    expected = reference.run(oracle, inputs, head_mask=torch.as_tensor(weights), **FLAGS)
    assert_same(model(inputs, head_mask=weights, **FLAGS), expected)


def test_tuples(tmp_path: Path) -> None:
    oracle, model = pair(tmp_path)
    rng = np.random.default_rng(6)
    inputs = {**queries(rng, 1), **videos(rng, 1, 3, 3, 32, 32), **spans(rng, 1)}
    one = {**reference.torch_inputs(inputs), "labels": torch.as_tensor(inputs["labels"][0])}
    with torch.no_grad():
        plain = type(oracle).__mro__[1].forward(oracle, **one, **FLAGS, return_dict=False)
    ours = model(inputs, **FLAGS, return_dict=False)
    assert len(ours) == len(plain) == 4
    for have, want in zip(ours[:2], plain[:2], strict=True):
        assert_same(np.asarray(have), {"": want.numpy()})


# ---- training
def test_losses(tmp_path: Path) -> None:
    from transformers.models.tvp.modeling_tvp import TvpLoss

    rng = np.random.default_rng(7)
    logits = rng.random((50, 2)).astype("float32")  # half of them reversed
    labels = spans(rng, 50)["labels"]
    ours = tfzoo.TvpLoss()(logits, labels)
    oracle = TvpLoss(["iou", "distance", "duration"])
    for i in range(50):
        one = oracle(torch.as_tensor(logits[i : i + 1]), torch.as_tensor(labels[i]))
        for name, value in one.items():
            assert float(ours[name][i]) == pytest.approx(float(value), rel=1e-5), name


def test_one_step_with_live_statistics(tmp_path: Path) -> None:
    """Weights by SGD, and the statistics of all batch norms, as PyTorch's in training mode."""
    oracle, model = pair(tmp_path, backbone={"downsample_in_bottleneck": True}, max_img_size=64)
    rng = np.random.default_rng(8)
    inputs = {**queries(rng, 1), **videos(rng, 1, 3, 3, 64, 64), **spans(rng, 1)}
    oracle.train()
    step = reference.sgd_step(oracle, inputs)
    before = {path: slot.variable.numpy() for path, slot in slots(model).items()}
    model.compile(keras.optimizers.SGD(reference.LEARNING_RATE))
    model.fit(tf.data.Dataset.from_tensors(inputs), shuffle=False, verbose=0)
    state, rules = oracle.state_dict(), family_map("tvp")
    largest = max(float(np.abs(change).max()) for change in step.values())
    for path, slot in slots(model).items():
        name = rules.checkpoint_name(path, slot.kind)
        now = slot.variable.numpy()
        if "running" in name or "num_batches" in name:
            np.testing.assert_allclose(now, state[name].numpy(), rtol=1e-5, atol=1e-6)
            continue
        change, want = now - before[path], step.get(name)
        if want is None:
            assert not change.any(), name
            continue
        if slot.kind in ("dense", "conv2d") and want.ndim > 1:
            want = want.transpose((1, 0) if slot.kind == "dense" else (2, 3, 1, 0))
        assert np.abs(change - want).max() <= 1e-4 * largest, name


def _two_tokens(name: str, folder: Path, files: Mapping[str, Path]) -> Mapping[str, Any]:
    processor = transformers.TvpImageProcessor.from_pretrained(folder)
    image = Image.open(files["cats"]).convert("RGB")
    return reference.load_part(name, folder)(
        input_ids=torch.tensor([[1, 2]]),
        pixel_values=processor(images=image, return_tensors="pt").pixel_values,
        attention_mask=torch.tensor([[1, 1]]),
    )


#: What the reference's tests of published numbers do, in the order of `expected.py`'s rows.
PUBLISHED = (partial(_two_tokens, "TvpModel"), partial(_two_tokens, "TvpForVideoGrounding"))
