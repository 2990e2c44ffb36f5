"""Perceiver against the living reference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import tfzoo
from tests.families.perceiver_cases import CASES, ONE_HEAD, TEXT, TINY, VIDEO, images, texts, videos
from tests.families.test_perceiver import PUBLISHED
from tests.support import reference
from tests.support.cases import FLAGS
from tests.support.compare import assert_same, flatten
from tests.support.parity_checks import ParityChecks

torch = reference.torch
KV = {"qk_channels": None, "v_channels": None}  # keys as wide as the inputs, as published


class TestPerceiver(ParityChecks):
    cases = CASES


def both(name: str, config: dict[str, Any], folder: Path, seed: int = 0) -> tuple[Any, Any]:
    """One checkpoint with random weights on both sides."""
    oracle = reference.random_model(name, config, seed)
    oracle.save_pretrained(folder)
    return oracle, getattr(tfzoo, f"TF{name}").from_pretrained(folder)


def compare(pair: tuple[Any, Any], inputs: dict[str, Any], **flags: Any) -> None:
    """All outputs, and those without attention maps, which take another way."""
    oracle, model = pair
    expected = reference.run(oracle, inputs, **FLAGS, **flags)
    assert_same(model(**inputs, **FLAGS, **flags), expected)
    short = flatten(model(**inputs, **flags))
    assert_same(short, {k: v for k, v in expected.items() if k in short})


WIDTHS = {
    "kv": {},
    "q": {"cross_attention_shape_for_attention": "q"},
    "explicit": {"qk_channels": 24, "v_channels": 12},
    "wide": {"self_attention_widening_factor": 3, "cross_attention_widening_factor": 2},
    "no residual": {"use_query_residual": False},
    "three blocks": {"num_blocks": 3, "num_self_attends_per_block": 1},
    "silu": {"hidden_act": "silu"},
}


@pytest.mark.parametrize("kind", WIDTHS)
def test_widths_and_blocks(kind: str, tmp_path: Path) -> None:
    pair = both("PerceiverForMaskedLM", {**TEXT, **WIDTHS[kind]}, tmp_path)
    inputs = texts(np.random.default_rng(3), 3, 9)
    compare(pair, inputs)
    mask = np.ones((3, 5, 9), "float32")
    mask[:, 2, 4:] = 0
    compare(pair, {**inputs, "attention_mask": mask})  # a row for each latent


MASKS = {
    "left": [0, 0, 1, 1, 1, 1],
    "nothing": [0, 0, 0, 0, 0, 0],
    "fractions": [1, 0.5, 1, 0, 1, 0.25],
    "booleans": [True, True, False, True, True, False],
}


@pytest.mark.parametrize("kind", MASKS)
def test_masks(kind: str, tmp_path: Path) -> None:
    pair = both("PerceiverForSequenceClassification", TEXT, tmp_path)
    ids = texts(np.random.default_rng(4), 2, 6)["input_ids"]
    compare(pair, {"input_ids": ids, "attention_mask": np.array([MASKS[kind]] * 2)})


def test_head_masks(tmp_path: Path) -> None:
    """Only the first rows count: each block starts with them anew."""
    pair = both("PerceiverForMaskedLM", TEXT, tmp_path)
    ids = {"input_ids": np.random.default_rng(5).integers(0, 30, (2, 7))}
    compare(pair, {**ids, "head_mask": np.array([1.0, 0.0, 1.0], "float32")})
    rows = np.random.default_rng(5).integers(0, 2, (4, 3)).astype("float32")
    compare(pair, {**ids, "head_mask": rows})


@pytest.mark.parametrize("size", [(32, 32), (33, 9), (9, 40), (57, 64)])
@pytest.mark.parametrize("way", ["Fourier", "ConvProcessing"])
def test_images_of_any_size(way: str, size: tuple[int, int], tmp_path: Path) -> None:
    pair = both(f"PerceiverForImageClassification{way}", {**ONE_HEAD, **KV}, tmp_path)
    compare(pair, images(np.random.default_rng(6), 2, 3, *size))


def test_image_masks(tmp_path: Path) -> None:
    name = "PerceiverForImageClassificationLearned"
    pair = both(name, {**TINY, "image_size": 5}, tmp_path)
    mask = np.random.default_rng(7).integers(0, 2, (2, 25))
    compare(pair, {**images(np.random.default_rng(7), 2, 3, 5, 5), "attention_mask": mask})


def test_batch_norm_in_training(tmp_path: Path) -> None:
    """The statistics of one step: PyTorch stores the unbiased variance."""
    config = {**ONE_HEAD, "attention_probs_dropout_prob": 0.0}
    oracle, model = both("PerceiverForImageClassificationConvProcessing", config, tmp_path)
    inputs = images(np.random.default_rng(8), 3, 3, 20, 17)
    with torch.no_grad():
        expected = oracle.train()(**reference.torch_inputs(inputs)).logits.numpy()
    assert_same(model(inputs, training=True).logits, {"": expected})
    stored, ours = (
        oracle.perceiver.input_preprocessor.convnet.batchnorm,
        model.perceiver.input_preprocessor.convnet.batchnorm,
    )
    assert_same(np.asarray(ours.moving_mean), {"": stored.running_mean.numpy()})
    assert_same(np.asarray(ours.moving_variance), {"": stored.running_var.numpy()})


@pytest.mark.parametrize("seed", range(2))
def test_flow_with_published_widths(seed: int, tmp_path: Path) -> None:
    pair = both("PerceiverForOpticalFlow", {**ONE_HEAD, **KV, "train_size": [6, 5]}, tmp_path, seed)
    rng = np.random.default_rng(seed)
    compare(pair, {"inputs": rng.normal(size=(2, 2, 27, 6, 5)).astype("float32")})


POINTS = {
    "some": lambda rng: {"image": rng.permutation(128)[:9], "audio": np.array([3, 1])},
    "one": lambda rng: {"image": np.array([0]), "audio": np.array([0])},
    "last": lambda rng: {"image": np.array([127]), "audio": np.array([11])},
    "all": lambda rng: {"image": np.arange(128), "audio": np.arange(12)},
}


@pytest.mark.parametrize("kind", POINTS)
def test_subsampled_video(kind: str, tmp_path: Path) -> None:
    config = {**VIDEO, **KV, "num_labels": 5}
    oracle, model = both("PerceiverForMultimodalAutoencoding", config, tmp_path)
    rng = np.random.default_rng(9)
    flat, points = videos(rng, 2), POINTS[kind](rng)
    inputs = {name: flat[name] for name in ("image", "audio", "label")}
    tensors = {name: torch.as_tensor(value) for name, value in inputs.items()}
    chosen = {**{name: torch.as_tensor(value) for name, value in points.items()}, "label": None}
    with torch.no_grad():
        outputs = oracle(inputs=tensors, subsampled_output_points=chosen, **FLAGS)
    expected = flatten(outputs, lambda tensor: tensor.numpy())
    ours = model(inputs=inputs, subsampled_output_points={**points, "label": None}, **FLAGS)
    assert_same(ours, expected)
    assert list(ours.logits) == list(outputs.logits)
    if kind == "all":  # without points, all are decoded, where the reference fails
        assert_same(model(inputs=inputs, **FLAGS), expected)


def test_multimodal_checkpoint_goes_back(tmp_path: Path) -> None:
    case = next(case for case in CASES if "Multimodal" in case.model)
    case.load().save_pretrained(tmp_path)
    oracle = reference.load_strictly(case.torch_class, tmp_path)
    outputs = reference.run(oracle, case.make_inputs(), **FLAGS)
    assert_same(outputs, case.recorded("outputs"), bound=2e-6)


# ---- tables
@pytest.mark.parametrize(
    ("dims", "bands", "resolution"),
    [
        ((1920,), 192, (30720,)),
        ((16, 56, 56), 32, (16, 224, 224)),
        ((224, 224), 64, (224, 224)),
        ((55, 55), 64, (56, 56)),
        ((40, 30), 64, (368, 496)),
        ((1, 7), 1, (1, 9)),
    ],
)
@pytest.mark.parametrize("options", [{}, {"sine_only": True}], ids=["both", "sine"])
def test_fourier_tables(
    dims: tuple[int, ...], bands: int, resolution: tuple[int, ...], options: dict[str, Any]
) -> None:
    from transformers.models.perceiver import modeling_perceiver as theirs

    from tfzoo.models.perceiver.queries import FourierPositions

    oracle = theirs.PerceiverFourierPositionEncoding(bands, resolution, **options)
    expected = oracle(dims, 1, torch.device("cpu"), torch.float32).numpy()
    ours = FourierPositions(bands, resolution, **options)
    assert ours.output_size() == oracle.output_size()
    assert np.abs(np.asarray(ours.grid(dims)) - expected).max() <= 1e-6


# ---- parts by themselves
def _fill(oracle: Any, part: Any) -> None:
    """Give a part the reference's random weights."""
    from tfzoo.variables import slots
    from weights_convert.plan import make_plan
    from weights_convert.rules import family_map
    from weights_convert.tensors import TensorInfo

    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in oracle.named_parameters():
            reference._randomise(name, tensor, generator)
    arrays = {f"decoder.{k}": v.numpy() for k, v in oracle.state_dict().items()}
    part.build()
    places = {f"decoder.{path}": slot for path, slot in slots(part).items()}
    infos = {name: TensorInfo("F32", value.shape) for name, value in arrays.items()}
    for entry in make_plan(places, infos, family_map("perceiver")).entries:
        places[entry.path].variable.assign(entry.from_checkpoint(arrays[entry.name]))


WAVES = {"fourier_position_encoding_kwargs": {"num_bands": 3, "max_resolution": (8, 8)}}
CUBE = {"fourier_position_encoding_kwargs": {"num_bands": 3, "max_resolution": (4, 8, 8)}}
TABLE = {
    "position_encoding_type": "trainable",
    "trainable_position_encoding_kwargs": {"num_channels": 10, "index_dims": 64},
}
IMAGE_WAYS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "pixels": ({"prep_type": "pixels", "spatial_downsample": 1, **WAVES}, (2, 3, 8, 8)),
    "pixels in steps": ({"prep_type": "pixels", "spatial_downsample": 2, **WAVES}, (4, 3, 8, 8)),
    "video pixels": (
        {"prep_type": "pixels", "spatial_downsample": 2, "temporal_downsample": 2, **CUBE},
        (2, 4, 4, 8, 8),
    ),
    "patches": ({"prep_type": "patches", "spatial_downsample": 2, **WAVES}, (2, 3, 8, 12)),
    "video patches": (
        {"prep_type": "patches", "spatial_downsample": 2, "temporal_downsample": 2, **CUBE},
        (2, 4, 3, 8, 8),
    ),
    "projected patches": (
        {
            "prep_type": "patches",
            "spatial_downsample": 2,
            "temporal_downsample": 2,
            "conv_after_patching": True,
            "conv_after_patching_in_channels": 24,
            "out_channels": 5,
            **WAVES,
        },
        (2, 2, 3, 8, 8),
    ),
    "conv without norm": (
        {"conv2d_use_batchnorm": False, "out_channels": 6, **WAVES},
        (1, 3, 19, 8),
    ),
    "conv1x1 in steps": (
        {"prep_type": "conv1x1", "spatial_downsample": 2, "out_channels": 10, **TABLE},
        (2, 3, 16, 16),
    ),
    "added": (
        {
            "prep_type": "conv1x1",
            "spatial_downsample": 1,
            "out_channels": 10,
            "concat_or_add_pos": "add",
            **TABLE,
        },
        (2, 3, 8, 8),
    ),
    "projected positions": (
        {
            "prep_type": "conv1x1",
            "spatial_downsample": 1,
            "out_channels": 10,
            "project_pos_dim": 7,
            **TABLE,
        },
        (2, 3, 8, 8),
    ),
}


@pytest.mark.parametrize("network_input_is_1d", [True, False])
@pytest.mark.parametrize("way", IMAGE_WAYS)
def test_image_preprocessor(way: str, network_input_is_1d: bool) -> None:
    from transformers.models.perceiver import modeling_perceiver as theirs

    options, shape = IMAGE_WAYS[way]
    if way in ("video pixels",):
        options = {**options, "in_channels": 4}
    oracle = theirs.PerceiverImagePreprocessor(reference.transformers.PerceiverConfig(), **options)
    part = tfzoo.TFPerceiverImagePreprocessor(tfzoo.PerceiverConfig(), **options)
    assert part.num_channels == oracle.num_channels
    _fill(oracle, part)
    x = np.random.default_rng(1).normal(size=shape).astype("float32")
    with torch.no_grad():
        want = oracle.eval()(torch.as_tensor(x), network_input_is_1d=network_input_is_1d)
    have = part(x, network_input_is_1d=network_input_is_1d)
    assert have[1] is None
    for ours, expected in ((have[0], want[0]), (have[2], want[2])):
        assert_same(np.asarray(ours), {"": expected.numpy()})


DECODERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "wide": {"num_heads": 2, "widening_factor": 3, "use_query_residual": True, "v_channels": 8},
    "unprojected": {"final_project": False, "qk_channels": 6},
}


@pytest.mark.parametrize("kind", DECODERS)
def test_basic_decoder(kind: str) -> None:
    from transformers.models.perceiver import modeling_perceiver as theirs

    options = {
        "output_num_channels": 5,
        "num_channels": 10,
        "trainable_position_encoding_kwargs": {"num_channels": 10, "index_dims": 7},
        **DECODERS[kind],
    }
    oracle = theirs.PerceiverBasicDecoder(
        reference.transformers.PerceiverConfig(d_latents=12), **options
    )
    part = tfzoo.TFPerceiverBasicDecoder(tfzoo.PerceiverConfig(d_latents=12), **options)
    assert part.num_query_channels == oracle.num_query_channels
    _fill(oracle, part)
    z = np.random.default_rng(1).normal(size=(3, 4, 12)).astype("float32")
    latents = torch.as_tensor(z)
    with torch.no_grad():
        query = oracle.decoder_query(latents).detach()
        want = oracle.eval()(query, latents, output_attentions=True)
    ours = part.decoder_query(z)
    assert_same(np.broadcast_to(ours, query.shape), {"": query.detach().numpy()})
    assert_same(part(ours, z, output_attentions=True), flatten(want, lambda t: t.detach().numpy()))
    assert_same(part(ours, z), {"logits": want.logits.detach().numpy()})


@pytest.mark.parametrize("concat", [False, True])
@pytest.mark.parametrize("dims", [(4, 6), (2, 3, 4)])
def test_queries_of_points(dims: tuple[int, ...], concat: bool) -> None:
    from transformers.models.perceiver import modeling_perceiver as theirs

    options = {
        "output_num_channels": 5,
        "position_encoding_type": "fourier",
        "output_index_dims": dims,
        "position_encoding_only": True,
        "concat_preprocessed_input": concat,
        "fourier_position_encoding_kwargs": {"num_bands": 3, "max_resolution": dims},
    }
    oracle = theirs.PerceiverBasicDecoder(reference.transformers.PerceiverConfig(), **options)
    part = tfzoo.TFPerceiverBasicDecoder(tfzoo.PerceiverConfig(), **options)
    assert part.num_query_channels == oracle.num_query_channels
    points = np.array([23, 0, 7, 7])
    x, plain = (np.random.default_rng(i).normal(size=(2, 4, 3)).astype("float32") for i in (1, 2))
    want = oracle.decoder_query(
        torch.as_tensor(x), None, torch.as_tensor(plain), torch.as_tensor(points)
    )
    have = part.decoder_query(x, None, plain, points)
    assert np.abs(np.broadcast_to(have, want.shape) - want.numpy()).max() <= 1e-6


def _audio(theirs: Any) -> tuple[Any, Any, tuple[int, ...]]:
    waves = {"fourier_position_encoding_kwargs": {"num_bands": 3, "max_resolution": (40,)}}
    options = {"samples_per_patch": 8, **waves}
    return (
        theirs.PerceiverAudioPreprocessor(reference.transformers.PerceiverConfig(), **options),
        tfzoo.TFPerceiverAudioPreprocessor(tfzoo.PerceiverConfig(), **options),
        (2, 40, 2),
    )


def _label(theirs: Any) -> tuple[Any, Any, tuple[int, ...]]:
    return (
        theirs.PerceiverOneHotPreprocessor(reference.transformers.PerceiverConfig(num_labels=4)),
        tfzoo.TFPerceiverOneHotPreprocessor(tfzoo.PerceiverConfig(num_labels=4)),
        (3, 4),
    )


@pytest.mark.parametrize("make", [_audio, _label])
def test_other_preprocessors(make: Callable[..., Any]) -> None:
    from transformers.models.perceiver import modeling_perceiver as theirs

    oracle, part, shape = make(theirs)
    assert part.num_channels == oracle.num_channels
    x = np.random.default_rng(1).normal(size=shape).astype("float32")
    with torch.no_grad():
        want = oracle(torch.as_tensor(x))
    have = part(x)
    for i in (0, 2):
        assert_same(np.asarray(have[i]), {"": want[i].numpy()})


# ---- full size
def _full_inputs(task: str) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    if task == "MaskedLM":
        mask = (np.arange(2048)[None] < 1500).astype("int64")
        return {"input_ids": rng.integers(6, 262, (1, 2048)) * mask, "attention_mask": mask}
    if task == "OpticalFlow":
        return {"inputs": rng.standard_normal((1, 2, 27, 368, 496), dtype="float32")}
    if task == "MultimodalAutoencoding":
        return {
            "image": rng.standard_normal((1, 16, 3, 224, 224), dtype="float32"),
            "audio": rng.standard_normal((1, 30720, 1), dtype="float32"),
            "label": np.zeros((1, 700), "float32"),
            "image_points": np.arange(6272),
            "audio_points": np.arange(15),
        }
    return {"pixel_values": rng.standard_normal((1, 3, 224, 224), dtype="float32")}


@pytest.mark.parametrize("task", PUBLISHED)
def test_published_sizes_agree(task: str, tmp_path: Path) -> None:
    """Outputs of the six published configurations with random weights, inside a graph."""
    inputs = _full_inputs(task)
    oracle, model = both(f"PerceiverFor{task}", PUBLISHED[task][0], tmp_path)
    expected = reference.run(oracle, inputs)
    del oracle
    call = tf.function(lambda tensors: model(tensors))
    assert_same(call({k: tf.constant(v) for k, v in inputs.items()}), expected)
