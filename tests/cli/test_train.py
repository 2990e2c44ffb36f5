"""`tfzoo train` and `tfzoo val`, on tiny models and data."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfzoo
from tests.cli.helpers import fails, run_json
from tests.io.synthetic import make_video
from tests.support.lxmert_checkpoint import write_lxmert_checkpoint, write_regions
from tests.support.owlv2_checkpoint import write_owlv2_checkpoint
from tests.support.paths import FIXTURES, ROOT
from tests.support.tvp_checkpoint import write_tvp_checkpoint
from tests.support.xclip_checkpoint import write_xclip_checkpoint
from tfzoo.auto import load_checkpoint
from tfzoo.cli.__main__ import _parser, main

Given = tuple[Path, list[Path]]


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for label in ("squirrel", "dark_rabbit"):
        (folder / label).mkdir()
        for number in range(2):
            make_video(folder / label / f"{number}.mp4", 12)
    return folder


@pytest.fixture
def without_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models run eagerly, which spares the tracing."""
    from tfzoo.modeling.training import TrainingMixin

    plain = TrainingMixin.compile

    def compile(self: Any, *args: Any, **kwargs: Any) -> None:
        plain(self, *args, **{**kwargs, "run_eagerly": True})

    monkeypatch.setattr(TrainingMixin, "compile", compile)


def boxes(folder: Path) -> Given:
    write_owlv2_checkpoint(folder / "model")
    (folder / "photos").mkdir()
    shutil.copy(FIXTURES / "photos" / "coffee.jpg", folder / "photos" / "1.jpg")
    photo = {"id": 1, "file_name": "1.jpg", "width": 320, "height": 213}
    cup = {"image_id": 1, "category_id": 1, "bbox": [96, 48, 128, 96]}
    names = [{"id": 1, "name": "cup"}, {"id": 2, "name": "cat"}]
    content = {"images": [photo], "annotations": [cup], "categories": names}
    (folder / "boxes.json").write_text(json.dumps(content))
    return folder / "model", [folder / "boxes.json", folder / "photos"]


def moments(folder: Path) -> Given:
    write_tvp_checkpoint(folder / "model")
    (folder / "films").mkdir()
    make_video(folder / "films" / "AO8RW.mp4", 50)
    (folder / "moments.txt").write_text("AO8RW 0.5 1.2##a person sits\n")
    return folder / "model", [folder / "moments.txt", folder / "films"]


def questions(folder: Path) -> Given:
    write_lxmert_checkpoint(folder / "model")
    write_regions(folder / "regions.tsv", "kitchen")
    asked = [{"img_id": "kitchen", "sent": "Is it lunch time?", "label": {"yes": 1.0, "tea": 0.3}}]
    (folder / "questions.json").write_text(json.dumps(asked))
    return folder / "model", [folder / "questions.json", folder / "regions.tsv"]


# What each task is trained on, the metrics that it prints, and labels of what it learns.
TASKS: dict[str, tuple[Callable[[Path], Given], set[str], list[str] | None]] = {
    "boxes": (boxes, {"loss", "ap50", "ap"}, ["cup", "cat"]),
    "moments": (moments, {"loss", "r1_iou30", "r1_iou50", "r1_iou70", "mean_iou"}, None),
    "questions": (questions, {"loss", "accuracy"}, ["yes", "no", "two"]),
}


@pytest.mark.filterwarnings("ignore:.*has no weights for")
@pytest.mark.usefixtures("without_compiling")
@pytest.mark.parametrize(
    "task", ["boxes", *(pytest.param(n, marks=pytest.mark.slow) for n in TASKS if n != "boxes")]
)
def test_every_task_is_trained_and_measured(
    task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write, metrics, labels = TASKS[task]
    model, data = write(tmp_path)
    out = tmp_path / "tuned"
    how = ("--epochs", "1", "--batch-size", "1", "--learning-rate", "0.01")
    trained = run_json(capsys, "train", *data, "--model", model, "--out", out, "--val", *data, *how)
    assert {name for name in trained["metrics"] if name.startswith("val_")} >= {
        f"val_{name}" for name in metrics
    }
    assert all(np.isfinite(value) for value in trained["metrics"].values())
    assert 0 < trained["trained"] <= trained["parameters"]
    measured = run_json(capsys, "val", *data, "--model", out, "--batch-size", "1")
    assert set(measured["metrics"]) >= metrics
    for name in metrics:  # the folder holds what was measured
        assert measured["metrics"][name] == pytest.approx(trained["metrics"][f"val_{name}"], 1e-4)
    before, after = (load_checkpoint(folder) for folder in (model, out))
    assert any(
        not np.array_equal(*pair)
        for pair in zip(before.get_weights(), after.get_weights(), strict=True)
    )
    if labels is not None:
        assert list(after.config.id2label.values()) == labels
    processor = tfzoo.AutoTokenizer if task == "questions" else tfzoo.AutoProcessor
    assert type(processor.from_pretrained(out)) is type(processor.from_pretrained(model))


@pytest.mark.filterwarnings("ignore:.*has no weights for")
@pytest.mark.usefixtures("without_compiling")
def test_videos_bring_their_labels(
    tiny: Path, videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "tuned"
    how = ("--model", tiny, "--out", out, "--val-split", "0.5", "--batch-size", "2")
    assert (
        main([*map(str, ("train", videos, *how, "--epochs", "2", "--freeze", "embeddings"))]) == 0
    )
    captured = capsys.readouterr()
    assert captured.out.startswith(f"{out}: TFTimesformerForVideoClassification, ")
    assert "parameters trained in 2 epochs\n" in captured.out
    assert "val_accuracy" in captured.out
    assert captured.err.count("tfzoo: epoch ") == 2
    model = tfzoo.TFTimesformerForVideoClassification.from_pretrained(out)
    assert model.config.id2label == {0: "dark_rabbit", 1: "squirrel"}
    old = tfzoo.TFTimesformerForVideoClassification.from_pretrained(tiny)
    frozen = [m.timesformer.embeddings.get_weights() for m in (old, model)]
    for before, after in zip(*frozen, strict=True):
        np.testing.assert_array_equal(before, after)
    found = run_json(capsys, "predict", videos / "squirrel" / "0.mp4", "--model", out)
    assert {row["label"] for row in found["predictions"]} == {"dark_rabbit", "squirrel"}
    message = fails(capsys, "train", videos, "--model", tiny, "--out", out)
    assert "tuned exists: choose another name, or replace it with --force" in message


@pytest.mark.slow
@pytest.mark.usefixtures("without_compiling")
def test_known_labels_keep_the_head(
    tiny: Path, videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder of some of the model's labels is measured and learnt with the model's own head."""
    some = tmp_path / "some"
    shutil.copytree(videos / "squirrel", some / "squirrel")
    measured = run_json(capsys, "val", some, "--model", tiny)["metrics"]
    model = tfzoo.TFTimesformerForVideoClassification.from_pretrained(tiny)
    assert model.config.id2label[2] == "squirrel"
    found = [
        run_json(capsys, "predict", path, "--model", tiny)["predictions"][0]["label"]
        for path in sorted((some / "squirrel").iterdir())
    ]
    assert measured["accuracy"] == np.mean([label == "squirrel" for label in found])
    out = tmp_path / "out"
    how = ("--out", out, "--lora", "2", "--epochs", "1", "--learning-rate", "0.1")
    trained = run_json(capsys, "train", some, "--model", tiny, *how)
    assert trained["labels"] == 3
    assert trained["trained"] < trained["parameters"] / 2
    tuned = tfzoo.TFTimesformerForVideoClassification.from_pretrained(out)
    assert tuned.config.id2label == model.config.id2label
    kernels = [m.timesformer.encoder.layer[0].attention.qkv.kernel for m in (model, tuned)]
    assert not np.array_equal(*(np.asarray(kernel) for kernel in kernels))
    assert "no label for dark_rabbit" in fails(capsys, "val", videos, "--model", tiny)


@pytest.mark.slow
@pytest.mark.usefixtures("without_compiling")
def test_texts_of_folders_are_told_apart(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_xclip_checkpoint(tmp_path / "model")
    template = ("--template", "a video of a {}")
    out = tmp_path / "tuned"
    how = ("--out", out, "--epochs", "2", "--learning-rate", "0.01", *template)
    trained = run_json(capsys, "train", videos, "--model", tmp_path / "model", *how)
    assert set(trained["metrics"]) == {"loss", "accuracy"}
    config = tfzoo.AutoConfig.from_pretrained(out)
    assert config.id2label == {0: "dark rabbit", 1: "squirrel"}
    measured = run_json(capsys, "val", videos, "--model", out, *template)["metrics"]
    labels = ("--labels", "dark rabbit", "squirrel")
    right = []
    for path in sorted(videos.rglob("*.mp4")):
        found = run_json(capsys, "predict", path, "--model", out, *labels, *template)
        right.append(found["predictions"][0]["label"] == path.parent.name.replace("_", " "))
    assert measured["accuracy"] == np.mean(right)


@pytest.mark.filterwarnings("default:.*has no weights for answer_head")
@pytest.mark.slow
@pytest.mark.usefixtures("without_compiling")
def test_new_answers_are_a_fresh_head(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, (path, regions) = questions(tmp_path)
    asked = [{"img_id": "kitchen", "sent": "What is it?", "label": label} for label in ("b", "a")]
    path.write_text(json.dumps(asked))
    how = ("--model", model, "--out", tmp_path / "out", "--epochs", "1")
    assert main([*map(str, ("train", path, regions, *how))]) == 0
    assert "has no weights for answer_head" in capsys.readouterr().err
    config = tfzoo.AutoConfig.from_pretrained(tmp_path / "out")
    assert (config.id2label, config.num_qa_labels) == ({0: "a", 1: "b"}, 2)
    message = fails(capsys, "val", path, regions, "--model", model)
    assert "2 of 2 questions have no answer among the 3 known ones" in message


REFUSED = [
    (("--val", "{data}", "--val-split", "0.5"), 2, "Give --val or --val-split, not both"),
    (("--freeze", "x", "--lora", "2"), 2, "Give --freeze or --lora, not both"),
    (("--template", "a photo"), 2, "--template must hold {}"),
    (("--val", "missing"), 1, "missing: no such file or folder"),
    (("--val", "{data}", "{data}"), 2, "learns from a folder with a folder of videos for each"),
    (("--freeze", "nonsense"), 1, "has no layer whose path matches 'nonsense'"),
    (("--out", "{data}", "--force"), 1, "it is not replaced"),
]


@pytest.mark.filterwarnings("ignore:.*has no weights for")
@pytest.mark.parametrize(("words", "code", "message"), REFUSED)
def test_wrong_usage(
    words: tuple[str, ...],
    code: int,
    message: str,
    tiny: Path,
    videos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [word.format(data=videos) for word in words]
    base = ("train", videos, "--model", tiny, "--out", tmp_path / "out")
    assert message in fails(capsys, *base, *given, code=code)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("names", [["dark_rabbit"], ["dark rabbit", "dark_rabbit"]])
def test_labels_that_cannot_be_told_apart(
    names: list[str], tiny: Path, videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in names:
        shutil.copytree(videos / "dark_rabbit", tmp_path / "data" / name)
    how = ("--model", tiny, "--out", tmp_path / "out")
    message = fails(capsys, "train", tmp_path / "data", *how)
    assert f"differ by more than underscores, got {', '.join(names)}." in message


def test_templates_are_checked_by_both(
    tiny: Path, videos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = fails(capsys, "val", videos, "--model", tiny, "--template", "a photo", code=2)
    assert "--template must hold {}" in message


def test_only_videos_are_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data = questions(tmp_path)
    how = ("--model", model, "--out", tmp_path / "out", "--val-split", "0.5")
    message = fails(capsys, "train", *data, *how, code=2)
    assert "--val-split is for folders of videos" in message


def test_what_cannot_be_trained(videos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = FIXTURES / "models" / "perceiver" / "masked_lm"
    message = fails(capsys, "val", videos, "--model", folder)
    assert "no reader of training files for a perceiver, see docs/data.md" in message
    assert main(["train", str(videos), "--model", "m", "--out", "o", "--learning-rate", "0"]) == 2
    assert "expected a number above 0, got '0'" in capsys.readouterr().err


def test_documented_commands_are_understood() -> None:
    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    lines = text.split("```bash\n")[1].split("```")[0].splitlines()
    assert len(lines) == 6
    for line in lines:
        assert _parser().parse_args(shlex.split(line)[1:]).data
