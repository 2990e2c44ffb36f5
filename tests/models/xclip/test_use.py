"""X-CLIP as its users meet it: the documented examples, labels as classes, configurations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import keras
import numpy as np
import pytest
import tensorflow as tf

import tfzoo
from tests.models.xclip.cases import JOINT, TEXT, VISION, config
from tests.support.compare import assert_same, flatten
from tests.support.paths import FIXTURES
from tests.support.xclip_checkpoint import write_xclip_checkpoint
from tests.text.clip_files import SMALL, write_vocabulary

VIDEO = FIXTURES / "videos" / "bigbuckbunny.mp4"
LABELS = ["playing sports", "eating spaghetti", "go shopping"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole checkpoint for frames of 32 x 32 pixels."""
    return write_xclip_checkpoint(tmp_path_factory.mktemp("xclip"))


@pytest.fixture(scope="module")
def video() -> np.ndarray:
    """Eight frames, chosen as the documented example chooses them."""
    np.random.seed(0)
    container = av.open(str(VIDEO))
    indices = tfzoo.sample_frame_indices(
        clip_len=8, frame_sample_rate=1, seg_len=container.streams.video[0].frames
    )
    return tfzoo.read_video(VIDEO, indices=indices).frames


# ---- the documented examples, in their TF form
def test_example_of_the_model(folder: Path, video: np.ndarray) -> None:
    processor = tfzoo.AutoProcessor.from_pretrained(folder)
    model = tfzoo.TFAutoModel.from_pretrained(folder)
    inputs = processor(text=LABELS, videos=list(video), return_tensors="tf", padding=True)
    outputs = model(**inputs)
    probs = tf.nn.softmax(outputs.logits_per_video, axis=1)
    assert probs.shape == (1, 3)
    assert float(tf.reduce_sum(probs)) == pytest.approx(1.0)
    assert list(outputs) == [
        "logits_per_video",
        "logits_per_text",
        "text_embeds",
        "video_embeds",
        "text_model_output",
        "vision_model_output",
        "mit_output",
    ]
    assert_same(outputs[0], {"": outputs["logits_per_video"].numpy()}, bound=0)
    plain = model(**inputs, return_dict=False)  # the reference's has no mit_output
    assert len(plain) == 6
    assert_same(flatten(plain[-1]), flatten(outputs.vision_model_output.to_tuple()), bound=0)


def test_examples_of_the_features(folder: Path, video: np.ndarray) -> None:
    tokenizer = tfzoo.AutoTokenizer.from_pretrained(folder)
    processor = tfzoo.AutoProcessor.from_pretrained(folder)
    model = tfzoo.TFAutoModel.from_pretrained(folder)
    inputs = tokenizer(["a photo of a cat", "a photo of a dog"], padding=True, return_tensors="tf")
    assert model.get_text_features(**inputs).shape == (2, 10)
    inputs = processor(videos=list(video), return_tensors="tf")
    assert model.get_video_features(**inputs).shape == (1, 10)


def test_examples_of_the_towers(folder: Path, video: np.ndarray) -> None:
    model = tfzoo.TFXCLIPTextModel.from_pretrained(folder)
    tokenizer = tfzoo.AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(["a photo of a cat", "a photo of a dog"], padding=True, return_tensors="tf")
    outputs = model(**inputs)
    assert outputs.pooler_output.shape == (2, 8)  # pooled (EOS token) states
    processor = tfzoo.AutoProcessor.from_pretrained(folder)
    model = tfzoo.TFXCLIPVisionModel.from_pretrained(folder)
    pixel_values = processor(videos=list(video), return_tensors="tf").pixel_values
    batch_size, num_frames, num_channels, height, width = pixel_values.shape
    pixel_values = tf.reshape(pixel_values, (-1, num_channels, height, width))
    outputs = model(pixel_values)
    assert outputs.last_hidden_state.shape == (batch_size * num_frames, 17, 12)


def test_examples_of_the_configs() -> None:
    configuration = tfzoo.XCLIPTextConfig()
    assert configuration.to_dict()["eos_token_id"] == 2
    text, vision = tfzoo.XCLIPTextConfig(**TEXT), tfzoo.XCLIPVisionConfig(**VISION)
    model = tfzoo.TFXCLIPTextModel(text)
    assert model.config is text
    assert tfzoo.TFXCLIPVisionModel(vision).config is vision
    assert isinstance(model, tfzoo.TFXCLIPPreTrainedModel)


# ---- labels as classes
def test_classifier_gives_the_scores_of_the_whole_model(folder: Path, video: np.ndarray) -> None:
    model = tfzoo.TFXCLIPModel.from_pretrained(folder)
    processor = tfzoo.XCLIPProcessor.from_pretrained(folder)
    classifier = model.zero_shot_classifier(LABELS, "a video of {}.")
    text = [f"a video of {label}." for label in LABELS]
    videos = [list(video), list(video[::-1])]
    inputs = processor(text=text, videos=videos, return_tensors="tf", padding=True)
    expected = {"": model(**inputs).logits_per_video.numpy()}
    pixels = inputs["pixel_values"]
    assert_same(classifier(pixels), expected)
    for form in ({"pixel_values": pixels}, [pixels], pixels.numpy()):
        assert_same(classifier(form), expected)
    assert_same(tf.function(classifier)(pixels), expected)
    assert_same(classifier.predict(pixels, batch_size=1, verbose=0), expected)
    assert classifier.labels == tuple(LABELS)
    for row, logits in zip(classifier.rank(pixels, top_k=2), expected[""], strict=True):
        wanted = np.exp(logits - logits.max())
        best = np.argsort(-logits)[:2]
        assert [name for name, _ in row] == [LABELS[i] for i in best]
        assert [score for _, score in row] == pytest.approx((wanted / wanted.sum())[best], rel=1e-4)


def test_classifier_encodes_its_texts_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tfzoo.TFXCLIPModel.from_pretrained(folder)
    classifier = model.zero_shot_classifier(LABELS)

    def forbidden(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("the texts were encoded again")

    monkeypatch.setattr(model.text_model, "call", forbidden)
    assert classifier(np.zeros((1, 8, 3, 32, 32), "float32")).shape == (1, 3)


def test_classifier_trains_all_but_the_texts(folder: Path) -> None:
    model = tfzoo.TFXCLIPModel.from_pretrained(folder)
    classifier = model.zero_shot_classifier(LABELS)
    pixels = np.random.default_rng(0).normal(size=(3, 8, 3, 32, 32)).astype("float32")
    text, logits = model.text_model.get_weights(), classifier(pixels)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    how = {"loss": loss, "metrics": ["accuracy"], "run_eagerly": True}
    classifier.compile(keras.optimizers.SGD(0.1), **how)
    history = classifier.fit(pixels, np.arange(3), batch_size=3, epochs=4, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    for before, after in zip(text, model.text_model.get_weights(), strict=True):
        assert np.array_equal(before, after)
    assert np.abs(classifier(pixels) - logits).max() > 1e-3


def test_classifier_refuses_what_does_not_fit(folder: Path, tmp_path: Path) -> None:
    model = tfzoo.TFXCLIPModel.from_pretrained(folder)
    for labels in ([], "eating", [1]):
        with pytest.raises(ValueError, match="labels must be a list of one or more texts"):
            model.zero_shot_classifier(labels)
    with pytest.raises(ValueError, match="template must hold {} where the label goes"):
        model.zero_shot_classifier(LABELS, "a video")
    with pytest.raises(ValueError, match="tokens, the model has positions for 77"):
        model.zero_shot_classifier(["word " * 80], tokenizer=tokenizer_without_limit(folder))
    fresh = tfzoo.TFXCLIPModel(model.config.from_dict(model.config.to_dict()))
    with pytest.raises(ValueError, match="its tokenizer is unknown: pass tokenizer="):
        fresh.zero_shot_classifier(LABELS)
    fresh.save_pretrained(tmp_path)
    alone = tfzoo.TFXCLIPModel.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="holds no tokenizer"):
        alone.zero_shot_classifier(LABELS)
    small = tfzoo.TFXCLIPModel(tfzoo.XCLIPConfig(**config()))
    with pytest.raises(ValueError, match="199 entries, the model.s vocabulary has 49"):
        small.zero_shot_classifier(LABELS, tokenizer=tfzoo.AutoTokenizer.from_pretrained(folder))
    with pytest.raises(ValueError, match="pixel_values must have shape"):
        model.zero_shot_classifier(LABELS)(np.zeros((1, 4, 3, 32, 32), "float32"))


def tokenizer_without_limit(folder: Path) -> Any:
    return tfzoo.CLIPTokenizerFast.from_pretrained(folder, model_max_length=1000)


def test_sizes_of_files_count(folder: Path, tmp_path: Path) -> None:
    """A file with `size` alone still crops to 224 pixels, which the model refuses by name."""
    tokenizer = tfzoo.CLIPTokenizerFast.from_pretrained(write_vocabulary(tmp_path))
    images = tfzoo.VideoMAEImageProcessor(size=SMALL["size"])
    processor = tfzoo.XCLIPProcessor(images, tokenizer)
    inputs = processor(
        text=LABELS, videos=str(VIDEO), num_frames=8, padding=True, return_tensors="np"
    )
    with pytest.raises(ValueError, match="must have 32 x 32 pixels, got 224 x 224. Set the size"):
        tfzoo.TFXCLIPModel.from_pretrained(folder)(**inputs)


# ---- configs
def test_configs_nest() -> None:
    text, vision = tfzoo.XCLIPTextConfig(**TEXT), tfzoo.XCLIPVisionConfig(**VISION)
    joined = tfzoo.XCLIPConfig.from_text_vision_configs(text, vision, **JOINT)
    assert joined.text_config is text
    assert joined == tfzoo.XCLIPConfig(TEXT, VISION, **JOINT)
    assert joined == tfzoo.XCLIPConfig.from_text_vision_configs(TEXT, VISION, **JOINT)
    assert joined == tfzoo.XCLIPConfig.from_dict(joined.to_dict())
    assert tfzoo.XCLIPConfig().text_config == tfzoo.XCLIPTextConfig()
    assert tfzoo.XCLIPConfig().initializer_factor == 1.0
    one, two = tfzoo.XCLIPConfig(), tfzoo.XCLIPConfig()
    one.vision_config.num_frames = 3
    assert two.vision_config.num_frames == 8


def test_configs_return_from_files(tmp_path: Path) -> None:
    act = tfzoo.XCLIPConfig(**config({"hidden_act": "gelu"}), output_attentions=True)
    act.save_pretrained(tmp_path)
    assert tfzoo.AutoConfig.from_pretrained(tmp_path).to_json_dict() == act.to_json_dict()
    part = tfzoo.XCLIPVisionConfig.from_pretrained(tmp_path, num_frames=2)
    assert (part.hidden_size, part.num_frames) == (12, 2)
    part.save_pretrained(tmp_path)
    assert type(tfzoo.AutoConfig.from_pretrained(tmp_path)) is tfzoo.XCLIPVisionConfig


def test_old_config_files_override_whole_towers() -> None:
    old = {"text_config": {"hidden_size": 32, "num_hidden_layers": 3}, "vision_config_dict": None}
    kept = tfzoo.XCLIPConfig.from_dict(old)
    assert kept.text_config.num_hidden_layers == 3
    resolved = tfzoo.XCLIPConfig.from_dict({**old, "text_config_dict": {"hidden_size": 64}})
    assert (resolved.text_config.hidden_size, resolved.text_config.num_hidden_layers) == (64, 12)
