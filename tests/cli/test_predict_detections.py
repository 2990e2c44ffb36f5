"""`tfzoo predict` with the checkpoint of a detector."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tfzoo
from tests.cli.helpers import PHOTO, VIDEO, edit_config, fails, run_json
from tests.support.owlv2_checkpoint import write_owlv2_checkpoint
from tests.support.xclip_checkpoint import write_xclip_checkpoint
from tfzoo.cli.__main__ import main
from tfzoo.metrics import box_iou
from tfzoo.viz import draw_detections

LABELS = ("cat", "dog", "remote control")


@pytest.fixture(scope="module", params=["Owlv2", "OwlViT"])
def any_owl(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Detectors of both families of checkpoints."""
    folder = tmp_path_factory.mktemp(request.param) / "checkpoint"
    return write_owlv2_checkpoint(folder, kind=request.param)


@pytest.fixture(scope="module")
def owl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector, with its processor."""
    return write_owlv2_checkpoint(tmp_path_factory.mktemp("owl") / "checkpoint")


@pytest.fixture
def spoilt(owl: Path, tmp_path: Path) -> Path:
    """The same checkpoint, to be spoilt."""
    return Path(shutil.copytree(owl, tmp_path / "spoilt"))


def detections(
    folder: Path, photo: Path, texts: list[str], threshold: float
) -> dict[str, np.ndarray]:
    """What the documented calls give, the best first, without boxes that are all padding."""
    processor = tfzoo.AutoProcessor.from_pretrained(folder)
    model = tfzoo.TFAutoModelForZeroShotObjectDetection.from_pretrained(folder)
    image = tfzoo.read_image(photo)
    outputs = model(**processor(text=[texts], images=image, return_tensors="tf"))
    (found,) = processor.post_process_object_detection(
        outputs, threshold=threshold, target_sizes=[image.shape[:2]], clip=True
    )
    area = np.prod(found["boxes"][:, 2:] - found["boxes"][:, :2], axis=-1)
    kept = [i for i in np.argsort(-found["scores"]) if area[i] > 0]
    return {name: values[kept] for name, values in found.items()}


@pytest.mark.parametrize("template", [None, "a {}"])
def test_boxes_are_those_of_the_library(
    template: str | None, any_owl: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = [] if template is None else ["--template", template]
    args = ("predict", PHOTO, "--model", any_owl, "--labels", *LABELS, "--threshold", "0")
    result = run_json(capsys, *args, *more, "--iou-threshold", "1")
    texts = [(template or "{}").format(label) for label in LABELS]
    expected = detections(any_owl, PHOTO, texts, 0.0)
    rows = result["detections"]
    assert len(rows) == len(expected["scores"]) >= 10
    assert [row["index"] for row in rows] == expected["labels"].tolist()
    assert [row["label"] for row in rows] == [LABELS[i] for i in expected["labels"]]
    np.testing.assert_allclose([row["score"] for row in rows], expected["scores"], rtol=1e-4)
    np.testing.assert_allclose([row["box"] for row in rows], expected["boxes"], atol=0.01)
    assert (result["file"], result["model"]) == (str(PHOTO), str(any_owl))
    assert result.get("template") == template
    assert result["threshold"] == 0
    assert "picture" not in result
    assert sorted(result["seconds"]) == ["loading", "prediction"]


def test_boxes_lie_on_the_image(owl: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ("predict", PHOTO, "--model", owl, "--labels", *LABELS, "--threshold", "0")
    boxes = np.array([row["box"] for row in run_json(capsys, *args)["detections"]])
    height, width, _ = tfzoo.read_image(PHOTO).shape
    assert len(boxes) < 16, "boxes wholly in the padding are left out"
    assert (boxes >= 0).all()
    assert (boxes <= [width, height, width, height]).all()
    assert boxes[:, 2].max() == width
    assert boxes[:, 3].max() == height
    assert (boxes[:, :2] < boxes[:, 2:]).all()


def test_boxes_as_text(owl: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ["predict", PHOTO, "--model", owl, "--labels", *LABELS]
    rows = run_json(capsys, *args)["detections"]
    assert main([*map(str, args)]) == 0
    captured = capsys.readouterr()
    title, *lines, seconds = captured.out.splitlines()
    assert title == f"{PHOTO} ({owl})"
    assert len(lines) == len(rows) > 3
    for rank, (line, row) in enumerate(zip(lines, rows, strict=True), 1):
        box = [f"{value:.1f}" for value in row["box"]]
        words = [str(rank), f"{100 * row['score']:.2f}", "%", *row["label"].split(), *box]
        assert line.split() == words
    assert len({len(line) for line in lines}) == 1, "columns"
    assert seconds.startswith("loading ")
    assert captured.err == ""


def test_overlapping_boxes_are_one(owl: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ("predict", PHOTO, "--model", owl, "--labels", *LABELS, "--threshold", "0")
    every = run_json(capsys, *args, "--iou-threshold", "1")["detections"]
    kept = run_json(capsys, *args, "--iou-threshold", "0.02")["detections"]
    expected = []
    for row in every:  # the best first
        mine = [np.array([other["box"]]) for other in expected if other["label"] == row["label"]]
        if all(box_iou(np.array([row["box"]]), box)[0, 0] <= 0.02 for box in mine):
            expected.append(row)
    assert kept == expected
    assert len(kept) < len(every)


def test_videos_are_searched_and_drawn(
    owl: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "found.mp4"
    args = ("predict", VIDEO, "--model", owl, "--labels", *LABELS, "--num-frames", "3")
    result = run_json(capsys, *args, "--draw", target)
    assert [row["frame"] for row in result["frames"]] == [0, 66, 131]
    clip = tfzoo.read_video(VIDEO, num_frames=3)
    assert [row["seconds"] for row in result["frames"]] == pytest.approx(
        (clip.indices * clip.duration / clip.total_frames).tolist()
    )
    Image.fromarray(clip.frames[1]).save(tmp_path / "one.png")
    one = run_json(capsys, "predict", tmp_path / "one.png", *args[2:-2])["detections"]
    found = result["frames"][1]["detections"]
    assert [row["label"] for row in found] == [row["label"] for row in one]
    assert len(found) > 1
    drawn = tfzoo.read_video(target)
    assert drawn.total_frames == 3
    assert drawn.duration == pytest.approx(clip.duration, rel=0.05)
    change = np.abs(drawn.frames[1].astype(int) - clip.frames[1]).mean()
    assert change > 2, "boxes are drawn"


def test_what_an_image_shows_is_found(owl: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ("predict", PHOTO, "--model", owl, "--query-image", PHOTO, "--threshold", "0")
    rows = run_json(capsys, *args)["detections"]
    processor = tfzoo.AutoProcessor.from_pretrained(owl)
    model = tfzoo.TFAutoModelForZeroShotObjectDetection.from_pretrained(owl)
    image = tfzoo.read_image(PHOTO)
    inputs = processor(images=image, query_images=image, return_tensors="tf")
    (expected,) = processor.post_process_image_guided_detection(
        model.image_guided_detection(**inputs), target_sizes=[image.shape[:2]], clip=True
    )
    assert {row["label"] for row in rows} == {"query image"}
    best = expected["scores"].argmax()
    assert rows[0]["score"] == pytest.approx(expected["scores"][best], rel=1e-3)
    assert rows[0]["box"] == pytest.approx(expected["boxes"][best].tolist(), abs=0.05)


def test_threshold_and_number_of_boxes(owl: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ["predict", PHOTO, "--model", owl, "--labels", *LABELS]
    everything = run_json(capsys, *args, "--threshold", "0")["detections"]
    scores = [row["score"] for row in everything]
    assert scores == sorted(scores, reverse=True)
    middle = scores[len(scores) // 2]
    some = run_json(capsys, *args, "--threshold", repr(middle + 1e-6))
    assert some["detections"] == everything[: len(scores) // 2]
    assert some["threshold"] == middle + 1e-6
    assert run_json(capsys, *args)["threshold"] == 0.1
    few = run_json(capsys, *args, "--threshold", "0", "--top-k", "2")["detections"]
    assert few == everything[:2]
    many = run_json(capsys, *args, "--threshold", "0", "--top-k", "99")["detections"]
    assert many == everything


def test_nothing_found(owl: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "out.png"
    args = ["predict", PHOTO, "--model", owl, "--labels", "a cat", "--threshold", "1"]
    assert run_json(capsys, *args)["detections"] == []
    assert main([*map(str, args), "--draw", str(picture)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:3] == ["nothing found that scores above 100 %", f"picture {picture}"]
    np.testing.assert_array_equal(tfzoo.read_image(picture), tfzoo.read_image(PHOTO))


def test_images_are_taken_upright(
    owl: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = Image.fromarray(tfzoo.read_image(PHOTO))
    exif = Image.Exif()
    exif[274] = 6
    photo.save(tmp_path / "turned.png", exif=exif)
    photo.transpose(Image.Transpose.ROTATE_270).save(tmp_path / "upright.png")
    found = [
        run_json(capsys, "predict", tmp_path / name, "--model", owl, "--labels", "a cat")
        for name in ("turned.png", "upright.png")
    ]
    assert found[0]["detections"] == found[1]["detections"] != []


# Pictures


@pytest.mark.parametrize("name", ["out.png", "new/OUT.PNG", "out.jpg"])
def test_draw(name: str, owl: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / name
    args = ["predict", PHOTO, "--model", owl, "--labels", *LABELS, "--top-k", "3"]
    result = run_json(capsys, *args, "--draw", picture)
    assert result["picture"] == str(picture)
    rows = result["detections"]
    results = {
        "scores": [row["score"] for row in rows],
        "labels": [row["index"] for row in rows],
        "boxes": [row["box"] for row in rows],
    }
    expected = np.asarray(draw_detections(PHOTO, results, LABELS)).astype(int)
    written, photo = (tfzoo.read_image(path) for path in (picture, PHOTO))
    error, change = (np.abs(expected - other).mean() for other in (written, photo))
    assert error <= (4 if picture.suffix == ".jpg" else 0), "JPEG is not exact"
    assert np.abs(written.astype(int) - photo).mean() > 1.3 * error, "something is drawn"
    assert change > 1
    with Image.open(picture) as image:
        assert image.format == {".jpg": "JPEG"}.get(picture.suffix, "PNG")
    assert list(picture.parent.iterdir()) == [picture]


def test_draw_replaces_an_older_picture(
    owl: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "out.png"
    picture.write_text("older")
    args = ["predict", PHOTO, "--model", owl, "--labels", "cat", "--draw", picture]
    assert main([*map(str, args)]) == 0
    assert f"picture {picture}" in capsys.readouterr().out.splitlines()
    assert tfzoo.read_image(picture).shape == tfzoo.read_image(PHOTO).shape
    assert list(tmp_path.iterdir()) == [picture]


def test_a_picture_that_cannot_be_written_leaves_the_older_one(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    owl = write_owlv2_checkpoint(tmp_path_factory.mktemp("owlvit"), kind="OwlViT")
    photo, picture = tmp_path / "long.png", tmp_path / "out.webp"  # OWLv2 would make it a square
    Image.new("RGB", (17_000, 4)).save(photo)  # WebP ends at 16,383
    picture.write_text("older")
    args = ("predict", photo, "--model", owl, "--labels", "cat", "--draw", picture)
    assert "error: " in fails(capsys, *args)
    assert picture.read_text() == "older"
    assert sorted(tmp_path.iterdir()) == [photo, picture]


def test_draw_refuses_what_it_cannot_write(
    owl: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refusal(picture: Path) -> str:
        args = ("predict", PHOTO, "--model", owl, "--labels", "cat", "--draw", picture)
        message = fails(capsys, *args, code=2)
        assert message.startswith("tfzoo: error: --draw ")
        return message

    for name in ("out.txt", "out.mp4", "out.xbm"):  # XBM is black and white
        message = refusal(tmp_path / name)
        assert f"e.g. .png or .jpg, and cannot write .{name[4:]}: {tmp_path / name}." in message
    assert "cannot write a file without one" in refusal(tmp_path / "out")
    (tmp_path / "folder.png").mkdir()
    assert "folder.png is a folder" in refusal(tmp_path / "folder.png")
    assert "is the input itself" in refusal(PHOTO)
    (tmp_path / "link.jpg").symlink_to(PHOTO)
    assert "is the input itself" in refusal(tmp_path / "link.jpg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.png", "link.jpg"]


# Options that do not fit


def test_detectors_want_images(
    owl: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("no photo")
    path = tmp_path / "notes.txt"
    message = fails(capsys, "predict", path, "--model", owl, "--labels", "cat", code=2)
    assert f"{owl} finds the objects in an image" in message
    assert f"give it images or videos and --labels or --query-image. {path}: expected" in message
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(PHOTO.read_bytes()[:4000])
    message = fails(capsys, "predict", cut, "--model", owl, "--labels", "cat")
    assert "cut.jpg: the image cannot be decoded" in message


def test_detectors_want_labels(owl: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = fails(capsys, "predict", PHOTO, "--model", owl, code=2)
    assert f"{owl} finds the objects in an image that texts describe: give it" in message
    assert "--labels or --query-image" in message


@pytest.mark.parametrize("option", [("--threshold", "0.5"), ("--query-image", str(PHOTO))])
def test_classifiers_find_no_objects(
    option: tuple[str, str],
    tiny: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    message = fails(capsys, "predict", VIDEO, "--model", tiny, *option, code=2)
    assert f"and {tiny} is a TimesformerForVideoClassification" in message
    xclip = write_xclip_checkpoint(tmp_path / "xclip")
    args = ("predict", VIDEO, "--model", xclip, "--labels", "cat", *option)
    message = fails(capsys, *args, code=2)
    assert message.startswith(f"tfzoo: error: {option[0]} is for models that find objects")
    assert "is a XCLIPModel" in message
    assert [path.name for path in tmp_path.iterdir()] == ["xclip"]


@pytest.mark.parametrize("value", ["-0.1", "1.1", "nan", "half"])
def test_wrong_thresholds(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(PHOTO), "--threshold", value]) == 2
    assert f"expected a number from 0 to 1, got '{value}'" in capsys.readouterr().err


def test_labels_that_cannot_be_meant(owl: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ("predict", PHOTO, "--model", owl, "--labels", "cat")
    assert "'cat' is given twice" in fails(capsys, *args, "cat", code=2)
    assert "must hold {}" in fails(capsys, *args, "--template", "a photo", code=2)
    message = fails(capsys, *args, "dog", "--template", "{}" + 14 * " cat")
    assert f"'cat{14 * ' cat'}' has 17 tokens, the model takes 16" in message
    fine = run_json(capsys, *args, "a dog", "--template", "{}" + 12 * " cat")
    assert fine["template"].startswith("{} cat")


# Checkpoints that do not fit


def test_incomplete_checkpoints(spoilt: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refusal() -> str:
        return fails(capsys, "predict", PHOTO, "--model", spoilt, "--labels", "cat")

    edit_config(spoilt, architectures=["Owlv2Model"])
    assert "is a Owlv2Model, and only a Owlv2ForObjectDetection finds" in refusal()
    edit_config(spoilt, architectures=["Owlv2ForObjectDetection"])
    (spoilt / "preprocessor_config.json").unlink()
    assert "preprocessor_config.json" in refusal()


@pytest.mark.parametrize("part", ["logits", "boxes"])
def test_damaged_weights(
    part: str, owl: Path, spoilt: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tfzoo.TFOwlv2ForObjectDetection.from_pretrained(owl)
    if part == "logits":
        model.class_head.logit_shift.bias.assign([np.nan])
    else:
        model.box_head.dense2.bias.assign([np.nan] * 4)
    model.save_pretrained(spoilt)
    args = ("predict", PHOTO, "--model", spoilt, "--labels", "cat")
    assert "outputs are not finite" in fails(capsys, *args)
