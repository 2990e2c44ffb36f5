"""Perceiver: the common checks, and what is its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import tfzoo
from tests.models.perceiver.cases import CASES, ONE_HEAD, TEXT, TINY, images, texts
from tests.support.cases import Case
from tests.support.compare import assert_same, flatten
from tests.support.family_checks import FamilyChecks, with_a_loss
from tests.support.shapes import shapes_only
from tfzoo.core.config import ConfigError
from tfzoo.core.variables import slots
from tfzoo.layers import attention as attention_layer
from tfzoo.models.perceiver.positions import FourierPositions, linspace

BY_NAME = {case.name.split("/")[1]: case for case in CASES}


class TestPerceiver(FamilyChecks):
    cases = tuple(case for case in CASES if "Multimodal" not in case.model)
    default_counts = {"TFPerceiverForMaskedLM": (457, 269_319_430)}

    @with_a_loss
    def test_one_fit_step_equals_the_reference(self, case: Case, model: Any) -> None:
        """The recorded step is that of a model in evaluation mode, with stored statistics."""
        engine = getattr(model, "perceiver", model)
        convnet = getattr(engine.input_preprocessor, "convnet", None)
        if convnet is not None:
            convnet.batchnorm.live = False
        super().test_one_fit_step_equals_the_reference(case, model)


# ---- the published models
VISION = {
    "num_latents": 512,
    "d_latents": 1024,
    "num_blocks": 8,
    "num_self_attends_per_block": 6,
    "num_cross_attention_heads": 1,
    "num_labels": 1000,
}
PUBLISHED = {
    "MaskedLM": ({"qk_channels": 256, "v_channels": 1280}, 201_108_230, 457),
    "ImageClassificationLearned": ({**VISION, "image_size": 224}, 62_255_848, 141),
    "ImageClassificationFourier": (VISION, 48_440_627, 136),
    "ImageClassificationConvProcessing": (VISION, 48_646_522, 142),
    "OpticalFlow": (
        {
            "num_latents": 2048,
            "d_latents": 512,
            "num_self_attends_per_block": 24,
            "num_self_attention_heads": 16,
            "num_cross_attention_heads": 1,
        },
        41_057_134,
        425,
    ),
    "MultimodalAutoencoding": (
        {
            "num_latents": 784,
            "d_latents": 512,
            "num_self_attends_per_block": 8,
            "num_cross_attention_heads": 1,
            "image_size": 224,
            "num_labels": 700,
        },
        19_858_855,
        183,
    ),
}


@pytest.mark.parametrize("task", PUBLISHED)
def test_published_sizes(task: str) -> None:
    fields, parameters, tensors = PUBLISHED[task]
    with shapes_only():
        model = getattr(tfzoo, f"TFPerceiverFor{task}")(tfzoo.PerceiverConfig(**fields))
    trained = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    assert (trained, len(slots(model))) == (parameters, tensors)


def test_old_configs_load() -> None:
    """Stored configs lack new fields, carry unknown ones and know labels by name alone."""
    old = {
        "model_type": "perceiver",
        "num_latents": 7,
        "seq_len": 2048,
        "hidden_dropout_prob": 0.1,
        "position_embedding_init_scale": 0.02,
        "id2label": {str(i): f"class {i}" for i in range(9)},
    }
    config = tfzoo.PerceiverConfig.from_dict(old)
    assert (config.num_labels, config.seq_len, config.output_shape) == (9, 2048, [1, 16, 224, 224])


# ---- blocks, masks
def test_blocks_share_weights_and_states_repeat() -> None:
    case = BY_NAME["masked_lm"]
    model, inputs = case.load(), case.make_inputs(with_labels=False)
    assert len(model.perceiver.encoder.self_attends) == 2
    out = model(inputs, output_hidden_states=True, output_attentions=True)
    states = [np.asarray(state) for state in out.hidden_states]
    assert [len(states), len(out.attentions), len(out.cross_attentions)] == [6, 4, 2]
    assert np.array_equal(states[2], states[3])  # between the blocks
    assert [tuple(t.shape) for t in out.cross_attentions] == [(3, 4, 5, 8), (3, 8, 11, 5)]


def test_tuples_have_the_decoders_weights_behind_the_encoders() -> None:
    case = BY_NAME["masked_lm"]
    model, inputs = case.load(), case.make_inputs(with_labels=False)
    flags = {"output_attentions": True, "return_dict": False}
    whole = model.perceiver(inputs["input_ids"], inputs["attention_mask"], **flags)
    for plain, first in ((model(inputs, **flags), 1), (whole, 2)):
        attentions, encoder, decoder = plain[first:]
        assert (len(attentions), len(encoder)) == (4, 1)
        assert tuple(decoder.shape)[1:] == (8, 11, 5)
    bare = BY_NAME["bare"].load()(BY_NAME["bare"].make_inputs(), **flags)
    assert [len(part) for part in bare[1:]] == [2, 1]
    assert len(model(inputs, return_dict=False)) == 1


def test_no_layers_at_all() -> None:
    """Without self-attention the latents are what the cross-attention gives."""
    inputs, flags = BY_NAME["masked_lm"].make_inputs(), {"output_attentions": True}
    for none in ({"num_self_attends_per_block": 0}, {"num_blocks": 0}):
        model = tfzoo.TFPerceiverForMaskedLM(tfzoo.PerceiverConfig(**{**TEXT, **none}))
        out = model(inputs, output_hidden_states=True, **flags, head_mask=np.ones(3, "float32"))
        assert (len(out.attentions), len(out.cross_attentions)) == (0, 2)
        model.compile("sgd", run_eagerly=True)
        assert np.isfinite(model.fit(inputs, verbose=0).history["loss"][0])


def test_no_labels_are_refused_by_name() -> None:
    config = tfzoo.PerceiverConfig(**{**TEXT, "num_labels": 0})
    for cls in (tfzoo.TFPerceiverForSequenceClassification, tfzoo.TFPerceiverProjectionDecoder):
        with pytest.raises(ConfigError, match="num_labels must be positive for this model, got 0"):
            cls(config)
    assert tfzoo.TFPerceiverForMaskedLM(config) is not None


def test_layer_norm_eps_has_no_effect() -> None:
    """As in the reference, whose norms all have PyTorch's default."""
    case = BY_NAME["masked_lm"]
    model, inputs = case.load(layer_norm_eps=0.5), case.make_inputs()
    expected = {"": case.recorded("outputs")["logits"]}
    assert_same(np.asarray(model(**inputs).logits), expected)


def test_padding_does_not_change_the_outputs() -> None:
    model = BY_NAME["masked_lm"].load()
    short = np.array([[4, 9, 8, 5]])
    padded = np.array([[4, 9, 8, 5, 0, 0, 0]])
    mask = np.array([[1, 1, 1, 1, 0, 0, 0]])
    expected = np.asarray(model(short).logits)
    assert_same(model(padded, mask).logits, {"": expected})
    rows = np.repeat(mask[:, None], 5, axis=1)
    assert_same(model(padded, rows).logits, {"": expected})
    nothing = model(padded, np.zeros((1, 7), int), output_attentions=True)
    assert_same(nothing.cross_attentions[0], {"": np.full((1, 4, 5, 7), 1 / 7)})


def test_head_masks_leave_heads_out() -> None:
    model = BY_NAME["widths"].load()
    ids = texts(np.random.default_rng(0), 2, 6)["input_ids"]
    row = np.array([0.0, 1.0, 0.0], "float32")
    weights = model(ids, head_mask=row, output_attentions=True).attentions
    for one in weights:
        assert np.all(np.asarray(one)[:, [0, 2]] == 0)
        assert np.all(np.asarray(one)[:, 1] > 0)
    table = np.repeat(row[None], 2, axis=0)
    expected = np.asarray(model(ids, head_mask=row).logits)
    assert_same(model(ids, head_mask=table).logits, {"": expected})
    twice = np.concatenate([table, 1 - table])  # each block starts with the first row
    assert_same(model(ids, head_mask=twice).logits, {"": expected})


# ---- long sequences
@pytest.mark.parametrize(
    "jit_compile",
    [None, False, pytest.param(True, marks=pytest.mark.slow)],
    ids=["eager", "graph", "xla"],
)
def test_blocks_of_scores_change_nothing(
    monkeypatch: pytest.MonkeyPatch, jit_compile: bool | None
) -> None:
    """With tiny blocks, all three ways of attention give what one matrix gives."""
    monkeypatch.setattr(attention_layer, "SCORES_AT_ONCE", 37)
    for name in ("flow", "fourier", "masked_lm"):
        case = BY_NAME[name]
        inputs = {k: tf.constant(v) for k, v in case.make_inputs(with_labels=False).items()}
        model, expected = case.load(), case.recorded("outputs")
        call = (lambda m: lambda x: m(x, output_hidden_states=True))(model)
        call = call if jit_compile is None else tf.function(call, jit_compile=jit_compile)
        got = flatten(call(inputs))
        assert_same(got, {k: v for k, v in expected.items() if k in got}, what=name)


def test_cost_is_chosen_by_the_sizes() -> None:
    """Long inputs spare their own projections, short ones do not."""
    attention = BY_NAME["flow"].load().perceiver.encoder.cross_attention.attention
    assert attention._cheapest(2048, 182528) == ("projected", "projected")  # narrow keys pay
    wide = tfzoo.TFPerceiverForOpticalFlow(
        tfzoo.PerceiverConfig(**{**TINY, "num_cross_attention_heads": 1, "train_size": [4, 6]})
    ).perceiver
    assert wide.encoder.cross_attention.attention._cheapest(5, 24) == ("folded", "folded")
    layer = wide.decoder.decoder.decoding_cross_attention.attention
    assert layer._cheapest(182528, 2048) == ("projected", "projected")  # latents of 12 are narrow
    assert layer._cheapest(None, 2048) == ("projected", "projected")


# ---- positions
def test_linspace_is_that_of_pytorch() -> None:
    step = np.float32(2) / np.float32(1919)
    numbers = linspace(-1, 1, 1920)
    assert (numbers[0], numbers[-1], numbers.dtype) == (-1, 1, np.float32)
    assert numbers[700] == np.float32(-1 + np.float64(step) * 700)
    assert numbers[1200] == np.float32(1 - np.float64(step) * 719)
    assert linspace(-1, 1, 1).tolist() == [-1.0]


def test_unknown_sizes_have_the_same_positions() -> None:
    positions = FourierPositions(5, (9, 12))
    grid = tf.function(lambda size: positions.grid((size[0], size[1])))
    for size in ((4, 7), (1, 6), (13, 2)):
        expected = np.asarray(positions.grid(size))
        assert np.abs(grid(tf.constant(size)).numpy() - expected).max() <= 1e-6
    with pytest.raises(ValueError, match="does not fit max_resolution"):
        positions.grid((3,))


def test_larger_images_need_interpolation() -> None:
    model = BY_NAME["learned"].load()
    pixels = images(np.random.default_rng(0), 1, 3, 8, 9)["pixel_values"]
    with pytest.raises(ValueError, match="36 places, the inputs have 72.*interpolate_pos_encoding"):
        model(pixel_values=pixels)
    assert model(pixel_values=pixels, interpolate_pos_encoding=True).logits.shape == (1, 4)
    same = BY_NAME["learned"].make_inputs(with_labels=False)
    plain = flatten(model(**same))
    assert_same(model(**same, interpolate_pos_encoding=True), plain, bound=0)


def test_interpolated_positions_of_a_wide_image() -> None:
    """2 x 3 pixels of a table for 2 x 2: the rows stay, the middle column is a mean."""
    part = tfzoo.TFPerceiverImagePreprocessor(
        tfzoo.PerceiverConfig(**TINY),
        prep_type="pixels",
        spatial_downsample=1,
        position_encoding_type="trainable",
        trainable_position_encoding_kwargs={"num_channels": 2, "index_dims": 4},
    )
    part.build()
    (table,) = part.trainable_weights
    table.assign([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])  # row and column of each
    pixels = np.zeros((1, 3, 2, 3), "float32")
    tokens = np.asarray(part(pixels, interpolate_pos_encoding=True)[0])[0, :, 3:]
    rows, columns = tokens.reshape(2, 3, 2).transpose(2, 0, 1)
    np.testing.assert_allclose(rows, [[0, 0, 0], [1, 1, 1]], atol=1e-6)
    outside = 0.75 * 1 / 6 * (5 / 6) ** 2  # Keys's kernel at a distance of 7/6
    np.testing.assert_allclose(columns, [[-outside, 0.5, 1 + outside]] * 2, atol=1e-6)


# ---- refusals
def test_bad_inputs_are_refused() -> None:
    text = BY_NAME["masked_lm"].load()
    ids = np.array([[4, 5]])
    with pytest.raises(ValueError, match="only one of them; got inputs and input_ids"):
        text(inputs=ids, input_ids=ids)
    with pytest.raises(
        ValueError, match="pass inputs or input_ids, and only one of them; got none"
    ):
        text()
    with pytest.raises(ValueError, match="the text has 12 tokens, the model positions for 11"):
        text(input_ids=np.ones((1, 12), int))
    with pytest.raises(ValueError, match=r"ids must lie in \[0, 30\) .* got 4 to 30"):
        text(input_ids=np.array([[4, 30]]))
    with pytest.raises(ValueError, match=r"labels must have shape \(batch, 11\).*got \(1, 2\)"):
        text(input_ids=ids, labels=ids)
    with pytest.raises(ValueError, match="cover the 2 tokens"):
        text(input_ids=ids, attention_mask=np.ones((1, 3), int))
    with pytest.raises(ValueError, match=r"attention_mask must have shape \(batch, tokens\)"):
        text(input_ids=ids, attention_mask=np.ones((2,), int))
    with pytest.raises(
        ValueError, match=r"head_mask must have shape \(3,\) or \(4, 3\), got \(2,\)"
    ):
        text(input_ids=ids, head_mask=np.ones(2))
    sentence = BY_NAME["widths"].load()
    with pytest.raises(ValueError, match="labels must be as many as the 1 samples"):
        sentence(input_ids=ids, labels=np.array([0, 1]))
    with pytest.raises(ValueError, match="labels must lie in"):
        sentence(input_ids=ids, labels=np.array([7]))


def test_bad_images_are_refused() -> None:
    model, flow = BY_NAME["fourier"].load(), BY_NAME["flow"].load()
    with pytest.raises(ValueError, match="inputs must have in_channels=3, got 4 channels"):
        model(pixel_values=np.zeros((1, 4, 8, 8), "float32"))
    with pytest.raises(ValueError, match="inputs and pixel_values"):
        model(inputs=np.zeros((1, 3, 8, 8)), pixel_values=np.zeros((1, 3, 8, 8)))
    frames = np.zeros((1, 2, 27, 4, 6), "float32")
    with pytest.raises(ValueError, match=r"height and width \(4, 6\) .*got \(6, 4\)"):
        flow(frames.swapaxes(3, 4))  # as many pixels, which the reference scrambles
    with pytest.raises(ValueError, match="27 channels: 54 for each patch of 2 pixels, got 3"):
        flow(frames[:, :, :3])
    with pytest.raises(ValueError, match="inputs must have 2 frames, got 4"):
        flow(np.concatenate([frames, frames], axis=1))
    with pytest.raises(ValueError, match=r"labels must have shape \(batch, 4, 6, 2\)"):
        flow(frames, labels=np.zeros((1, 6, 4, 2), "float32"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_self_attention_heads": 5}, "d_latents 12 must be a multiple of num_self_att"),
        ({"num_cross_attention_heads": 5}, "d_latents 12 must be a multiple of num_cross_att"),
        ({"qk_channels": 10}, "qk_channels 10 must be a multiple of the 4 heads"),
        ({"v_channels": 10, "qk_channels": 12}, "v_channels 10 must be a multiple"),
        ({"v_channels": 24}, "v_channels 24 must equal d_latents 12"),
        ({"cross_attention_shape_for_attention": "k"}, "one of 'kv', 'q'"),
        ({"train_size": [3]}, "a list of 2 positive integers"),
        ({"num_latents": 0}, "a positive integer"),
    ],
)
def test_wrong_configs_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tfzoo.TFPerceiverModel(tfzoo.PerceiverConfig(**{**TINY, **fields}))


# ---- files
def test_cached_tables_are_not_weights(tmp_path: Path) -> None:
    """Positions are computed: a saved model is not larger for them."""
    config = tfzoo.PerceiverConfig(**ONE_HEAD, num_labels=3)
    model = tfzoo.TFPerceiverForImageClassificationFourier(config)
    model(pixel_values=np.zeros((1, 3, 64, 64), "float32"))
    model.save_pretrained(tmp_path)
    weights = sum(int(np.prod(slot.shape)) for slot in slots(model).values())
    assert (tmp_path / "model.safetensors").stat().st_size < 4 * weights + 50_000


@pytest.mark.parametrize(
    ("auto", "head"),
    [
        ("TFAutoModelForMaskedLM", "MaskedLM"),
        ("TFAutoModelForSequenceClassification", "SequenceClassification"),
        ("TFAutoModelForImageClassification", "ImageClassificationLearned"),
        ("TFAutoModelForImageClassification", "ImageClassificationConvProcessing"),
    ],
)
def test_auto_classes(auto: str, head: str) -> None:
    """Image classifiers have three classes: the checkpoint's architecture chooses."""
    config = tfzoo.PerceiverConfig(architectures=[f"PerceiverFor{head}"])
    assert getattr(tfzoo, auto).class_for(config) is getattr(tfzoo, f"TFPerceiverFor{head}")
    assert getattr(tfzoo, auto).class_for(tfzoo.PerceiverConfig()).__name__.startswith("TFPerc")
