"""Perceiver's parts, put together by hand: what the documentation shows, and more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfzoo
from tests.models.perceiver.cases import CASES, TEXT, TINY
from tests.support.compare import assert_same, flatten
from tests.support.paths import FIXTURES

BY_NAME = {case.name.split("/")[1]: case for case in CASES}
SHORT = {"num_self_attends_per_block": 1}  # the examples' models, with fewer equal layers
FIVE = {"num_channels": 12, "index_dims": 5}


def tiny(**fields: Any) -> Any:
    return tfzoo.PerceiverConfig(**{**TINY, **fields})


def labels_of(config: Any) -> Any:
    """A decoder of labels, as in the documentation."""
    return tfzoo.TFPerceiverClassificationDecoder(
        config,
        num_channels=config.d_latents,
        trainable_position_encoding_kwargs={"num_channels": config.d_latents, "index_dims": 1},
        use_query_residual=True,
    )


# ---- the documentation's examples
def test_example_classifies_texts() -> None:
    config = tfzoo.PerceiverConfig(**SHORT)
    preprocessor = tfzoo.TFPerceiverTextPreprocessor(config)
    model = tfzoo.TFPerceiverModel(
        config, input_preprocessor=preprocessor, decoder=labels_of(config)
    )
    inputs = tfzoo.PerceiverTokenizer()("hello world", return_tensors="tf").input_ids
    logits = model(inputs=inputs).logits
    assert list(logits.shape) == [1, 2]
    criterion = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert np.isfinite(criterion(np.array([1]), logits))


def test_example_classifies_images() -> None:
    config = tfzoo.PerceiverConfig(image_size=224, **SHORT)
    preprocessor = tfzoo.TFPerceiverImagePreprocessor(
        config,
        prep_type="conv1x1",
        spatial_downsample=1,
        out_channels=256,
        position_encoding_type="trainable",
        concat_or_add_pos="concat",
        project_pos_dim=256,
        trainable_position_encoding_kwargs={"num_channels": 256, "index_dims": 224**2},
    )
    model = tfzoo.TFPerceiverModel(
        config, input_preprocessor=preprocessor, decoder=labels_of(config)
    )
    photo = FIXTURES / "photos" / "coffee.jpg"
    inputs = tfzoo.PerceiverImageProcessor()(photo, return_tensors="tf").pixel_values
    assert list(model(inputs=inputs).logits.shape) == [1, 2]


def test_example_of_the_bare_model() -> None:
    configuration = tfzoo.PerceiverConfig(**SHORT)
    model = tfzoo.TFPerceiverModel(configuration)
    assert model.config is configuration
    assert tuple(model.get_input_embeddings().shape) == (256, 1280)


def test_example_fills_masked_bytes() -> None:
    tokenizer = tfzoo.PerceiverTokenizer()
    config = tfzoo.PerceiverConfig(d_latents=32, d_model=32, num_latents=8, **SHORT)
    model = tfzoo.TFPerceiverForMaskedLM(config)
    text = "This is an incomplete sentence where some words are missing."
    inputs = tokenizer(text, padding="max_length", return_tensors="np")
    labels = tokenizer(text, padding="max_length", return_tensors="np").input_ids
    inputs["input_ids"][0, 52:61] = tokenizer.mask_token_id
    outputs = model(**inputs, labels=labels)
    assert list(outputs.logits.shape) == [1, 2048, 262]
    assert np.isfinite(outputs.loss)
    found = np.asarray(outputs.logits)[0, 52:61].argmax(-1).tolist()
    assert isinstance(tokenizer.decode(found), str)


def test_example_classifies_a_sentence() -> None:
    config = tfzoo.PerceiverConfig(d_latents=32, d_model=32, num_latents=8, **SHORT)
    model = tfzoo.TFPerceiverForSequenceClassification(config)
    inputs = tfzoo.PerceiverTokenizer()("hello world", return_tensors="tf").input_ids
    assert list(model(inputs=inputs).logits.shape) == [1, 2]


@pytest.mark.parametrize("way", ["Learned", "Fourier", "ConvProcessing"])
def test_example_classifies_a_photo(way: str) -> None:
    config = tfzoo.PerceiverConfig(
        d_latents=32,
        num_latents=8,
        num_cross_attention_heads=1,
        image_size=224,
        num_labels=1000,
        **SHORT,
    )
    model = getattr(tfzoo, f"TFPerceiverForImageClassification{way}")(config)
    photo = FIXTURES / "photos" / "coffee.jpg"
    inputs = tfzoo.PerceiverImageProcessor()(images=photo, return_tensors="tf").pixel_values
    logits = model(inputs=inputs).logits
    assert list(logits.shape) == [1, 1000]
    index = int(np.asarray(logits).argmax(-1).item())
    assert model.config.id2label[index] == f"LABEL_{index}"


def test_example_computes_flow() -> None:
    config = tfzoo.PerceiverConfig(
        d_latents=32, num_latents=8, num_cross_attention_heads=1, train_size=[36, 48], **SHORT
    )
    model = tfzoo.TFPerceiverForOpticalFlow(config)
    patches = np.random.default_rng(0).normal(size=(1, 2, 27, 36, 48)).astype("float32")
    assert list(model(inputs=patches).logits.shape) == [1, 36, 48, 2]


def test_example_autoencodes_a_chunk() -> None:
    config = tfzoo.PerceiverConfig(
        d_latents=32,
        num_latents=8,
        num_cross_attention_heads=1,
        image_size=56,
        output_shape=[1, 16, 56, 56],
        num_labels=700,
        **SHORT,
    )
    model = tfzoo.TFPerceiverForMultimodalAutoencoding(config)
    rng = np.random.default_rng(0)
    image = rng.normal(size=(1, 16, 3, 56, 56)).astype("float32")
    audio = rng.normal(size=(1, 30720, 1)).astype("float32")
    inputs = {"image": image, "audio": audio, "label": np.zeros((1, 700), "float32")}
    pixels = 16 * 56 * 56 // 128
    patches = audio.shape[1] // config.samples_per_patch // 128
    subsampling = {"image": np.arange(pixels), "audio": np.arange(patches), "label": None}
    logits = model(inputs=inputs, subsampled_output_points=subsampling).logits
    shapes = {name: list(value.shape) for name, value in logits.items()}
    assert shapes == {"audio": [1, 240], "image": [1, pixels, 3], "label": [1, 700]}


# ---- what the reference documents and cannot do
def test_projection_decoder_in_a_model() -> None:
    config = tiny(num_labels=3)
    decoder = tfzoo.TFPerceiverProjectionDecoder(config)
    model = tfzoo.TFPerceiverModel(config, decoder)
    tokens = np.random.default_rng(0).normal(size=(2, 7, 16)).astype("float32")
    outputs = model(inputs=tokens, output_attentions=True)
    assert len(outputs.cross_attentions) == 1
    mean = np.asarray(outputs.last_hidden_state).mean(1)
    kernel, bias = (np.asarray(w) for w in decoder.classifier.weights)
    assert_same(outputs.logits, {"": mean @ kernel + bias})


def test_one_hot_preprocessor_in_a_model() -> None:
    config = tiny(num_labels=8)
    part = tfzoo.TFPerceiverOneHotPreprocessor(config)
    model = tfzoo.TFPerceiverModel(config, labels_of(config), part)
    assert model(inputs=np.eye(8, dtype="float32")[:3]).logits.shape == (3, 8)
    with pytest.raises(ValueError, match="num_labels=8 numbers"):
        model(inputs=np.eye(7, dtype="float32"))


@pytest.mark.parametrize("kind", ["trainable", "fourier"])
def test_video_decoder_in_a_model(kind: str) -> None:
    config = tiny()
    positions = {
        "trainable": {"trainable_position_encoding_kwargs": {"num_channels": 9, "index_dims": 24}},
        "fourier": {
            "fourier_position_encoding_kwargs": {"num_bands": 1, "max_resolution": (2, 3, 4)}
        },
    }[kind]
    decoder = tfzoo.TFPerceiverBasicVideoAutoencodingDecoder(
        config, (1, 2, 3, 4), kind, output_num_channels=3, num_channels=9, **positions
    )
    model = tfzoo.TFPerceiverModel(config, decoder)
    tokens = np.random.default_rng(0).normal(size=(2, 7, 16)).astype("float32")
    outputs = model(inputs=tokens, output_attentions=True)
    assert outputs.logits.shape == (2, 2, 3, 4, 3)
    assert outputs.cross_attentions[1].shape == (2, 1, 24, 5)


def test_any_names_of_modalities_without_points() -> None:
    config = tiny(num_labels=8, d_model=8, vocab_size=30)
    inputs = {
        "words": np.array([[4, 9, 5]]),
        "class": np.eye(8, dtype="float32")[:1],
    }
    preprocessor = tfzoo.TFPerceiverMultimodalPreprocessor(
        {
            "words": tfzoo.TFPerceiverTextPreprocessor(config),
            "class": tfzoo.TFPerceiverOneHotPreprocessor(config),
        },
        mask_probs={"words": 0.5},
        min_padding_size=4,
    )

    def query(count: int) -> Any:
        table = {"num_channels": 6, "index_dims": count}
        return tfzoo.TFPerceiverBasicDecoder(
            config, 4, position_encoding_only=True, trainable_position_encoding_kwargs=table
        )

    decoder = tfzoo.TFPerceiverMultimodalDecoder(
        config, {"words": query(5), "class": query(1)}, None, 4
    )
    post = tfzoo.TFPerceiverMultimodalPostprocessor(
        {
            "words": tfzoo.TFPerceiverProjectionPostprocessor(4, 2),
            "class": tfzoo.TFPerceiverClassificationPostprocessor(config, 4),
        }
    )
    model = tfzoo.TFPerceiverModel(config, decoder, preprocessor, post)
    logits = model(inputs=inputs).logits
    assert {k: tuple(v.shape) for k, v in logits.items()} == {"words": (1, 5, 2), "class": (1, 8)}
    both = [np.asarray(preprocessor(inputs)[0]) for _ in range(20)]
    assert any(not np.array_equal(both[0], other) for other in both)  # drawn in inference as well
    assert all(np.array_equal(both[0][:, :1], other[:, :1]) for other in both)  # "class" is not


def test_modalities_stand_in_alphabetical_order() -> None:
    """In whatever order they are named."""
    parts = {name: tfzoo.TFPerceiverProjectionPostprocessor(4, 2) for name in ("words", "class")}
    post = tfzoo.TFPerceiverMultimodalPostprocessor(parts)
    tokens = np.random.default_rng(0).normal(size=(1, 5, 4)).astype("float32")
    found = post(tokens, modality_sizes={"words": 3, "class": 2})
    for name, own in {"class": tokens[:, :2], "words": tokens[:, 2:]}.items():
        assert_same(found[name], {"": np.asarray(parts[name](own))})


# ---- files
def composed(**fields: Any) -> Any:
    config = tiny(vocab_size=30, max_position_embeddings=11, **fields)
    return tfzoo.TFPerceiverModel(
        config, labels_of(config), tfzoo.TFPerceiverTextPreprocessor(config)
    )


def test_composed_models_are_saved_with_their_parts(tmp_path: Path) -> None:
    model, ids = composed(), np.array([[4, 9, 5]])
    expected = flatten(model(inputs=ids))
    model.save(tmp_path / "m.keras")
    again = tfzoo.load_model(tmp_path / "m.keras")
    assert type(again.decoder) is tfzoo.TFPerceiverClassificationDecoder
    assert_same(again(inputs=ids), expected)
    model.save_pretrained(tmp_path)
    parts = composed()
    loaded = tfzoo.TFPerceiverModel.from_pretrained(
        tmp_path,
        decoder=labels_of(parts.config),
        input_preprocessor=tfzoo.TFPerceiverTextPreprocessor(parts.config),
    )
    assert_same(loaded(inputs=ids), expected)
    with pytest.raises(ValueError, match="decoder has weights already"):
        tfzoo.TFPerceiverModel.from_pretrained(tmp_path, decoder=parts.decoder)
    bare = tfzoo.TFPerceiverModel.from_pretrained(BY_NAME["masked_lm"].folder)
    assert bare.decoder is None
    tokens = np.random.default_rng(0).normal(size=(1, 3, 16)).astype("float32")
    assert bare(inputs=tokens).last_hidden_state.shape == (1, 5, 12)


def test_composed_models_train() -> None:
    model = composed(num_labels=3)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, run_eagerly=True)
    data = tf.data.Dataset.from_tensors(({"inputs": np.array([[4, 9], [7, 8]])}, np.array([0, 2])))
    history = model.fit(data, shuffle=False, epochs=5, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]


# ---- refusals
def test_wrong_parts_are_refused() -> None:
    config = tiny()
    basic, image = tfzoo.TFPerceiverBasicDecoder, tfzoo.TFPerceiverImagePreprocessor
    with pytest.raises(ValueError, match="need trainable_position_encoding_kwargs="):
        basic(config, 3)
    with pytest.raises(ValueError, match="need fourier_position_encoding_kwargs="):
        basic(config, 3, position_encoding_type="fourier")
    with pytest.raises(ValueError, match="must be 'trainable' or 'fourier', got 'rotary'"):
        basic(
            config,
            3,
            position_encoding_type="rotary",
            trainable_position_encoding_kwargs=FIVE,
        )
    with pytest.raises(ValueError, match="need fourier_position_encoding_kwargs="):
        image(config)
    waves = {"fourier_position_encoding_kwargs": {"num_bands": 2, "max_resolution": (8, 8)}}
    with pytest.raises(ValueError, match="prep_type must be 'conv' or 'conv1x1' or 'patches' or"):
        image(config, prep_type="crops", **waves)
    for spatial, temporal in ((3, 1), (8, 1), (4, 2)):
        with pytest.raises(ValueError, match="power of 4"):
            image(config, spatial_downsample=spatial, temporal_downsample=temporal, **waves)
    image(config, spatial_downsample=16, **waves)
    with pytest.raises(ValueError, match="concat_or_add_pos must be"):
        image(config, concat_or_add_pos="multiply", **waves)
    with pytest.raises(ValueError, match="postproc_type must be 'patches'"):
        tfzoo.TFPerceiverAudioPostprocessor(config, 8, "waves")
    with pytest.raises(ValueError, match="prep_type of audio must be 'patches'"):
        tfzoo.TFPerceiverAudioPreprocessor(config, "waves", **waves)
    with pytest.raises(ValueError, match=r"\(batch, frames, height, width\), got \(2, 3, 4\)"):
        tfzoo.TFPerceiverBasicVideoAutoencodingDecoder(config, (2, 3, 4), "fourier", **waves)
    part = tfzoo.TFPerceiverOneHotPreprocessor(config)
    with pytest.raises(ValueError, match=r"mask_probs names \['b'\]"):
        tfzoo.TFPerceiverMultimodalPreprocessor({"a": part}, {"b": 1.0})


def test_queries_that_cannot_be_made_are_refused() -> None:
    config, z = tiny(), np.zeros((1, 5, 12), "float32")
    none = tfzoo.TFPerceiverBasicDecoder(config, 3, position_encoding_type="none")
    with pytest.raises(ValueError, match="makes no queries"):
        none.decoder_query(z)
    with pytest.raises(ValueError, match="makes no queries"):
        none.num_query_channels  # noqa: B018
    only = tfzoo.TFPerceiverBasicDecoder(
        config,
        3,
        position_encoding_only=True,
        concat_preprocessed_input=True,
        trainable_position_encoding_kwargs=FIVE,
    )
    with pytest.raises(ValueError, match="needs inputs_without_pos"):
        only.decoder_query(z)
    with pytest.raises(ValueError, match="only makes queries"):
        only(z, z)
    flow = tfzoo.TFPerceiverOpticalFlowDecoder(
        config, (2, 3), num_channels=6, position_encoding_type="none"
    )
    with pytest.raises(ValueError, match="decoded for all pixels"):
        flow.decoder_query(z, subsampled_points=np.array([0]))
    post = tfzoo.TFPerceiverMultimodalPostprocessor({})
    with pytest.raises(ValueError, match="needs modality_sizes"):
        post(z)


def test_inputs_of_another_modality_are_refused() -> None:
    model = composed()
    with pytest.raises(ValueError, match="takes ids of shape .*, got float32 of shape"):
        model(inputs=np.zeros((1, 3), "float32"))
    with pytest.raises(ValueError, match="takes ids of shape .*, got a dict"):
        model(inputs={"text": np.array([[4]])})
    with pytest.raises(ValueError, match="takes ids of shape .*, got int64 of shape"):
        model(inputs=np.zeros((1, 3, 3), "int64"))
    with pytest.raises(ValueError, match="inputs is required"):
        model()
    bare = tfzoo.TFPerceiverModel(tiny())
    with pytest.raises(ValueError, match=r"\(batch, tokens, d_model=16\), got \(1, 3, 8\)"):
        bare(inputs=np.zeros((1, 3, 8), "float32"))
    with pytest.raises(ValueError, match="need a decoder"):
        bare(inputs=np.zeros((1, 3, 16), "float32"), subsampled_output_points=np.array([0]))
    assert TEXT["max_position_embeddings"] == 11
