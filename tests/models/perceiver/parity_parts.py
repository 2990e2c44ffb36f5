"""Perceiver's parts by themselves, against the living reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tfzoo
from tests.support import reference
from tests.support.compare import assert_same, flatten

torch = reference.torch


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

    from tfzoo.models.perceiver.positions import FourierPositions

    oracle = theirs.PerceiverFourierPositionEncoding(bands, resolution, **options)
    expected = oracle(dims, 1, torch.device("cpu"), torch.float32).numpy()
    ours = FourierPositions(bands, resolution, **options)
    assert ours.output_size() == oracle.output_size()
    assert np.abs(np.asarray(ours.grid(dims)) - expected).max() <= 1e-6


# ---- parts by themselves
def _fill(oracle: Any, part: Any) -> None:
    """Give a part the reference's random weights."""
    from tfzoo.core.variables import slots
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


@pytest.mark.parametrize("size", [(8, 8), (12, 5), (3, 4), (21, 17)])
def test_interpolated_positions(size: tuple[int, int]) -> None:
    """Trainable positions of an image of another size: PyTorch's bicubic resize of the table."""
    options, _ = IMAGE_WAYS["conv1x1 in steps"]
    options = {**options, "spatial_downsample": 1}
    part = tfzoo.TFPerceiverImagePreprocessor(tfzoo.PerceiverConfig(), **options)
    part.build()
    table = np.random.default_rng(1).normal(size=(64, 10)).astype("float32")
    part.position_embeddings.position_embeddings.assign(table)
    grid = torch.as_tensor(table).T.reshape(1, 10, 8, 8)
    want = torch.nn.functional.interpolate(grid, size, mode="bicubic", align_corners=False)
    want = want[0].permute(1, 2, 0).reshape(-1, 10).numpy()
    images = np.zeros((2, 3, *size), "float32")
    have = np.asarray(part(images, interpolate_pos_encoding=True)[0])[..., 10:]
    for one in have:
        assert np.abs(one - want).max() <= 1e-5 * np.abs(want).max()
