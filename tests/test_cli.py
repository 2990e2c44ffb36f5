"""The `tfzoo` command, called as a function; as a process where a process is the point."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import struct
import subprocess
import sys
import termios
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

import tfzoo
from tfzoo.cli import main
from tfzoo.commands import console, convert, listing
from tfzoo.registry import families

ROOT = Path(__file__).parents[1]
VIDEO = ROOT / "tests/data/videos/bigbuckbunny.mp4"
PHOTO = ROOT / "tests/data/photos/coffee.jpg"
LABELS = {0: "rabbit", 1: "butterfly", 2: "squirrel"}
TINY = {
    "image_size": 16,
    "patch_size": 8,
    "num_frames": 4,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "id2label": LABELS,
}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TimeSformer of 10,000 weights, with its processor."""
    folder = tmp_path_factory.mktemp("tiny") / "checkpoint"
    keras.utils.set_random_seed(3)
    model = tfzoo.TFTimesformerForVideoClassification(tfzoo.TimesformerConfig(**TINY))
    model.classifier.kernel.assign(model.classifier.kernel * 50.0)  # scores that differ
    model.save_pretrained(folder)
    processor = tfzoo.VideoMAEImageProcessor(size={"shortest_edge": 16}, crop_size=16)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    """The same checkpoint, to be spoilt."""
    return Path(shutil.copytree(tiny, tmp_path / "copy"))


def edit_config(folder: Path, **values: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def run_json(capsys: pytest.CaptureFixture[str], *args: str | Path) -> dict[str, Any]:
    assert main([*map(str, args), "--json"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    return json.loads(out)


def fails(capsys: pytest.CaptureFixture[str], *args: str | Path, code: int = 1) -> str:
    """Its one line on stderr."""
    assert main([*map(str, args)]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("tfzoo: error: ")
    assert captured.err.count("\n") == 1, captured.err
    return captured.err


def logits_of(model: Any, frames: np.ndarray) -> np.ndarray:
    processor = tfzoo.VideoMAEImageProcessor(size={"shortest_edge": 16}, crop_size=16)
    inputs = processor(list(frames), return_tensors="np")
    return np.asarray(model(**inputs).logits)[0].astype("float64")


# predict


def test_predict_is_the_model_on_the_frames(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = run_json(capsys, "predict", VIDEO, "--model", tiny)
    clip = tfzoo.read_video(VIDEO, num_frames=4)
    model = tfzoo.TFTimesformerForVideoClassification.from_pretrained(tiny)
    odds = np.exp(logits_of(model, clip.frames))
    scores = odds / odds.sum()
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
    assert sorted(result["seconds"]) == ["loading", "prediction", "reading"]


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
    tiny: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfzoo.assets.default_checkpoint", lambda: tiny)
    result = run_json(capsys, "predict", VIDEO)
    assert result["model"] == "checkpoint"
    assert (
        result["predictions"] == run_json(capsys, "predict", VIDEO, "--model", tiny)["predictions"]
    )


def test_predict_a_still_image(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(PHOTO), "--model", str(tiny), "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == (
        f"tfzoo: {PHOTO} is a still image: taken as a clip of 4 equal frames.\n"
    )
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


def test_predict_refuses_what_it_cannot_read(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refusal(path: Path, *more: str) -> str:
        return fails(capsys, "predict", path, "--model", tiny, *more)

    assert "absent.mp4: there is no such file." in refusal(tmp_path / "absent.mp4")
    text = tmp_path / "notes.txt"
    text.write_text("no film at all\n" * 50)
    assert "notes.txt: expected a video" in refusal(text)
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(np.random.default_rng(0).bytes(5000))
    assert "noise.mp4: expected a video" in refusal(noise)
    photo = tmp_path / "cut.jpg"
    photo.write_bytes(PHOTO.read_bytes()[:4000])
    assert "cut.jpg: the image cannot be decoded" in refusal(photo)
    (tmp_path / "empty").mkdir()
    assert "empty" in refusal(tmp_path / "empty")
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
    assert "is a TimesformerModel, which has no trained classifier" in refusal(copy)
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
    assert "logits are not finite" in fails(capsys, "predict", VIDEO, "--model", copy)
    whole = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(whole[:1000])
    assert "model.safetensors" in fails(capsys, "predict", VIDEO, "--model", copy)


# convert


def as_pytorch(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / "model.safetensors")


def assert_same_tensors(actual: Path, expected: Path) -> None:
    have, want = as_pytorch(actual), as_pytorch(expected)
    assert sorted(have) == sorted(want)
    for name in want:
        np.testing.assert_array_equal(have[name], want[name], err_msg=name)


def test_convert_to_pytorch(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "new" / "folder"  # parents are made
    assert main(["convert", str(tiny), str(target), "--to", "pytorch"]) == 0
    assert_same_tensors(target, tiny)
    for name in ("preprocessor_config.json", "config.json"):
        assert (target / name).read_bytes() == (tiny / name).read_bytes()
    captured = capsys.readouterr()
    size = sum(file.stat().st_size for file in target.iterdir())
    assert captured.out == (
        f"{target}: TFTimesformerForVideoClassification, 10,563 parameters, {size:,} bytes\n"
    )
    assert captured.err == ""
    assert [path.name for path in target.parent.iterdir()] == ["folder"]


def test_convert_to_keras_and_back(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive, folder = tmp_path / "tiny.keras", tmp_path / "back"
    assert main(["convert", str(tiny), str(archive), "--to", "keras"]) == 0
    loaded = keras.models.load_model(archive)
    assert loaded.config.id2label == LABELS
    assert main(["convert", str(archive), str(folder), "--to", "pytorch"]) == 0
    assert_same_tensors(folder, tiny)
    assert "holds no preprocessor_config.json" in capsys.readouterr().err
    assert not (folder / "preprocessor_config.json").exists()


def test_convert_to_weights(tiny: Path, tmp_path: Path) -> None:
    target = tmp_path / "tiny.weights.h5"
    assert main(["convert", str(tiny), str(target), "--to", "weights"]) == 0
    model = tfzoo.TFTimesformerForVideoClassification(tfzoo.TimesformerConfig(**TINY))
    model.load_weights(target)
    model.save_pretrained(tmp_path / "back")
    assert_same_tensors(tmp_path / "back", tiny)


def test_convert_to_saved_model(tiny: Path, tmp_path: Path) -> None:
    import tensorflow as tf

    target = tmp_path / "served"
    assert main(["convert", str(tiny), str(target), "--to", "savedmodel"]) == 0
    clip = np.random.default_rng(0).normal(size=(2, 4, 3, 16, 16)).astype("float32")
    served = tf.saved_model.load(target).signatures["serving_default"](pixel_values=clip)
    model = tfzoo.TFTimesformerForVideoClassification.from_pretrained(tiny)
    np.testing.assert_allclose(
        served["logits"], np.asarray(model(pixel_values=clip).logits), rtol=1e-4, atol=1e-5
    )


def test_convert_dtype(tiny: Path, tmp_path: Path) -> None:
    archive = tmp_path / "tiny.keras"
    assert main(["convert", str(tiny), str(archive), "--to", "keras"]) == 0
    halves = [tmp_path / "from_folder", tmp_path / "from_archive"]
    for source, target in zip((tiny, archive), halves, strict=True):
        args = ["convert", str(source), str(target), "--to", "pytorch", "--dtype", "float16"]
        assert main(args) == 0
    want = as_pytorch(tiny)
    for target in halves:
        assert json.loads((target / "config.json").read_text())["torch_dtype"] == "float16"
        for name, value in as_pytorch(target).items():
            assert value.dtype == np.float16
            np.testing.assert_array_equal(value, want[name].astype("float16"), err_msg=name)


def test_convert_keeps_what_exists(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "x.keras"
    target.write_text("precious")
    message = fails(capsys, "convert", tiny, target, "--to", "keras")
    assert f"{target} exists: choose another name, or replace it with --force." in message
    assert target.read_text() == "precious"
    assert main(["convert", str(tiny), str(target), "--to", "keras", "--force"]) == 0
    assert keras.models.load_model(target).config.num_frames == 4
    assert os.listdir(tmp_path) == ["x.keras"]


def test_convert_replaces_a_whole_folder(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "model-00001-of-00002.safetensors").write_text("a shard of something older")
    assert main(["convert", str(copy), str(copy), "--to", "pytorch", "--force"]) == 0
    assert sorted(os.listdir(copy)) == [
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
    ]
    assert os.listdir(copy.parent) == ["copy"]
    capsys.readouterr()


def test_convert_refuses_dangerous_targets(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusal(target: Path, to: str) -> str:
        return fails(capsys, "convert", copy, target, "--to", to, "--force")

    assert "holds SRC or the working directory" in refusal(tmp_path, "pytorch")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert "holds SRC or the working directory" in refusal(Path("."), "savedmodel")
    folder = tmp_path / "folder.keras"
    folder.mkdir()
    assert "is a folder and would become a file" in refusal(folder, "keras")
    file = tmp_path / "file"
    file.write_text("precious")
    assert "is a file and would become a folder" in refusal(file, "pytorch")
    assert "is no folder to write to" in refusal(file / "inside", "pytorch")
    assert file.read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == ["copy", "file", "folder.keras", "here"]


@pytest.mark.parametrize(("to", "suffix"), [("keras", ".keras"), ("weights", ".weights.h5")])
def test_convert_wants_the_right_suffix(
    to: str, suffix: str, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = fails(capsys, "convert", tiny, tmp_path / "x.h5", "--to", to, code=2)
    assert f"DST must end in {suffix} for --to {to}" in message


def test_convert_refuses_bad_sources(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "out"
    archive = tmp_path / "broken.keras"
    assert "broken.keras" in fails(capsys, "convert", archive, target, "--to", "pytorch")
    archive.write_text("not a zip file")
    message = fails(capsys, "convert", archive, target, "--to", "pytorch")
    assert "is not a .keras file" in message
    message = fails(capsys, "convert", tmp_path / "absent", target, "--to", "pytorch")
    assert "There is no file or folder" in message
    assert not target.exists()


@pytest.mark.parametrize("existing", [False, True])
def test_failed_conversion_leaves_no_trace(
    existing: bool,
    tiny: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def write_half(model: Any, path: Path, args: Any) -> None:
        path.mkdir()
        (path / "model.safetensors").write_text("half")
        raise OSError("No space left on device")

    target = tmp_path / "out"
    if existing:
        target.mkdir()
        (target / "old").write_text("old")
    monkeypatch.setattr(convert, "_write", write_half)
    message = fails(capsys, "convert", tiny, target, "--to", "pytorch", "--force")
    assert "No space left on device" in message
    assert os.listdir(tmp_path) == (["out"] if existing else [])
    assert not existing or (target / "old").read_text() == "old"


def test_target_that_appears_meanwhile_is_kept(
    tiny: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = tmp_path / "out.keras"

    def write_slowly(model: Any, path: Path, args: Any) -> None:
        path.write_text("ours")
        target.write_text("theirs")

    monkeypatch.setattr(convert, "_write", write_slowly)
    message = fails(capsys, "convert", tiny, target, "--to", "keras")
    assert "has come to exist meanwhile" in message
    assert target.read_text() == "theirs"
    assert os.listdir(tmp_path) == ["out.keras"]


# list


def test_list_shows_the_registry(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    words = capsys.readouterr().out.split()
    for family in families():
        assert {f"{family.name}:", *family.classes, *family.checkpoints} <= set(words)


def test_list_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert sorted(rows) == [family.name for family in families()]
    row = rows["timesformer"]
    assert row["title"] == "TimeSformer"
    assert row["model_types"] == ["timesformer"]
    assert "TFTimesformerForVideoClassification" in row["classes"]
    assert "facebook/timesformer-base-finetuned-k400" in row["checkpoints"]


# The frame around the commands


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"tfzoo {tfzoo.__version__}\n"
    for command in ([], ["predict"], ["convert"], ["list"]):
        assert main([*command, "--help"]) == 0
        assert "usage: tfzoo" in capsys.readouterr().out


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["fly"],
        ["predict"],
        ["predict", "x", "--top-k", "0"],
        ["predict", "x", "--num-frames", "two"],
        ["convert", "a", "b"],
        ["convert", "a", "b", "--to", "onnx"],
        ["convert", "a", "b", "--to", "keras", "--dtype", "int8"],
    ],
)
def test_wrong_usage(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    assert "usage: tfzoo" in capsys.readouterr().err


def failing_list(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail() -> tuple[Any, ...]:
        raise error

    monkeypatch.setattr(listing, "families", fail)


def test_unexpected_errors_say_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_list(monkeypatch, KeyError("lost"))
    assert "unexpected KeyError: 'lost' (TFZOO_DEBUG=1 shows where)" in fails(capsys, "list")
    failing_list(monkeypatch, ValueError())
    assert "error: ValueError\n" in fails(capsys, "list")
    monkeypatch.setenv("TFZOO_DEBUG", "1")
    with pytest.raises(ValueError, match=r"^$"):
        main(["list"])


def test_interrupt(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    failing_list(monkeypatch, KeyboardInterrupt())
    assert main(["list"]) == 130
    assert capsys.readouterr().err == "tfzoo: interrupted\n"


@pytest.mark.filterwarnings("always")
def test_warnings_take_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def warn() -> tuple[Any, ...]:
        warnings.warn("mind the gap", stacklevel=1)
        return families()

    monkeypatch.setattr(listing, "families", warn)
    before = warnings.showwarning
    assert main(["list"]) == 0
    assert capsys.readouterr().err == "tfzoo: warning: mind the gap\n"
    assert warnings.showwarning is before


def test_start_up_noise_is_shown_only_on_failure(capfd: pytest.CaptureFixture[str]) -> None:
    with console._held_back_stderr():
        os.write(2, b"chatter\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"

    def fail() -> None:
        with console._held_back_stderr():
            os.write(2, b"the reason\n")
            raise ImportError("broken")

    with pytest.raises(ImportError, match="broken"):
        fail()
    assert capfd.readouterr().err == "the reason\n"


def environment(**settings: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    return kept | {"PYTHONPATH": str(ROOT)} | settings


def test_process_keeps_stderr_clean(tiny: Path) -> None:
    command = [sys.executable, "-m", "tfzoo.cli", "predict", str(VIDEO), "--model", str(tiny)]
    result = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300)
    assert result.returncode == 0
    assert result.stderr == "", "neither chatter of TensorFlow nor progress bars"
    assert "frames 0 44 87 131" in result.stdout


def read_all(terminal: int) -> str:
    """What was written to a terminal whose other side is closed."""
    chunks = []
    try:
        while chunk := os.read(terminal, 1 << 16):
            chunks.append(chunk)
    except OSError:  # how Linux says that the other side is closed
        return b"".join(chunks).decode()
    return b"".join(chunks).decode()


def test_process_shows_progress_on_a_terminal(tiny: Path) -> None:
    terminal, side = os.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("4H", 24, 100, 0, 0))  # 24 lines of 100
    command = [sys.executable, "-m", "tfzoo.cli", "predict", str(VIDEO), "--model", str(tiny)]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=side)
    os.close(side)
    shown = read_all(terminal)
    out, _ = process.communicate(timeout=60)
    os.close(terminal)
    assert process.returncode == 0, shown
    for step in ("loading:", "reading:", "frame 4/4", "predicting:"):
        assert step in shown
        assert step.encode() not in out


def test_process_survives_a_closed_pipe() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(
        [sys.executable, "-m", "tfzoo.cli", "list"],
        env=environment(),
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=120,
    )
    os.close(writer)
    assert result.returncode == 1
    assert result.stderr == b""


def test_command_is_light_until_it_works() -> None:
    code = "import sys, tfzoo.cli as c; c.main(['list', '--json']); "
    code += "print([m for m in ('keras', 'tensorflow', 'av', 'huggingface_hub', 'PIL') "
    code += "if m in sys.modules], file=sys.stderr)"
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=120
    )
    assert result.stderr.strip() == "[]"
