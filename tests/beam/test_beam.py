"""Batch jobs on Beam's DirectRunner, with real files, one of them broken."""

from __future__ import annotations

import doctest
import importlib
import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.testing.util import assert_that, equal_to

import tfzoo
from tests.io import synthetic
from tests.support.owlv2_checkpoint import write_owlv2_checkpoint
from tests.support.paths import FIXTURES
from tests.support.tvp_checkpoint import write_tvp_checkpoint
from tfzoo.beam import PredictFiles, Reading, SavedModelHandler, reading_for
from tfzoo.beam.__main__ import main

VIDEOS = ("bigbuckbunny.mp4", "nasa_13013.mp4")

pytestmark = pytest.mark.filterwarnings("ignore")  # Beam's own


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos and a broken one, two images and a broken one."""
    folder = tmp_path_factory.mktemp("files")
    for name in VIDEOS:
        shutil.copy(FIXTURES / "videos" / name, folder)
    for name in ("coffee.jpg", "astronaut_110.png"):
        shutil.copy(FIXTURES / "photos" / name, folder)
    (folder / "broken.mp4").write_bytes((FIXTURES / "videos" / VIDEOS[0]).read_bytes()[:500])
    (folder / "cut.jpg").write_bytes((FIXTURES / "photos" / "coffee.jpg").read_bytes()[:900])
    return folder


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Path]:
    """The classifier that ships with tfzoo, and its export."""
    checkpoint = tfzoo.default_checkpoint()
    model = tfzoo.TFTimesformerForVideoClassification.from_pretrained(checkpoint)
    processor = tfzoo.AutoImageProcessor.from_pretrained(checkpoint)
    path = tmp_path_factory.mktemp("models") / "camera"
    return model, processor, tfzoo.export_serving(model, processor, path, top_k=3)


def lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of JSON lines, by the name of their file."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return sorted(rows, key=lambda row: (row["file"], row.get("query", "")))


def run(*args: Any) -> int:
    """The command, in this process."""
    return main([*map(str, args), "--runner", "DirectRunner"])


def test_videos_are_classified_as_on_the_host(
    folder: Path, classifier: tuple[Any, Any, Path], tmp_path: Path
) -> None:
    model, processor, export = classifier
    out = tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "tfzoo.beam", "--input", str(folder / "*.mp4")]
    command += ["--model", str(export), "--output", str(out), "--runner", "DirectRunner"]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    rows = lines(out)
    assert [Path(row["file"]).name for row in rows] == sorted(VIDEOS)
    for row in rows:
        clip = tfzoo.read_video(row["file"], num_frames=model.config.num_frames)
        inputs = processor(list(clip.frames), return_tensors="np")
        logits = np.asarray(model(**inputs).logits[0], "float64")
        expected = np.exp(logits) / np.exp(logits).sum()
        best = np.argsort(-expected)[:3]
        assert row["frames"] == clip.indices.tolist()
        assert [p["label"] for p in row["predictions"]] == [model.config.id2label[i] for i in best]
        scores = [p["score"] for p in row["predictions"]]
        np.testing.assert_allclose(scores, expected[best], atol=0.01)
    (failed,) = lines(tmp_path / "out.failed.jsonl")
    assert Path(failed["file"]).name == "broken.mp4"
    assert "damaged or cut off" in failed["reason"]


def test_images_are_searched(folder: Path, tmp_path: Path) -> None:
    checkpoint = write_owlv2_checkpoint(tmp_path / "owlv2")
    model = tfzoo.TFAutoModelForZeroShotObjectDetection.from_pretrained(checkpoint)
    processor = tfzoo.AutoProcessor.from_pretrained(checkpoint)
    options = {"queries": ["a cup", "a face"], "threshold": 0.0, "max_detections": 4}
    export = tfzoo.export_serving(model, processor, tmp_path / "export", **options)
    out = tmp_path / "found.jsonl"
    assert run("--input", folder / "*g", "--model", export, "--output", out) == 0
    rows = lines(out)
    assert [Path(row["file"]).name for row in rows] == ["astronaut_110.png", "coffee.jpg"]
    for row in rows:
        assert 0 < len(row["detections"]) <= 4
        assert {found["label"] for found in row["detections"]} <= {"a cup", "a face"}
        assert all(len(found["box"]) == 4 for found in row["detections"])
    (failed,) = lines(tmp_path / "found.failed.jsonl")
    assert Path(failed["file"]).name == "cut.jpg"
    assert failed["reason"]


def test_moments_are_found_as_on_the_host(folder: Path, tmp_path: Path) -> None:
    checkpoint = write_tvp_checkpoint(tmp_path / "tvp")
    model = tfzoo.TFTvpForVideoGrounding.from_pretrained(checkpoint)
    processor = tfzoo.TvpProcessor.from_pretrained(checkpoint)
    export = tfzoo.export_serving(model, processor, tmp_path / "export")
    out, queries = tmp_path / "moments.jsonl", ["a person sits", "the person opens a door"]
    arguments = ["--input", folder / "*.mp4", "--model", export, "--output", out]
    arguments += ["--tokenizer", checkpoint]
    assert run(*arguments, *(word for query in queries for word in ("--query", query))) == 0
    rows = lines(out)
    assert [(Path(row["file"]).name, row["query"]) for row in rows] == [
        (name, query) for name in sorted(VIDEOS) for query in queries
    ]
    for row in rows:
        clip = tfzoo.read_video(row["file"], num_frames=4, sampling="spread")
        inputs = processor(text=[row["query"]], videos=clip.frames, return_tensors="np")
        inputs = {name: inputs[name] for name in ("input_ids", "attention_mask", "pixel_values")}
        start, end = np.asarray(model(**inputs).logits[0]) * clip.duration
        assert row["duration"] == clip.duration
        np.testing.assert_allclose([row["start"], row["end"]], [start, end], atol=0.05)


def test_a_checkpoint_answers_as_its_task(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    model = ["--model", "timesformer-camera-motion", "--top-k", "2", "--batch-size", "3"]
    assert run("--input", folder / "*.mp4", "--output", out, *model) == 0
    task = tfzoo.pipeline(model="timesformer-camera-motion", top_k=2)
    rows = lines(out)
    assert [Path(row["file"]).name for row in rows] == sorted(VIDEOS)
    for row in rows:
        expected = task(row["file"])
        assert row["frames"] == expected.frames
        assert [p["label"] for p in row["predictions"]] == [p.label for p in expected]
    (failed,) = lines(tmp_path / "out.failed.jsonl")
    assert Path(failed["file"]).name == "broken.mp4"
    assert "damaged or cut off" in failed["reason"]


def test_a_checkpoint_finds_what_labels_name(folder: Path, tmp_path: Path) -> None:
    shutil.copy(tfzoo.default_checkpoint("owlv2-shapes") / "sample.png", tmp_path / "a.png")
    out = tmp_path / "found.jsonl"
    asked = ["--task", "zero-shot-object-detection", "--labels", "red circle", "blue triangle"]
    assert run("--input", tmp_path / "*.png", "--output", out, *asked, "--threshold", "0.3") == 0
    (row,) = lines(out)
    assert {one["label"] for one in row["detections"]} == {"red circle", "blue triangle"}


def test_the_seconds_of_a_variable_frame_rate(tmp_path: Path) -> None:
    stamps = [0, 40, 80, 2000, 4000]
    path = synthetic.timed(tmp_path / "phone.mp4", stamps, "libx264")
    reading = Reading("ground", num_frames=5, queries=[("it runs", {})])
    ((about, request),) = reading.requests(str(path))
    parts = np.array([0.4, 0.8])  # of the frames: from the third to the fifth
    seconds = parts * request["duration"]
    row = reading.row(json.loads(json.dumps(about)), {"seconds": seconds})
    assert set(row) == {"file", "query", "duration", "start", "end"}
    np.testing.assert_allclose([row["start"], row["end"]], [0.08, 4.0], atol=1e-3)


def test_a_bad_request_does_not_affect_the_others(classifier: tuple[Any, Any, Path]) -> None:
    _, _, export = classifier
    good = next(
        Reading("classify_frames", num_frames=8).requests(str(FIXTURES / "videos" / VIDEOS[1]))
    )
    bad = {"frames": [b"not an image"] * 8}
    short = {"frames": good[1]["frames"][:3]}
    handler = SavedModelHandler(str(export), "classify_frames")
    loaded = handler.load_model()
    answers = list(handler.run_inference([good[1], bad, short, good[1]], loaded))
    assert [isinstance(answer.inference, str) for answer in answers] == [False, True, True, False]
    first, last = answers[0].inference, answers[3].inference
    assert first["labels"].tolist() == last["labels"].tolist()
    assert "JPEG" in answers[1].inference


def test_the_transform_works_in_a_pipeline_of_ones_own(
    folder: Path, classifier: tuple[Any, Any, Path]
) -> None:
    paths = [str(folder / name) for name in (*VIDEOS, "broken.mp4", "absent.mp4")]
    with beam.Pipeline(runner="DirectRunner") as pipeline:
        transform = PredictFiles(classifier[2], Reading("classify_frames", num_frames=8))
        results, failures = pipeline | beam.Create(paths) | transform
        assert_that(results | "a" >> beam.Map(lambda row: row["file"]), equal_to(paths[:2]))
        names = failures | "b" >> beam.Map(lambda row: row["file"])
        assert_that(names, equal_to(paths[2:]), label="failures")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--input", "nothing/*.mp4"], "No file matches 'nothing/*.mp4'"),
        (["--model", "nowhere"], "'nowhere' is neither a file or folder here nor the name of"),
        (["--model", "owlv2-shape"], "Did you mean 'owlv2-shapes'"),
        (["--model", "owlv2-shapes"], "zero-shot-object-detection needs candidate_labels or"),
        (["--top-k", "3"], "--top-k is for checkpoints, see --help"),
        (["--num-frames", "3"], "takes 8 frames, --num-frames is 3"),
        (["--query", "a cat"], "classifies: leave queries out"),
        (["--batch-size", "0"], "--batch-size must be at least 1"),
    ],
)
def test_arguments_that_cannot_be_meant(
    arguments: list[str],
    words: str,
    folder: Path,
    classifier: tuple[Any, Any, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = {"--input": folder / "*.mp4", "--model": classifier[2], "--output": tmp_path / "o"}
    given |= dict([arguments])
    assert run(*(word for pair in given.items() for word in pair)) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_models_without_a_signature_for_files_are_refused() -> None:
    with pytest.raises(ValueError, match=r"signatures a, b; expected one of classify_frames, "):
        reading_for(["b", "a"])
    with pytest.raises(ValueError, match="say how many with num_frames"):
        reading_for(["classify_frames"])
    with pytest.raises(ValueError, match="give queries and the tokenizer"):
        reading_for(["ground"], num_frames=4)
    with pytest.raises(ValueError, match="queries is for models of videos"):
        reading_for(["detect_image"], queries=["a cat"])
    with pytest.raises(ValueError, match=r"texts that are not empty, got \[' '\]"):
        reading_for(["ground"], num_frames=4, queries=[" "], tokenizer=lambda texts: {})


def test_a_missing_signature_is_an_error(classifier: tuple[Any, Any, Path]) -> None:
    with pytest.raises(ValueError, match="no signature 'ground', only classify_frames, serving_"):
        SavedModelHandler(str(classifier[2]), "ground").load_model()


@pytest.mark.parametrize("name", ["handler", "pipeline", "reading"])
def test_examples_in_docstrings_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(FIXTURES / "videos" / "nasa_13013.mp4", tmp_path / "clip.mp4")
    monkeypatch.chdir(tmp_path)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = importlib.import_module(f"tfzoo.beam.{name}")
        result = doctest.testmod(module, extraglobs={"np": np}, optionflags=flags)
    assert result.attempted
    assert not result.failed
