"""The recipe that fine-tunes X-CLIP, on a tiny model and clips whose colour is their label."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

import tfzoo
from recipes.xclip_finetune import Reader, find_videos, main, pairs, split
from tests.support.xclip_checkpoint import write_xclip_checkpoint

COLOURS = {"deep_red": (200, 40, 40), "green": (40, 200, 40), "dark_blue": (40, 40, 200)}
FRAMES, CLIPS = 4, 6


def write_clip(path: Path, colour: tuple[int, int, int], rng: np.random.Generator) -> None:
    """A noisy film of one colour."""
    pixels = np.clip(rng.normal(colour, 30, (FRAMES + 2, 36, 44, 3)), 0, 255).astype("uint8")
    first, *others = map(Image.fromarray, pixels)
    first.save(path, save_all=True, append_images=others, duration=40)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three labels with six films each, and a hidden file."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("films")
    for name, colour in COLOURS.items():
        (folder / name).mkdir()
        for number in range(CLIPS):
            write_clip(folder / name / f"{number}.gif", colour, rng)
    (folder / ".listing").write_text("no label")
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With one layer in each part, for speed."""
    folder = tmp_path_factory.mktemp("tiny") / "xclip"
    write_xclip_checkpoint(folder, num_frames=FRAMES)
    config = tfzoo.XCLIPConfig.from_pretrained(folder, prompt_layers=1)
    config.text_config.num_hidden_layers = config.vision_config.num_hidden_layers = 1
    keras.utils.set_random_seed(0)
    tfzoo.TFXCLIPModel(config).save_pretrained(folder)
    return folder


def test_every_fifth_video_is_held_out(folder: Path) -> None:
    videos = find_videos(folder)
    assert list(videos) == ["dark blue", "deep red", "green"]
    training, held_out = split(videos)
    for label in videos:
        assert [path.stem for path in held_out[label]] == ["0", "5"]
        assert [path.stem for path in training[label]] == ["1", "2", "3", "4"]


def test_a_batch_holds_each_label_once(folder: Path, checkpoint: Path) -> None:
    videos, _ = split(find_videos(folder))
    reader = Reader(tfzoo.XCLIPProcessor.from_pretrained(checkpoint), FRAMES, "a {}")
    texts = reader.texts(list(videos))["input_ids"].tolist()
    batches = pairs(videos, reader, size=2, seed=0)
    seen = np.zeros(3, int)
    for _ in range(30):
        (batch,) = next(batches)
        assert batch["pixel_values"].shape == (2, FRAMES, 3, 32, 32)
        one, other = (texts.index(row) for row in batch["input_ids"].tolist())
        assert one != other
        for label, clip in zip((one, other), batch["pixel_values"], strict=True):
            seen[label] += 1
            brightest = clip.mean(axis=(0, 2, 3)).argmax()  # red, green or blue
            assert list(videos)[label].split()[-1] == ("red", "green", "blue")[brightest]
    assert seen.min() >= 10


@pytest.fixture
def compiles_with(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Keras's own choice, XLA, takes longer to start than all these steps together."""

    def choose(**options: bool) -> None:
        own = tfzoo.TFXCLIPModel.compile
        compile_ = lambda self, optimizer: own(self, optimizer, **options)  # noqa: E731
        monkeypatch.setattr(tfzoo.TFXCLIPModel, "compile", compile_)

    return choose


def test_the_seed_decides_the_batches(folder: Path, checkpoint: Path) -> None:
    videos, _ = split(find_videos(folder))
    reader = Reader(tfzoo.XCLIPProcessor.from_pretrained(checkpoint), FRAMES)

    def clips(seed: int) -> np.ndarray:
        batches = pairs(videos, reader, size=3, seed=seed)
        return np.stack([next(batches)[0]["pixel_values"] for _ in range(4)])

    np.testing.assert_array_equal(clips(1), clips(1))
    assert not np.array_equal(clips(1), clips(2))
    each = {clip.tobytes() for batch in clips(1) for clip in batch}
    assert len(each) == 12, "four rounds show each of four videos of three labels once"


def run(checkpoint: Path, folder: Path, out: Path, *more: str) -> None:
    places = {"--model": checkpoint, "--videos": folder, "--out": out}
    words = [str(word) for pair in places.items() for word in pair]
    main([*words, "--template", "a {} film", "--learning-rate", "3e-3", *more])


def changed(before: Path, after: Path) -> set[str]:
    """Names of the tensors that differ."""
    old, new = (load_file(path / "model.safetensors") for path in (before, after))
    assert sorted(old) == sorted(new)
    assert all(np.isfinite(value).all() for value in new.values())
    return {name for name in old if not np.array_equal(old[name], new[name])}


def of_texts(names: set[str]) -> set[str]:
    return {name for name in names if name.startswith(("text_model.", "text_projection."))}


@pytest.mark.slow
def test_training_finds_the_labels_and_leaves_the_texts(
    folder: Path,
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    compiles_with: Callable[..., None],
) -> None:
    out = tmp_path / "new" / "tuned"
    compiles_with(jit_compile=False)
    run(checkpoint, folder, out, "--epochs", "12")
    printed = capsys.readouterr().out
    losses = [float(x) for x in re.findall(r"loss: ([\d.e+-]+)", printed)]
    assert len(losses) == 12
    assert losses[-1] < 0.5 * losses[0]
    before, after = (float(x) for x in re.findall(r"accuracy ([\d.]+)", printed))
    assert before < 0.9
    assert after == 1.0

    names = changed(checkpoint, out)
    assert of_texts(names) == set()
    assert {"logit_scale", "visual_projection.weight", "prompts_generator.alpha"} <= names
    assert any(name.startswith("mit.") for name in names)
    assert [path.name for path in out.parent.iterdir()] == ["tuned"]

    model = tfzoo.TFXCLIPModel.from_pretrained(out)
    processor = tfzoo.AutoProcessor.from_pretrained(out)
    assert type(processor) is tfzoo.XCLIPProcessor
    classifier = model.zero_shot_classifier(["deep red", "green", "dark blue"], "a {} film")
    for name in COLOURS:
        inputs = processor(videos=folder / name / "0.gif", num_frames=FRAMES, return_tensors="np")
        assert classifier.rank(inputs)[0][0][0] == name.replace("_", " ")


@pytest.mark.slow
def test_texts_train_where_that_is_wanted(
    folder: Path, checkpoint: Path, tmp_path: Path, compiles_with: Callable[..., None]
) -> None:
    out = tmp_path / "tuned"
    compiles_with(run_eagerly=True)
    run(checkpoint, folder, out, "--no-freeze-text", "--epochs", "1")
    texts = of_texts(changed(checkpoint, out))
    assert {"text_projection.weight", "text_model.final_layer_norm.weight"} <= texts


def test_wrong_folders_are_refused(tmp_path: Path) -> None:
    def refusal() -> str:
        with pytest.raises(ValueError) as caught:
            find_videos(tmp_path / "films")
        return str(caught.value)

    films = tmp_path / "films"
    assert "films is not a folder" in refusal()
    films.mkdir()
    assert "holds 0 folders; expected two labels or more" in refusal()
    (films / "a_cat").mkdir()
    (films / "a_cat" / "1.mp4").touch()
    assert "a_cat holds 1 videos; expected at least two" in refusal()
    (films / "a_cat" / "2.mp4").touch()
    assert "holds 1 folders" in refusal()
    (films / "a_cat_").mkdir()
    assert "'a cat' is empty or also another folder's" in refusal()
    (films / "a_cat_").rmdir()
    (films / "b").mkdir()
    (films / "b" / "inner").mkdir()
    assert "inner is a folder; expected the videos of one label" in refusal()
    (films / "stray.mp4").touch()
    (films / "b" / "inner").rmdir()
    for number in "12":
        (films / "b" / number).touch()
    assert "stray.mp4 is not a folder" in refusal()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--batch", "1"], "--batch must be at least 2"),
        (["--epochs", "0"], "expected a whole number above 0"),
        (["--template", "a film"], "--template must hold {}"),
        (["--out", "."], "exists: choose another name"),
        (["--videos", "nowhere"], "nowhere is not a folder"),
    ],
)
def test_wrong_arguments_are_refused(
    options: list[str],
    message: str,
    folder: Path,
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stop:
        run(checkpoint, folder, tmp_path / "out", *options)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_damaged_video_leaves_no_checkpoint(folder: Path, checkpoint: Path, tmp_path: Path) -> None:
    films = tmp_path / "films"
    for name in ("green", "deep_red"):
        (films / name).mkdir(parents=True)
        for number in "01":
            (films / name / f"{number}.gif").write_bytes((folder / name / "0.gif").read_bytes())
    (films / "green" / "1.gif").write_text("no film")
    with pytest.raises(ValueError, match=r"green/1\.gif"):
        run(checkpoint, films, tmp_path / "out")
    assert not (tmp_path / "out").exists()
