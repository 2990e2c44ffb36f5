"""`tfzoo predict --labels`, and `tfzoo convert` of a model of videos and texts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file

import tfzoo
from tests.cli.helpers import (
    VIDEO,
    edit_config,
    fails,
    run_json,
)
from tests.support.xclip_checkpoint import write_xclip_checkpoint
from tfzoo.cli.__main__ import main

LABELS = ("eating spaghetti", "playing sports", "a cat")
TEMPLATE = "a video of {}"
TOKENIZER_FILES = (
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
)


@pytest.fixture(scope="module")
def xclip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of videos and texts, with its processor; it wants 4 frames."""
    return write_xclip_checkpoint(tmp_path_factory.mktemp("xclip") / "checkpoint", num_frames=4)


@pytest.fixture
def spoilt(xclip: Path, tmp_path: Path) -> Path:
    """The same checkpoint, to be spoilt."""
    return Path(shutil.copytree(xclip, tmp_path / "spoilt"))


def probabilities(folder: Path, texts: list[str]) -> np.ndarray:
    """What the whole model says, by its documented use."""
    processor = tfzoo.XCLIPProcessor.from_pretrained(folder)
    model = tfzoo.TFXCLIPModel.from_pretrained(folder)
    frames = list(tfzoo.read_video(VIDEO, num_frames=4).frames)
    inputs = processor(text=texts, videos=frames, padding=True, return_tensors="np")
    logits = np.asarray(model(**inputs).logits_per_video, "float64")[0]
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


@pytest.mark.parametrize("template", [None, TEMPLATE])
def test_predict_ranks_the_labels_as_the_whole_model_does(
    template: str | None, xclip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = [] if template is None else ["--template", template]
    result = run_json(capsys, "predict", VIDEO, "--model", xclip, "--labels", *LABELS, *more)
    scores = probabilities(xclip, [(template or "{}").format(label) for label in LABELS])
    order = np.argsort(-scores).tolist()
    assert [row["index"] for row in result["predictions"]] == order
    assert [row["label"] for row in result["predictions"]] == [LABELS[i] for i in order]
    np.testing.assert_allclose(
        [row["score"] for row in result["predictions"]], scores[order], rtol=1e-5
    )
    assert scores.max() > 1.2 * scores.min(), "equal scores would prove nothing"
    assert result.get("template") == template
    assert ("template" in result) == (template is not None)
    assert result["frames"] == [0, 44, 87, 131]
    assert sorted(result["seconds"]) == ["loading", "prediction"]


def test_predict_labels_as_text(xclip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ["predict", VIDEO, "--model", xclip, "--labels", *LABELS]
    rows = run_json(capsys, *args)["predictions"]
    assert main([*map(str, args), "--template", "{}"]) == 0
    title, *lines, frames, seconds = capsys.readouterr().out.splitlines()
    assert title == f"{VIDEO} ({xclip})"
    assert lines == [
        f"{rank:3d}  {100 * row['score']:6.2f} %  {row['label']}"
        for rank, row in enumerate(rows, 1)
    ]
    assert frames == "frames 0 44 87 131"
    assert seconds.startswith("loading ")


def test_predict_shows_all_labels_or_the_best(
    xclip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seven = [f"label {number}" for number in range(7)]
    several = ["predict", VIDEO, "--model", xclip, "--labels", *seven[:3], "--labels", *seven[3:]]
    rows = run_json(capsys, *several)["predictions"]
    assert sorted(row["label"] for row in rows) == seven
    assert sum(row["score"] for row in rows) == pytest.approx(1)
    assert run_json(capsys, *several, "--top-k", "2")["predictions"] == rows[:2]


def test_one_label_is_certain(xclip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = run_json(capsys, "predict", VIDEO, "--model", xclip, "--labels", "a cat")
    assert result["predictions"] == [{"label": "a cat", "score": 1.0, "index": 0}]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--template", TEMPLATE], "--template needs --labels"),
        (["--model", "x", "--template", TEMPLATE], "--template needs --labels"),
        (["--model", "x", "--labels", "a", "--template", "a video"], "must hold {}"),
        (["--model", "x", "--labels", "a", "--template", ""], "must hold {}"),
        (["--model", "x", "--labels", "a", "b", "a"], "'a' is given twice"),
        (["--model", "x", "--labels", "a", " "], "--labels: text 2 is empty"),
        (["--model", "x", "--labels", ""], "--labels: text 1 is empty"),
    ],
)
def test_predict_refuses_options_that_do_not_fit(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in fails(capsys, "predict", VIDEO, *options, code=2)


def test_predict_wants_labels_where_the_model_has_none_and_only_there(
    tiny: Path, xclip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = fails(capsys, "predict", VIDEO, "--model", xclip, code=2)
    assert f"{xclip} compares videos with texts: give it videos or images and --labels" in message
    message = fails(capsys, "predict", VIDEO, "--model", tiny, "--labels", "a", code=2)
    assert "--labels is for models that compare videos or images with texts" in message
    assert f"and {tiny} is a TimesformerForVideoClassification" in message


def test_predict_labels_refuses_other_frames_and_long_labels(
    xclip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ("predict", VIDEO, "--model", xclip, "--labels", "a")
    message = fails(capsys, *args, "--num-frames", "8")
    assert "pixel_values must have shape (videos, num_frames=4" in message
    assert "got (1, 8, 3, 32, 32)" in message
    message = fails(capsys, *args, "cat " * 90)
    assert "input_ids hold 92 tokens, the model has positions for 77" in message


def test_predict_labels_refuses_incomplete_checkpoints(
    spoilt: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refusal() -> str:
        return fails(capsys, "predict", VIDEO, "--model", spoilt, "--labels", "a")

    edit_config(spoilt, architectures=["XCLIPTextModel"])
    assert "is a XCLIPTextModel, and only a XCLIPModel compares videos with texts" in refusal()
    edit_config(spoilt, architectures=["XCLIPModel"])
    for name in TOKENIZER_FILES:
        (spoilt / name).unlink()
    assert "holds no tokenizer: expected tokenizer.json, or vocab.json" in refusal()
    (spoilt / "preprocessor_config.json").unlink()
    assert "lacks preprocessor_config.json" in refusal()


def test_predict_refuses_a_vocabulary_that_does_not_fit(
    spoilt: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (spoilt / "tokenizer.json").unlink()
    vocabulary = json.loads((spoilt / "vocab.json").read_text())
    vocabulary["extra</w>"] = len(vocabulary)
    (spoilt / "vocab.json").write_text(json.dumps(vocabulary))
    message = fails(capsys, "predict", VIDEO, "--model", spoilt, "--labels", "a")
    assert "they do not belong together" in message


@pytest.mark.parametrize("tower", ["text_model", "vision_model"])
def test_predict_refuses_a_single_tower(
    tower: str, xclip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = tfzoo.XCLIPConfig.from_pretrained(xclip)
    if tower == "text_model":
        model = tfzoo.TFXCLIPTextModel(whole.text_config)
    else:
        model = tfzoo.TFXCLIPVisionModel(whole.vision_config)
    model.save_pretrained(tmp_path)
    args = ("predict", VIDEO, "--model", tmp_path)
    message = fails(capsys, *args, "--labels", "a")
    assert f"{type(model).__name__} has no task: expected a checkpoint that was made for" in message


def test_predict_labels_refuses_damaged_weights(
    xclip: Path, spoilt: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tfzoo.TFXCLIPModel.from_pretrained(xclip)
    model.logit_scale.assign(np.nan)
    model.save_pretrained(spoilt)
    args = ("predict", VIDEO, "--model", spoilt, "--labels", "a")
    assert "outputs are not finite" in fails(capsys, *args)


# Other formats


def assert_same_tensors(actual: Path, expected: Path) -> None:
    have, want = (load_file(path / "model.safetensors") for path in (actual, expected))
    assert sorted(have) == sorted(want)
    for name in want:
        np.testing.assert_array_equal(have[name], want[name], err_msg=name)


def test_convert_takes_the_processor_along(
    xclip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "pytorch"
    assert main(["convert", str(xclip), str(target), "--to", "pytorch"]) == 0
    assert_same_tensors(target, xclip)
    files = ("config.json", "preprocessor_config.json", *TOKENIZER_FILES)
    assert sorted(p.name for p in target.iterdir()) == sorted((*files, "model.safetensors"))
    for name in files:
        assert (target / name).read_bytes() == (xclip / name).read_bytes()
    capsys.readouterr()
    args = ("--labels", *LABELS)
    results = [run_json(capsys, "predict", VIDEO, "--model", m, *args) for m in (xclip, target)]
    assert results[0]["predictions"] == results[1]["predictions"]


def test_convert_labels_to_keras_and_back(
    xclip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive, folder = tmp_path / "xclip.keras", tmp_path / "back"
    assert main(["convert", str(xclip), str(archive), "--to", "keras"]) == 0
    assert keras.models.load_model(archive).config.vision_config.num_frames == 4
    assert main(["convert", str(archive), str(folder), "--to", "pytorch"]) == 0
    assert_same_tensors(folder, xclip)
    assert json.loads((folder / "config.json").read_text()) == json.loads(
        (xclip / "config.json").read_text()
    )
    assert "no preprocessor_config.json and no tokenizer" in capsys.readouterr().err


def test_convert_two_towers_to_weights(xclip: Path, tmp_path: Path) -> None:
    target = tmp_path / "xclip.weights.h5"
    assert main(["convert", str(xclip), str(target), "--to", "weights"]) == 0
    model = tfzoo.TFXCLIPModel(tfzoo.XCLIPConfig.from_pretrained(xclip))
    model.load_weights(target)
    model.save_pretrained(tmp_path / "back")
    assert_same_tensors(tmp_path / "back", xclip)


@pytest.mark.slow
def test_convert_two_towers_to_saved_model(xclip: Path, tmp_path: Path) -> None:
    import tensorflow as tf

    target = tmp_path / "served"
    assert main(["convert", str(xclip), str(target), "--to", "savedmodel"]) == 0
    processor = tfzoo.XCLIPProcessor.from_pretrained(xclip)
    frames = list(tfzoo.read_video(VIDEO, num_frames=4).frames)
    inputs = processor(text=list(LABELS), videos=frames, padding=True, return_tensors="tf")
    served = tf.saved_model.load(target).signatures["serving_default"](**inputs)
    outputs = tfzoo.TFXCLIPModel.from_pretrained(xclip)(**inputs)
    assert outputs.logits_per_video.shape == (1, 3)
    for name in ("logits_per_video", "text_embeds", "video_embeds"):
        np.testing.assert_allclose(served[name], outputs[name], rtol=1e-4, atol=1e-5)


def test_list_shows_what_ranks_labels(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["xclip"]["title"] == "X-CLIP"
    assert "TFXCLIPModel" in rows["xclip"]["classes"]
    assert "microsoft/xclip-base-patch32" in rows["xclip"]["checkpoints"]
