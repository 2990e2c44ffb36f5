"""What Perceiver's parts and models refuse, beside what stands with their other tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tfzoo
from tests.models.perceiver.cases import CASES, ONE_HEAD, texts
from tests.models.perceiver.test_multimodal import CASE as MULTIMODAL
from tests.models.perceiver.test_multimodal import nested, targets
from tfzoo.core.config import ConfigError

BY_NAME = {case.name.split("/")[1]: case for case in CASES}
CONFIG = tfzoo.PerceiverConfig(**{**ONE_HEAD, "num_labels": 3})
WAVES = {"fourier_position_encoding_kwargs": {"num_bands": 2, "max_resolution": (8, 8)}}
SOUND = {"fourier_position_encoding_kwargs": {"num_bands": 2, "max_resolution": (8,)}}


def floats(*shape: int) -> np.ndarray:
    return np.zeros(shape, "float32")


def images(prep_type: str, **kwargs: Any) -> Any:
    return tfzoo.TFPerceiverImagePreprocessor(
        CONFIG, prep_type, spatial_downsample=1, out_channels=6, **WAVES, **kwargs
    )


def audio() -> Any:
    return tfzoo.TFPerceiverAudioPreprocessor(CONFIG, samples_per_patch=4, **SOUND)


def label() -> Any:
    return tfzoo.TFPerceiverOneHotPreprocessor(CONFIG)


def words() -> Any:
    return tfzoo.TFPerceiverTextPreprocessor(CONFIG)


def multimodal() -> Any:
    return tfzoo.TFPerceiverMultimodalPreprocessor({"audio": audio(), "label": label()})


# ---- inputs that a modality cannot take
@pytest.mark.parametrize(
    ("make", "wrong", "message"),
    [
        (words, floats(1, 4), r"TextPreprocessor takes ids of shape \(batch, sequence\), got flo"),
        (words, np.zeros((1, 4, 1), int), r"takes ids of shape .* of shape \(1, 4, 1\)"),
        (label, np.zeros((1, 3), int), r"OneHotPreprocessor takes floats .*, got int64"),
        (label, floats(1, 1, 3), r"takes floats of shape \(batch, num_labels\), got float32 of"),
        (audio, floats(1, 8), r"AudioPreprocessor takes floats of shape \(batch, samples, chann"),
        (audio, np.zeros((1, 8, 1), int), "takes floats of shape .*, got int64"),
        (audio, {"audio": floats(1, 8, 1)}, "takes floats of shape .*, got a dict"),
        (lambda: images("pixels"), floats(1, 64, 3), r"ImagePreprocessor takes floats .* \(1, 64"),
        (lambda: images("conv"), np.zeros((1, 3, 8, 8), int), "takes floats .*, got int64"),
        (lambda: images("conv"), floats(1, 2, 3, 8, 8), "prep_type 'conv' takes images"),
        (lambda: images("conv1x1"), floats(1, 2, 3, 8, 8), "prep_type 'conv1x1' takes images"),
        (multimodal, floats(1, 8, 1), r"inputs must be a dict with \['audio', 'label'\], got nd"),
        (multimodal, {"audio": floats(1, 8, 1)}, r"be a dict with \['audio', 'label'\], got \["),
        (multimodal, {"audio": floats(1, 8, 1), "label": floats(1, 3), "text": floats(1)}, "text"),
        (multimodal, {"audio": floats(1, 8), "label": floats(1, 3)}, "modality 'audio': TFPerc"),
    ],
)
def test_inputs_that_a_modality_cannot_take(
    make: Callable[[], Any], wrong: Any, message: str
) -> None:
    model = tfzoo.TFPerceiverModel(CONFIG, input_preprocessor=make())
    with pytest.raises(ValueError, match=message):
        model(inputs=wrong)


# ---- channels
@pytest.mark.parametrize("prep_type", ["conv", "conv1x1", "pixels", "patches"])
def test_other_channels_are_refused(prep_type: str) -> None:
    model = tfzoo.TFPerceiverModel(CONFIG, input_preprocessor=images(prep_type))
    for channels in (1, 4):
        with pytest.raises(ValueError, match=f"must have in_channels=3, got {channels} channels"):
            model(inputs=floats(1, channels, 16, 16))


def test_patches_of_other_channels_or_sizes_are_refused() -> None:
    part = tfzoo.TFPerceiverImagePreprocessor(
        CONFIG,
        "patches",
        spatial_downsample=4,
        conv_after_patching=True,
        conv_after_patching_in_channels=48,
        **WAVES,
    )
    model = tfzoo.TFPerceiverModel(CONFIG, input_preprocessor=part)
    with pytest.raises(ValueError, match="3 channels: 48 for each patch of 16 pixels, got 2"):
        model(inputs=floats(1, 2, 8, 8))
    with pytest.raises(ValueError, match="do not divide into blocks of 1 frames and 4 x 4 pixels"):
        model(inputs=floats(1, 3, 8, 10))


# ---- points
def test_points_outside_one_decoders_grid_are_refused() -> None:
    waves = {"fourier_position_encoding_kwargs": {"num_bands": 1, "max_resolution": (4, 6)}}
    decoder = tfzoo.TFPerceiverBasicDecoder(
        CONFIG, 2, "fourier", output_index_dims=(4, 6), num_channels=6, **waves
    )
    model = tfzoo.TFPerceiverModel(CONFIG, decoder)
    tokens = floats(1, 5, 16)
    points = np.array([0, 23])
    assert model(inputs=tokens, subsampled_output_points=points).logits.shape == (1, 2, 2)
    for wrong, message in (
        (
            np.array([0, 24]),
            r"integers in \[0, 24\), the number of outputs, .* 0 to 24",
        ),
        (np.array([-1, 3]), "from -1 to 3"),
        (np.array([0.0, 1.0]), "got float64 from 0.0 to 1.0"),
        (np.array([[0]]), r"indices of shape \(points,\)"),
        ({"image": points}, r"indices of shape \(points,\) here, got dict"),
    ):
        with pytest.raises(ValueError, match=message):
            model(inputs=tokens, subsampled_output_points=wrong)


# ---- labels
@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("image", (2, 6, 3), r"labels\['image'\] must have the shape \(2, 7, 3\).*got \(2, 6, 3\)"),
        ("image", (2, 7, 4), r"labels\['image'\] must have the shape"),
        ("audio", (2, 11), r"labels\['audio'\] must have the shape \(2, 12\).*got \(2, 11\)"),
        ("audio", (1, 12), r"labels\['audio'\] must have the shape"),
    ],
)
def test_multimodal_labels_of_another_length(name: str, shape: Any, message: str) -> None:
    wrong = {**targets(), name: floats(*shape)}
    with pytest.raises(ValueError, match=message):
        MULTIMODAL.load()(**MULTIMODAL.make_inputs(), labels=wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.array([1, 2, 3]), "2.*3|3.*2"),
        (np.eye(6, dtype="float32")[:2], r"labels\['label'\] must have the shape \(2, 5\)"),
        (np.array([1, 5]), r"labels must lie in \[0, 5\)"),
    ],
)
def test_unknown_multimodal_classes_are_refused(wrong: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MULTIMODAL.load()(**MULTIMODAL.make_inputs(), labels={"label": wrong})


@pytest.mark.parametrize(
    ("kind", "labels", "message"),
    [
        ("learned", floats(3, 5), r"\(3, 5\).*\(3, 4\)|\(3, 4\).*\(3, 5\)"),
        ("learned", floats(2, 4), "labels must be as many as the 3 samples"),
        ("fourier", floats(3), "labels must be as many as the 2 samples"),
        ("conv", np.array([0, 1]), "labels must be as many as the 3 samples"),
        ("conv", np.array([0, 1, 5]), r"labels must lie in \[0, 5\)"),
        ("flow", floats(1, 4, 6, 2), "labels must be as many as the 2 samples"),
        ("flow", floats(2, 4, 5, 2), r"labels must have shape \(batch, 4, 6, 2\)"),
        ("masked_lm", np.zeros((2, 11), int), "3.*2|2.*3"),
        ("masked_lm", np.zeros((3, 12), int), r"labels must have shape \(batch, 11\)"),
    ],
)
def test_labels_of_another_length_than_the_outputs(kind: str, labels: Any, message: str) -> None:
    inputs = BY_NAME[kind].make_inputs(with_labels=False)
    with pytest.raises(ValueError, match=message):
        BY_NAME[kind].load()(**inputs, labels=labels)


# ---- both inputs and input_ids
@pytest.mark.parametrize("kind", ["masked_lm", "widths", "learned", "fourier", "conv"])
def test_inputs_under_two_names_are_refused(kind: str) -> None:
    case = BY_NAME[kind]
    name, value = next(iter(case.make_inputs(with_labels=False).items()))
    with pytest.raises(ValueError, match=f"only one of them; got inputs and {name}"):
        case.load()(**{"inputs": value, name: value})


def test_modalities_under_two_names_are_refused() -> None:
    inputs, _ = nested()
    for name, value in inputs.items():
        with pytest.raises(ValueError, match=f"pass either inputs or {name}, not both"):
            MULTIMODAL.load()(inputs=inputs, **{name: value})


# ---- decoders
def decoders() -> dict[str, Callable[..., Any]]:
    """The decoders that make queries of positions, and how they are given none."""
    return {
        "basic": lambda **k: tfzoo.TFPerceiverBasicDecoder(CONFIG, 3, num_channels=12, **k),
        "labels": lambda **k: tfzoo.TFPerceiverClassificationDecoder(CONFIG, num_channels=12, **k),
        "flow": lambda **k: tfzoo.TFPerceiverOpticalFlowDecoder(
            CONFIG, (2, 3), num_channels=12, **k
        ),
        "video": lambda **k: tfzoo.TFPerceiverBasicVideoAutoencodingDecoder(
            CONFIG, (1, 2, 3, 4), "trainable", output_num_channels=3, num_channels=12, **k
        ),
    }


@pytest.mark.parametrize("kind", decoders())
def test_decoders_need_their_positions_arguments(kind: str) -> None:
    make, table = decoders()[kind], {"num_channels": 12, "index_dims": 24}
    for given in ({}, {"trainable_position_encoding_kwargs": {}}):
        with pytest.raises(ValueError, match="need trainable_position_encoding_kwargs="):
            make(**given)
    if kind != "video":
        with pytest.raises(ValueError, match="need fourier_position_encoding_kwargs="):
            make(position_encoding_type="fourier", trainable_position_encoding_kwargs=table)
    make(trainable_position_encoding_kwargs=table)


@pytest.mark.parametrize("kind", decoders())
def test_decoders_need_heads_that_divide(kind: str) -> None:
    make, table = decoders()[kind], {"num_channels": 12, "index_dims": 24}
    with pytest.raises(
        tfzoo.core.config.ConfigError, match="qk_channels 12 must be a multiple of the 5"
    ):
        make(num_heads=5, trainable_position_encoding_kwargs=table)
    with pytest.raises(ConfigError, match="v_channels 9 must be a multiple of the 4"):
        make(num_heads=4, v_channels=9, trainable_position_encoding_kwargs=table)


def test_the_video_decoder_needs_its_channels() -> None:
    with pytest.raises(TypeError, match="output_num_channels"):
        tfzoo.TFPerceiverBasicVideoAutoencodingDecoder(
            CONFIG,
            (1, 2, 3, 4),
            "trainable",
            trainable_position_encoding_kwargs={"num_channels": 12, "index_dims": 24},
        )


def test_the_multimodal_decoder_needs_sizes_and_parts() -> None:
    table = {"num_channels": 6, "index_dims": 4}
    audio = tfzoo.TFPerceiverBasicDecoder(
        CONFIG, 5, position_encoding_only=True, trainable_position_encoding_kwargs=table
    )
    decoder = tfzoo.TFPerceiverMultimodalDecoder(CONFIG, {"audio": audio}, None, 5)
    with pytest.raises(ValueError, match="needs modality_sizes, tokens by modality"):
        decoder.decoder_query(floats(1, 5, 12))
    none = tfzoo.TFPerceiverBasicDecoder(CONFIG, 5, position_encoding_type="none")
    with pytest.raises(ValueError, match="'none' makes no queries"):
        tfzoo.TFPerceiverMultimodalDecoder(CONFIG, {"audio": none}, None, 5)


# ---- masks
def test_masks_of_other_lengths_are_refused() -> None:
    model = BY_NAME["masked_lm"].load()
    ids = texts(np.random.default_rng(0), 2, 6)["input_ids"]
    for mask in (np.ones((2, 7), int), np.ones((2, 5, 7), int)):
        with pytest.raises(ValueError, match="cover the 6 tokens"):
            model(ids, attention_mask=mask)
    for heads in (np.ones((3, 3)), np.ones((2, 2)), np.ones((1, 2, 3))):
        with pytest.raises(ValueError, match="head_mask must have shape"):
            model(ids, head_mask=heads)
