"""`tfzoo.pipeline`: the protocol of all tasks, on the checkpoints that ship with tfzoo."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tfzoo
from tests.support.paths import FIXTURES
from tfzoo.assets import card_of, shipped_checkpoints, shipped_for
from tfzoo.tasks import TASKS, pipeline, task_class, task_for
from tfzoo.tasks.inputs import clip_of
from tfzoo.tasks.scores import ranked

NASA = FIXTURES / "videos" / "nasa_13013.mp4"
BY_IMAGE = {"candidate_labels": None, "query_image": np.zeros((4, 8, 3), np.uint8)}
# The settings of tasks, by the option of `tfzoo predict` that each demonstration uses.
OPTIONS = {
    "--labels": "candidate_labels",
    "--template": "hypothesis_template",
    "--query": "queries",
    "--question": "question",
    "--top-k": "top_k",
}


def demonstration(name: str) -> tuple[Any, dict[str, Any], str]:
    """What a shipped checkpoint is shown and asked, and the truth."""
    folder = tfzoo.default_checkpoint(name)
    sample = json.loads((folder / "demo.json").read_text("utf-8"))
    inputs, settings, words, setting = [], {}, list(sample["predict"]), ""
    for word in words:
        if word.startswith("--"):
            setting = word
        elif setting in ("", "--text"):
            inputs.append(word if setting else folder / word)
        else:
            settings.setdefault(OPTIONS[setting], []).append(word)
    plain = {
        n: v[0] for n, v in settings.items() if n in ("hypothesis_template", "question", "top_k")
    }
    plain |= {"top_k": int(plain["top_k"])} if "top_k" in plain else {}
    return inputs[0] if len(inputs) == 1 else tuple(inputs), {**settings, **plain}, sample["truth"]


@cache
def loaded(name: str) -> Any:
    """The task of a shipped checkpoint, and its answer."""
    inputs, settings, truth = demonstration(name)
    tiles = {"batch_size": 16} if name == "perceiver-flow" else {}
    task = pipeline(model=name, **settings, **tiles)
    return SimpleNamespace(task=task, inputs=inputs, result=task(inputs), truth=truth)


def numbers(value: Any) -> Any:
    """All numbers in JSON's terms, in order."""
    if isinstance(value, dict):
        return [n for one in value.values() for n in numbers(one)]
    if isinstance(value, list):
        return [n for one in value for n in numbers(one)]
    return [value] if isinstance(value, float) else []


def assert_alike(found: Any, expected: Any) -> None:
    found, expected = found.to_dict(), expected.to_dict()
    assert json.dumps(found).count('"') == json.dumps(expected).count('"')
    np.testing.assert_allclose(numbers(found), numbers(expected), rtol=1e-3, atol=1e-3)


ANSWERS = {
    "lxmert-easy-vqa": lambda r: r.answer,
    "perceiver-bytes": lambda r: r.text,
    "perceiver-digits": lambda r: r[0].label,
    "timesformer-camera-motion": lambda r: r[0].label,
    "xclip-camera-motion": lambda r: r[0].label,
}


@pytest.mark.parametrize("name", shipped_checkpoints())
class TestShippedCheckpoints:
    def test_the_answer_is_right(self, name: str) -> None:
        one = loaded(name)
        assert one.task.name == card_of(name).task
        if name in ANSWERS:
            assert ANSWERS[name](one.result) == one.truth
        truth = np.array(re.findall(r"-?\d+(?:\.\d+)?", one.truth), float)
        if name == "tvp-pans":
            found = [x for moment in one.result for x in (moment.start, moment.end)]
            np.testing.assert_allclose(found, truth, atol=0.4)
        if name == "perceiver-flow":
            np.testing.assert_allclose(one.result.flow.mean((0, 1)), truth, atol=0.3)
        if name == "owlv2-shapes":
            found = {row.label: row.box for row in one.result if row.score > 0.3}
            assert sorted(found) == ["blue triangle", "green square", "red circle"]
            boxes = [x for label in one.truth.split("; ") for x in found[label.split(" at ")[0]]]
            np.testing.assert_allclose(boxes, truth.tolist(), atol=4)
        assert one.result.note is None

    def test_results_are_plain_and_can_be_seen(self, name: str, tmp_path: Path) -> None:
        result = loaded(name).result
        assert len(list(result)) == len(result) > 0
        assert result[0] is not None
        assert str(result).count("\n") == 0
        assert 10 < len(str(result)) < 500
        assert json.loads(json.dumps(result.to_dict())) == result.to_dict()
        image = result.plot(tmp_path / "out.png")
        assert max(image.size) >= 320, "large enough to read"
        np.testing.assert_array_equal(tfzoo.read_image(tmp_path / "out.png"), np.asarray(image))
        assert np.asarray(image).std() > 5

    def test_many_are_answered_as_one(self, name: str) -> None:
        one = loaded(name)
        both = one.task([one.inputs] * 3, batch_size=max(2, one.task.batch_size))
        assert isinstance(both, list)
        assert len(both) == 3
        for result in both:
            assert_alike(result, one.result)
        lazy = one.task(one.inputs for _ in range(2))
        assert isinstance(lazy, Iterator)
        assert_alike(next(lazy), one.result)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ANSWERS else [pytest.mark.slow])
        for name in shipped_checkpoints()
    ],
)
def test_it_is_saved_with_all_that_it_needs(name: str, tmp_path: Path) -> None:
    one = loaded(name)
    one.task.save_pretrained(tmp_path / "saved")
    settings = {n: getattr(one.task, n) for n in one.task.settings()}
    again = pipeline(model=tmp_path / "saved", **settings)
    assert type(again) is type(one.task)
    assert_alike(again(one.inputs), one.result)
    known = getattr(one.task.model.config, "id2label", None)
    assert getattr(again.model.config, "id2label", None) == known


# Tasks, models and settings


def test_every_task_has_its_name() -> None:
    for name in TASKS:
        task = task_class(name)
        assert task.name == name
        assert task.does
        assert all(field.kw_only for field in dataclasses.fields(task)[2:])
    assert {card_of(name).task for name in shipped_checkpoints()} <= set(TASKS)


@pytest.mark.parametrize(
    ("config", "task"),
    [
        (tfzoo.TimesformerConfig(), "video-classification"),
        (tfzoo.XCLIPConfig(), "zero-shot-video-classification"),
        (tfzoo.Owlv2Config(), "zero-shot-object-detection"),
        (tfzoo.OwlViTConfig(), "zero-shot-object-detection"),
        (tfzoo.TvpConfig(), "video-grounding"),
        (tfzoo.LxmertConfig(), "visual-question-answering"),
        (tfzoo.PerceiverConfig(architectures=["PerceiverForMaskedLM"]), "fill-mask"),
        (
            tfzoo.PerceiverConfig(architectures=["PerceiverForSequenceClassification"]),
            "text-classification",
        ),
        (tfzoo.PerceiverConfig(architectures=["PerceiverForOpticalFlow"]), "optical-flow"),
        (
            tfzoo.PerceiverConfig(architectures=["PerceiverForMultimodalAutoencoding"]),
            "multimodal-autoencoding",
        ),
        (
            tfzoo.PerceiverConfig(architectures=["PerceiverForImageClassificationFourier"]),
            "image-classification",
        ),
    ],
)
def test_the_configuration_decides(config: tfzoo.PretrainedConfig, task: str) -> None:
    assert task_for(config).name == task


def test_models_without_a_task_are_refused() -> None:
    with pytest.raises(tfzoo.ConfigError, match="TFPerceiverModel has no task: .* perceiver TFPer"):
        task_for(tfzoo.PerceiverConfig())


def test_what_is_not_there_gets_a_suggestion() -> None:
    with pytest.raises(ValueError, match="no task 'video-clasification'; did you mean 'video-cl"):
        pipeline("video-clasification")
    with pytest.raises(ValueError, match="no task 'owlv2-shapes'.*a model is named by model="):
        pipeline("owlv2-shapes")
    with pytest.raises(ValueError, match="Give a task, a model or both. The tasks are video-cl"):
        pipeline()
    with pytest.raises(ValueError, match="No checkpoint ships with tfzoo for text-classification"):
        pipeline("text-classification")
    with pytest.raises(OSError, match="Did you mean 'owlv2-shapes'"):
        pipeline(model="owlv2-shape")
    with pytest.raises(TypeError, match=r"no setting 'topk'; did you mean 'top_k'\? It has batch"):
        pipeline("video-classification", topk=3)
    with pytest.raises(tfzoo.ConfigError, match="TFAutoModelForMaskedLM has no class for"):
        pipeline("fill-mask", "owlv2-shapes")


def test_loaded_models() -> None:
    task = loaded("timesformer-camera-motion").task
    model, processor = task.model, task.processor
    again = pipeline(model=model, image_processor=processor, top_k=1)
    assert (again.model, again.processor, again.top_k) == (model, processor, 1)
    named = pipeline("video-classification", model, processor="timesformer-camera-motion")
    assert named(NASA) == task(NASA, top_k=5)
    with pytest.raises(TypeError, match="give processor= with a loaded model, as tfzoo.AutoImage"):
        pipeline(model=model)
    with pytest.raises(TypeError, match="Give one of processor="):
        pipeline(model=model, processor=processor, tokenizer=processor)
    with pytest.raises(tfzoo.ConfigError, match="has no class for model_type 'timesformer'"):
        pipeline("zero-shot-object-detection", model, processor=processor)
    with pytest.raises(TypeError, match="expected a name, a folder, a file or a model of tfzoo"):
        pipeline(model=3)
    with pytest.raises(TypeError, match="dtype= is for checkpoints"):
        pipeline(model=model, processor=processor, dtype="bfloat16")


def test_settings_stay_as_they_are() -> None:
    """What was computed with them, such as embeddings of texts, would no longer fit."""
    task = loaded("xclip-camera-motion").task
    for name, value in {"candidate_labels": ["a", "b"], "top_k": 1}.items():
        with pytest.raises(dataclasses.FrozenInstanceError, match=name):
            setattr(task, name, value)


def test_reading_ends_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    task = loaded("timesformer-camera-motion").task

    def fails(self: Any, items: Any) -> Any:
        raise ValueError("no answer")

    monkeypatch.setattr(type(task), "answer", fails)
    with pytest.raises(ValueError, match="no answer") as caught:
        task([NASA, NASA])
    assert caught.tb, "which holds the frames of the call"
    assert not [t for t in threading.enumerate() if t.name.startswith("tfzoo.tasks")]


def test_an_error_comes_after_the_answers_before_it(tmp_path: Path) -> None:
    task = loaded("timesformer-camera-motion").task
    results = task(iter([NASA, NASA, tmp_path / "absent.mp4"]), batch_size=8)
    assert [next(results)[0].label, next(results)[0].label] == ["still", "still"]
    with pytest.raises(OSError, match="absent.mp4"):
        next(results)


def test_settings_of_calls_win() -> None:
    one = loaded("timesformer-camera-motion")
    assert one.task.top_k == 3
    assert len(one.result) == 3
    assert [row.label for row in one.task(one.inputs, top_k=1)] == ["zoom in"]
    assert len(one.task(one.inputs, top_k=None)) == 7
    assert len(one.task(one.inputs)) == 3, "the task's own are kept"
    assert one.task(one.inputs, num_frames=4).frames == [4, 6, 8, 10]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("timesformer-camera-motion", {"top_k": 0}, "top_k: expected a whole number above 0"),
        ("timesformer-camera-motion", {"batch_size": True}, "batch_size: expected a whole"),
        ("owlv2-shapes", {"threshold": 2}, "threshold: expected a number from 0 to 1, got 2"),
        ("owlv2-shapes", {"candidate_labels": ["a", "a"]}, "candidate_labels: 'a' is given twice"),
        ("owlv2-shapes", {"candidate_labels": []}, "expected one or more texts, got none"),
        ("owlv2-shapes", {"candidate_labels": None}, "needs candidate_labels= or query_image="),
        ("owlv2-shapes", {"query_image": "a.png"}, "candidate_labels or query_image, not both"),
        ("owlv2-shapes", {"query_box": [0, 0, 1, 1]}, "query_box is a place on the query_image"),
        ("owlv2-shapes", {**BY_IMAGE, "query_box": [0, 0, 1]}, "query_box: expected x0, y0, x1"),
        ("owlv2-shapes", {**BY_IMAGE, "query_box": [2, 0, 1, 1]}, "with 0 <= x0 < x1 and 0 <= y0"),
        ("owlv2-shapes", {**BY_IMAGE, "query_box": [0, 0, 9, 4]}, "query_image of 8 x 4 pixels"),
        ("owlv2-shapes", {"threshold": None}, "threshold: expected a number from 0 to 1, got None"),
        ("owlv2-shapes", {"hypothesis_template": None}, "must hold {} where the label goes"),
        ("timesformer-camera-motion", {"batch_size": None}, "batch_size: expected a whole number"),
        ("xclip-camera-motion", {"hypothesis_template": "x"}, "must hold {} where the label goes"),
        ("tvp-pans", {"queries": ["a", " "]}, "queries: text 2 is empty"),
        ("lxmert-easy-vqa", {"question": ""}, "question: the text is empty"),
    ],
)
def test_settings_that_cannot_be(name: str, settings: dict[str, Any], message: str) -> None:
    one = loaded(name)
    with pytest.raises(ValueError, match=message):
        one.task(one.inputs, **settings)


def test_labels_with_commas_between() -> None:
    task = loaded("owlv2-shapes").task
    found = dataclasses.replace(task, candidate_labels="red circle, green square")
    assert found.candidate_labels == ["red circle", "green square"]


def test_templates_are_not_in_labels() -> None:
    one = loaded("owlv2-shapes")
    assert one.task.hypothesis_template == "a photo of a {}"
    assert {row.label for row in one.result} <= set(one.task.candidate_labels)


# What shipped checkpoints know


def test_a_shipped_model_says_what_it_knows() -> None:
    one = loaded("owlv2-shapes")
    found = one.task(one.inputs, candidate_labels=["red circle", "cup"])
    assert found.note == (
        "knows coloured shapes only; for anything a text can name: --model "
        "google/owlv2-base-patch16-ensemble"
    )
    assert str(found).endswith(f"({found.note})")
    assert found.to_dict()["note"] == found.note
    assert one.task(one.inputs, candidate_labels=["A red  circle!"]).note is None


def test_a_default_says_what_it_is() -> None:
    note = card_of("perceiver-digits").note()
    sample = tfzoo.default_checkpoint("perceiver-digits") / "sample.png"
    assert pipeline("image-classification")(sample).note == note
    assert pipeline(model="perceiver-digits")(sample).note is None


@pytest.mark.parametrize("name", [n for n in shipped_checkpoints() if card_of(n).words])
def test_cards_know_the_words_of_the_demonstrations(name: str) -> None:
    _, settings, _ = demonstration(name)
    texts = [t for n in ("candidate_labels", "queries") for t in settings.get(n, [])]
    texts += [settings["question"]] if "question" in settings else []
    assert texts
    assert all(map(card_of(name).knows_words_of, texts))
    assert not card_of(name).knows_words_of("a kitchen")
    assert shipped_for(card_of(name).task) == name


# The frames of videos


@pytest.mark.parametrize("name", ["timesformer-camera-motion", "xclip-camera-motion", "tvp-pans"])
def test_the_processor_chooses_the_same_frames(name: str) -> None:
    task = loaded(name).task
    images = tfzoo.AutoImageProcessor.from_pretrained(name)
    frames = tfzoo.read_video(NASA, indices=task(NASA).frames).frames
    pixels = [images(video, return_tensors="np").pixel_values for video in (NASA, frames)]
    np.testing.assert_array_equal(*pixels)


def test_one_file_has_one_answer() -> None:
    """By hand as in README.md, and by the task."""
    task = loaded("timesformer-camera-motion").task
    logits = np.asarray(task.model(**task.processor(NASA, return_tensors="tf")).logits)
    assert task.model.config.id2label[int(logits.argmax())] == task(NASA)[0].label == "still"


def test_moments_of_a_variable_frame_rate() -> None:
    one = loaded("tvp-pans")
    even = one.task.read(one.inputs)
    uneven = dataclasses.replace(even, timestamps=even.timestamps**2 / even.duration)
    for plain, found in zip(one.task(even), one.task(uneven), strict=True):
        expected = uneven.seconds_of(np.array([plain.start, plain.end]) / even.duration)
        np.testing.assert_allclose([found.start, found.end], expected, atol=0.2)
    assert one.task(uneven)[0].end < one.task(even)[0].end - 0.3
    part = clip_of(uneven, even.indices[3:5].tolist())
    np.testing.assert_array_equal(part.timestamps, uneven.timestamps[3:5])
    assert one.task(uneven).draw().size == one.task(even).draw().size


# Detections in videos, and by an image


def test_detections_in_a_video(tmp_path: Path) -> None:
    one = loaded("owlv2-shapes")
    scene = tfzoo.read_image(one.inputs)
    clip = tfzoo.io.VideoClip(np.stack([scene, scene[:, ::-1]]), np.arange(2), 10.0, 2, 0.2)
    found = one.task(clip, batch_size=2, threshold=0.3)
    assert [frame.seconds for frame in found] == [0.0, 0.1]
    assert [row.label for row in found[0].detections] == [
        row.label for row in one.result if row.score > 0.3
    ]
    assert str(found).endswith("in 2 of 2 frames")
    assert len(one.task(clip, num_frames=1)) == 1
    image = found.plot(tmp_path / "out.mp4")
    assert image.width == 1280
    drawn = tfzoo.read_video(tmp_path / "out.mp4")
    assert (drawn.total_frames, drawn.duration) == (2, pytest.approx(0.2, abs=0.01))
    assert max(drawn.frames.shape[1:3]) >= 320


def test_an_example_image_is_found() -> None:
    one = loaded("owlv2-shapes")
    circle = next(row.box for row in one.result if row.label == "red circle")
    task = pipeline(model="owlv2-shapes", query_image=one.inputs, query_box=circle)
    best = task(one.inputs)[0]
    assert best.label == "query image"
    np.testing.assert_allclose(best.box, circle, atol=3)


def test_sound_and_video() -> None:
    config = tfzoo.PerceiverConfig(
        num_latents=4,
        d_latents=16,
        num_labels=5,
        num_self_attends_per_block=1,
        num_cross_attention_heads=1,
        num_frames=2,
        output_shape=[1, 2, 8, 8],
        image_size=8,
        audio_samples_per_frame=64,
    )
    task = pipeline(model=tfzoo.TFPerceiverForMultimodalAutoencoding(config))
    silence = np.zeros(128, "int16")
    decoded = task((NASA, silence), top_k=2)
    frames = tfzoo.read_video(NASA, num_frames=2).frames
    by_hand = tfzoo.autoencode_video(task.model, frames, silence)
    np.testing.assert_array_equal(decoded.frames, by_hand.frames)
    assert [row.index for row in decoded] == np.argsort(-by_hand.scores)[:2].tolist()
    assert decoded.to_dict()["samples"] == 128
    assert decoded.plot().width == 640
    with pytest.raises(TypeError, match="Expected a tuple of a video and its sound, got a"):
        task(NASA)


def test_regions_of_several_images(tmp_path: Path) -> None:
    from tfzoo.data.regions import open_region_features, write_region_features

    one = loaded("lxmert-easy-vqa")
    with open_region_features(one.inputs) as images:
        (record,) = images.records()
    path = tmp_path / "two.tsv"
    write_region_features(path, [dataclasses.replace(record, image_id=n) for n in ("a", "b")])
    first, second = one.task(path, batch_size=2)
    assert [first.image, second.image] == ["a", "b"]
    assert [first.source, second.source] == ["a", "b"], "no features are kept"
    assert first.answer == second.answer == one.truth
    assert one.task(record).answer == one.truth
    for wrong in (b"bytes", [record.features]):
        with pytest.raises(TypeError, match="Expected a file or folder of region features, or a R"):
            one.task(wrong)
    with pytest.raises(ValueError, match="expected features of one image in each file of a list"):
        one.task([path])


def test_answers_without_names() -> None:
    found = ranked(np.array([0.2, 0.1, 0.7]), {0: "yes", 1: "no"}, 2)
    assert [row.label for row in found] == ["LABEL_2", "yes"]


def test_a_pillow_image_is_turned_upright() -> None:
    one, file = loaded("owlv2-shapes"), io.BytesIO()
    exif = Image.Exif()
    exif[274] = 6  # to be shown turned clockwise by a quarter
    turned = Image.open(one.inputs).convert("RGB").transpose(Image.Transpose.ROTATE_90)
    turned.save(file, "PNG", exif=exif)
    assert_alike(one.task(Image.open(file)), one.result)
