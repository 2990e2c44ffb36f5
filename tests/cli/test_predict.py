"""`tfzoo predict`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import tfzoo
from tests.cli.helpers import (
    LABELS,
    PHOTO,
    TINY,
    VIDEO,
    edit_config,
    fails,
    logits_of,
    run_json,
)
from tfzoo.cli.__main__ import main


def test_predict_is_the_model_on_the_frames(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = run_json(capsys, "predict", VIDEO, "--model", tiny)
    clip = tfzoo.read_video(VIDEO, num_frames=4)
    model = tfzoo.TFTimesformerForVideoClassification.from_pretrained(tiny)
    powers = np.exp(logits_of(model, clip.frames))
    scores = powers / powers.sum()
    assert result["file"] == str(VIDEO)
    assert result["model"] == str(tiny)
    assert result["frames"] == clip.indices.tolist() == [0, 44, 87, 131]
    order = np.argsort(-scores).tolist()
    assert [row["index"] for row in result["predictions"]] == order
    assert [row["label"] for row in result["predictions"]] == [LABELS[i] for i in order]
    np.testing.assert_allclose(
        [row["score"] for row in result["predictions"]], scores[order], rtol=1e-6
    )
    assert scores.max() > 1.5 * scores.min(), "equal scores would prove nothing"
    assert sorted(result["seconds"]) == ["loading", "prediction"]


def test_predict_as_text(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    best = run_json(capsys, "predict", VIDEO, "--model", tiny)["predictions"]
    assert main(["predict", str(VIDEO), "--model", str(tiny), "--top-k", "2"]) == 0
    captured = capsys.readouterr()
    title, first, second, frames, seconds = captured.out.splitlines()
    assert title == f"{VIDEO} ({tiny})"
    for rank, line in enumerate((first, second)):
        score = f"{100 * best[rank]['score']:.2f}"
        assert line.split() == [str(rank + 1), score, "%", best[rank]["label"]]
    assert frames == "frames 0 44 87 131"
    assert seconds.startswith("loading ")
    assert captured.err == ""


def test_predict_fewer_labels_and_frames(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = run_json(
        capsys, "predict", VIDEO, "--model", tiny, "--top-k", "1", "--num-frames", "2"
    )
    assert len(result["predictions"]) == 1
    assert result["frames"] == [0, 131]
    everything = run_json(capsys, "predict", VIDEO, "--model", tiny, "--top-k", "99")
    assert len(everything["predictions"]) == 3


def test_predict_with_the_default_model(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "timesformer-camera-motion"
    shutil.copytree(tiny, tmp_path / name)
    shutil.copy(tfzoo.default_checkpoint(name) / "card.json", tmp_path / name)
    monkeypatch.setattr("tfzoo.assets._HOME", tmp_path)
    note = (
        "knows seven motions of a camera only; for 400 actions of people: --model "
        "facebook/timesformer-base-finetuned-k400"
    )
    assert main(["predict", str(VIDEO), "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == f"tfzoo: {VIDEO}: {note}\n"
    result = json.loads(captured.out)
    assert (result["model"], result["note"]) == (name, note)
    named = run_json(capsys, "predict", VIDEO, "--model", name)
    assert result["predictions"] == named["predictions"]
    assert "note" not in named, "whoever names the model knows what it is for"


def test_predict_many_files_and_draw_them(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    for name in ("b.mp4", "a b.mp4"):
        shutil.copy(VIDEO, folder / name)
    drawn = tmp_path / "drawn"
    args = ["predict", folder, PHOTO, "--model", tiny, "--batch-size", "2", "--draw", drawn]
    assert main([*map(str, args), "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["file"] for row in rows] == [
        *(str(folder / name) for name in ("a b.mp4", "b.mp4")),
        str(PHOTO),
    ]
    alone = run_json(capsys, "predict", VIDEO, "--model", tiny)["predictions"]
    for row in rows[:2]:
        assert [one["label"] for one in row["predictions"]] == [one["label"] for one in alone]
        assert row["predictions"][0]["score"] == pytest.approx(alone[0]["score"], rel=1e-4)
    names = ["0001_a_b.png", "0002_b.png", "0003_coffee.png"]
    assert [row["picture"] for row in rows] == [str(drawn / name) for name in names]
    assert sorted(path.name for path in drawn.iterdir()) == names
    assert tfzoo.read_image(drawn / names[0]).shape[1] == 640
    message = fails(capsys, *args[:-1], tmp_path / "one.png", code=2)
    assert "--draw names a folder where there are several inputs" in message


def test_predict_takes_keras_files(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tiny.keras"
    tfzoo.TFTimesformerForVideoClassification.from_pretrained(tiny).save(file)
    expected = run_json(capsys, "predict", VIDEO, "--model", tiny)["predictions"]
    message = fails(capsys, "predict", VIDEO, "--model", file)
    assert f"{file} holds no processor, and neither does its folder" in message
    found = run_json(capsys, "predict", VIDEO, "--model", file, "--processor", tiny)
    assert found["predictions"] == expected
    shutil.copy(tiny / "preprocessor_config.json", tmp_path)
    assert run_json(capsys, "predict", VIDEO, "--model", file)["predictions"] == expected


def test_predict_a_still_image(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(PHOTO), "--model", str(tiny), "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == (f"tfzoo: {PHOTO}: a still image, taken as a clip of 4 equal frames\n")
    result = json.loads(captured.out)
    assert result["frames"] == [0, 0, 0, 0]
    model = tfzoo.TFTimesformerForVideoClassification.from_pretrained(tiny)
    logits = logits_of(model, np.stack([np.asarray(Image.open(PHOTO).convert("RGB"))] * 4))
    assert result["predictions"][0]["index"] == int(logits.argmax())


def test_predict_folder_and_animation(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(1)
    colours = rng.integers(0, 255, (10, 3))
    images = [Image.new("RGB", (24, 16), tuple(map(int, colour))) for colour in colours]
    (tmp_path / "frames").mkdir()
    for number, image in enumerate(images):
        image.save(tmp_path / "frames" / f"{number}.png")
    images[0].save(tmp_path / "film.gif", save_all=True, append_images=images[1:], duration=40)
    for name in ("frames", "film.gif"):
        assert main(["predict", str(tmp_path / name), "--model", str(tiny), "--json"]) == 0
        captured = capsys.readouterr()
        assert json.loads(captured.out)["frames"] == [0, 3, 6, 9]
        assert captured.err == ""


def test_predict_independent_labels(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exclusive = run_json(capsys, "predict", VIDEO, "--model", copy)["predictions"]
    edit_config(copy, problem_type="multi_label_classification")
    independent = run_json(capsys, "predict", VIDEO, "--model", copy)["predictions"]
    assert sum(row["score"] for row in exclusive) == pytest.approx(1)
    odds = [row["score"] / (1 - row["score"]) for row in independent]  # = exp(logit)
    np.testing.assert_allclose(
        [row["score"] for row in exclusive], np.array(odds) / sum(odds), rtol=1e-6
    )


def test_predict_averages_a_model_that_looks_at_each_frame_by_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keras.utils.set_random_seed(3)
    model = tfzoo.TFTimesformerForVideoClassification(
        tfzoo.TimesformerConfig(**{**TINY, "attention_type": "space_only"})
    )
    for weight in model.weights:  # as fresh, they make all frames alike
        weight.assign(weight * 8.0)
    processor = tfzoo.VideoMAEImageProcessor(size={"shortest_edge": 16}, crop_size=16)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    found = run_json(capsys, "predict", VIDEO, "--model", tmp_path)["predictions"]
    frames = tfzoo.read_video(VIDEO, num_frames=4).frames
    logits = np.asarray(model(**processor(list(frames), return_tensors="np")).logits)
    assert logits.shape[0] == 4
    powers = np.exp(logits.mean(axis=0))
    expected = np.sort(powers / powers.sum())[::-1]
    np.testing.assert_allclose([row["score"] for row in found], expected[: len(found)], rtol=1e-4)
    alone = np.exp(logits[0]) / np.exp(logits[0]).sum()
    assert abs(np.sort(alone)[::-1] - expected).max() > 1e-3, "equal frames would prove nothing"


def test_predict_refuses_what_it_cannot_read(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refusal(path: Path, *more: str, code: int = 1) -> str:
        return fails(capsys, "predict", path, "--model", tiny, *more, code=code)

    assert "absent.mp4: no such file." in refusal(tmp_path / "absent.mp4")
    text = tmp_path / "notes.txt"
    text.write_text("no film at all\n" * 50)
    assert "notes.txt: expected a video" in refusal(text, code=2)
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(np.random.default_rng(0).bytes(5000))
    assert "noise.mp4: expected a video" in refusal(noise, code=2)
    photo = tmp_path / "cut.jpg"
    photo.write_bytes(PHOTO.read_bytes()[:4000])
    assert "cut.jpg: the image cannot be decoded" in refusal(photo)
    (tmp_path / "empty").mkdir()
    assert "videos or images. " in (message := refusal(tmp_path / "empty", code=2))
    assert "empty: expected a folder of images or videos, got an empty one" in message
    assert "has 132 frames" in refusal(VIDEO, "--num-frames", "133")


def test_predict_refuses_bad_models(
    tiny: Path, copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refusal(model: str | Path, *more: str | Path) -> str:
        return fails(capsys, "predict", VIDEO, "--model", model, *more)

    assert "There is no file or folder" in refusal(tmp_path / "absent")
    assert "lacks config.json; it has: checkpoint" in refusal(tiny.parent)
    message = refusal("org/name", "--offline", "--cache-dir", tmp_path, "--revision", "v2")
    assert "'config.json' of 'org/name' at revision 'v2' is not in the cache" in message
    assert "local_files_only=True" in message
    edit_config(copy, architectures=["TimesformerModel"])
    assert "is a TimesformerModel, and only a TimesformerForVideoClassification" in refusal(copy)
    edit_config(copy, architectures=["TimesformerForVideoClassification"], hidden_size=8)
    assert "(TFZOO_DEBUG=1 shows all)" in refusal(copy), "the lists stay out of the one line"
    edit_config(copy, model_type="bert")
    assert "model_type 'bert'" in refusal(copy)
    (copy / "config.json").write_text("{")
    assert "is not valid JSON" in refusal(copy)
    (copy / "preprocessor_config.json").unlink()
    shutil.copy(tiny / "config.json", copy)
    assert "lacks preprocessor_config.json" in refusal(copy)


def test_predict_refuses_damaged_weights(
    tiny: Path, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tfzoo.TFTimesformerForVideoClassification.from_pretrained(tiny)
    model.classifier.bias.assign([0.0, np.nan, 0.0])
    model.save_pretrained(copy)
    assert "outputs are not finite" in fails(capsys, "predict", VIDEO, "--model", copy)
    whole = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(whole[:1000])
    assert "model.safetensors" in fails(capsys, "predict", VIDEO, "--model", copy)
