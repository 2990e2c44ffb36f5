"""`tfzoo predict` with checkpoints that fill in texts, classify images, or compute motion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import tfzoo
from tests.cli.helpers import PHOTO, VIDEO, edit_config, fails, run_json
from tests.support.paths import FIXTURES
from tfzoo.cli.__main__ import main
from tfzoo.viz import flow_to_image

FRAMES = [FIXTURES / "flow" / f"sintel_{i}.png" for i in (16, 17)]
SMALL: dict[str, Any] = {
    "num_latents": 4,
    "d_latents": 16,
    "d_model": 16,
    "num_self_attends_per_block": 1,
    "num_self_attention_heads": 2,
    "num_cross_attention_heads": 1,
}
TEXT = "a w[MASK]rd"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write a checkpoint of one head, with the files beside it."""

    def write(head: str, **fields: Any) -> Path:
        keras.utils.set_random_seed(1)
        folder = tmp_path_factory.mktemp(head) / "checkpoint"
        config = tfzoo.PerceiverConfig(**{**SMALL, **fields})
        model = getattr(tfzoo, f"TFPerceiverFor{head}")(config)
        rng = np.random.default_rng(0)
        for weight in model.weights:
            weight.assign(weight + 0.3 * rng.standard_normal(weight.shape))
        model.save_pretrained(folder)
        tfzoo.PerceiverTokenizer(model_max_length=30).save_pretrained(folder)
        tfzoo.PerceiverImageProcessor(size=24, crop_size=28).save_pretrained(folder)
        return folder

    return write


@pytest.fixture(scope="module")
def language(checkpoint: Callable[..., Path]) -> Path:
    return checkpoint("MaskedLM", max_position_embeddings=30)


@pytest.fixture(scope="module")
def images(checkpoint: Callable[..., Path]) -> Path:
    names = {0: "cup", 1: "cat", 2: "rocket"}
    return checkpoint("ImageClassificationFourier", id2label=names)


@pytest.fixture(scope="module")
def motion(checkpoint: Callable[..., Path]) -> Path:
    return checkpoint("OpticalFlow", train_size=[40, 64])


def test_texts_are_filled_in(language: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = run_json(capsys, "predict", "--text", TEXT, "--model", language, "--top-k", "2")
    model = tfzoo.TFPerceiverForMaskedLM.from_pretrained(language)
    expected = tfzoo.fill_mask(model, tfzoo.PerceiverTokenizer(), TEXT, top_k=2)
    assert result["text"] == TEXT
    assert result["model"] == str(language)
    assert result["filled"] == expected.text
    ((first, second),) = result["candidates"]
    assert [first["token"], second["token"]] == [token for token, _ in expected.candidates[0]]
    scores = [score for _, score in expected.candidates[0]]
    assert [first["score"], second["score"]] == pytest.approx(scores, rel=1e-4)
    assert sorted(result["seconds"]) == ["loading", "prediction"]
    assert main(["predict", "--model", str(language), "--text", TEXT]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{TEXT} ({language})"
    assert lines[1] == expected.text
    assert lines[2].startswith(f"[MASK] 1: {first['token']!r} {100 * first['score']:.1f} %  ")


def test_images_are_classified(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = run_json(capsys, "predict", PHOTO, "--model", images)
    model = tfzoo.TFPerceiverForImageClassificationFourier.from_pretrained(images)
    expected = tfzoo.classify_image(model, PHOTO)
    assert [row["label"] for row in result["predictions"]] == [label for label, _ in expected]
    scores = [row["score"] for row in result["predictions"]]
    assert scores == pytest.approx([score for _, score in expected], rel=1e-4)
    assert result["file"] == str(PHOTO)
    assert main(["predict", str(PHOTO), "--model", str(images), "--top-k", "1"]) == 0
    _, line, _ = capsys.readouterr().out.splitlines()
    assert line.split() == ["1", f"{100 * scores[0]:.2f}", "%", expected[0][0]]


@pytest.mark.parametrize("kind", ["language", "images"])
def test_answers_are_drawn(
    kind: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = ("--text", TEXT) if kind == "language" else (PHOTO,)
    args = ("predict", *asked, "--model", request.getfixturevalue(kind))
    assert run_json(capsys, *args, "--draw", tmp_path / "out.png")["picture"]
    drawn = tfzoo.read_image(tmp_path / "out.png")
    assert drawn.std() > 10


def test_texts_are_classified(
    checkpoint: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    names = {0: "good", 1: "bad"}
    folder = checkpoint("SequenceClassification", max_position_embeddings=30, id2label=names)
    result = run_json(capsys, "predict", "--text", "a fine film", "--model", folder)
    model = tfzoo.TFPerceiverForSequenceClassification.from_pretrained(folder)
    inputs = tfzoo.PerceiverTokenizer()("a fine film", return_tensors="np")
    powers = np.exp(np.asarray(model(**inputs).logits, "float64")[0])
    expected = np.sort(powers / powers.sum())[::-1]
    found = [row["score"] for row in result["predictions"]]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert {row["label"] for row in result["predictions"]} == set(names.values())


def test_motion_is_measured_and_drawn(
    motion: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "flow.png"
    result = run_json(capsys, "predict", *FRAMES, "--model", motion, "--draw", target)
    model = tfzoo.TFPerceiverForOpticalFlow.from_pretrained(motion)
    flow = tfzoo.compute_flow(model, *FRAMES)
    length = np.hypot(flow[..., 0], flow[..., 1])
    assert result["files"] == [str(path) for path in FRAMES]
    assert result["size"] == [60, 96]
    assert result["mean_flow"] == pytest.approx(flow.mean((0, 1)).tolist(), rel=1e-3, abs=1e-6)
    assert result["mean_length"] == pytest.approx(length.mean(), rel=1e-4)
    assert result["longest"] == pytest.approx(length.max(), rel=1e-4)
    assert result["picture"] == str(target)
    colours = flow_to_image(flow)
    large = colours.resize((384, 240), Image.Resampling.NEAREST)  # so that it can be seen
    drawn, expected = np.array(Image.open(target)).astype(int), np.array(large)
    assert np.abs(drawn - expected).max() <= 2
    assert main(["predict", *map(str, FRAMES), "--model", str(motion)]) == 0
    title, size, mean, _ = capsys.readouterr().out.splitlines()
    assert title == f"{FRAMES[0]} {FRAMES[1]} ({motion})"
    assert size.startswith("motion of 96 x 60 pixels: on average ")
    assert mean.startswith("mean ")


def test_what_does_not_fit_is_refused(
    language: Path,
    images: Path,
    motion: Path,
    tiny: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refusal(*args: str | Path) -> str:
        return fails(capsys, "predict", *args, code=2)

    assert "There is nothing to look at" in refusal()
    assert "There is nothing to look at" in refusal("--model", language)
    assert "fills in masked texts" in refusal(PHOTO, "--model", language)
    assert "fills in masked texts" in refusal(PHOTO, "--text", TEXT, "--model", language)
    assert f"classifies images: give it JPEGs, PNGs or the like. {VIDEO}: expected" in refusal(
        VIDEO, "--model", images
    )
    message = refusal("--text", TEXT, "--model", images)
    assert "--text is for models that take texts" in message
    assert "is a PerceiverForImageClassificationFourier" in message
    message = refusal(PHOTO, "--model", images, "--num-frames", "3")
    assert "--num-frames is for models of videos" in message
    assert "two frames" in refusal(PHOTO, "--model", motion)
    message = refusal(*FRAMES, "--model", motion, "--top-k", "2")
    assert "--top-k is for models that rank" in message
    assert "is the input itself" in refusal(*FRAMES, "--model", motion, "--draw", FRAMES[1])
    assert "--text is for models that take texts" in refusal("--text", TEXT, "--model", tiny)
    sound = refusal(VIDEO, "--model", FIXTURES / "models" / "perceiver" / "multimodal")
    assert "encodes videos with their sound: give it these in Python, by tfzoo.pipe" in sound
    assert main(["predict", str(PHOTO), "--task", "optical"]) == 2
    assert "argument --task: invalid choice: 'optical' (choose from" in capsys.readouterr().err
    both = refusal(PHOTO, "--labels", "cup", "--query-image", PHOTO)
    assert "Give --labels or --query-image, not both." in both
    other = fails(capsys, "predict", VIDEO, "--model", tiny, "--task", "video-grounding")
    assert "TFAutoModelForVideoGrounding has no class for model_type 'timesformer'" in other
    missing = fails(capsys, "predict", PHOTO, "--query-image", tmp_path / "absent.png")
    assert "absent.png: no such file." in missing
    missing = fails(capsys, "predict", FRAMES[0], tmp_path / "absent.png", "--model", motion)
    assert "absent.png: no such file" in missing


def test_texts_that_cannot_be_filled(language: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = fails(capsys, "predict", "--text", "nothing", "--model", language)
    assert "expected [MASK] in place of each byte" in message


def test_parts_of_a_family_without_a_task(
    checkpoint: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = checkpoint("SequenceClassification", max_position_embeddings=30)
    edit_config(folder, architectures=["PerceiverModel"])
    message = fails(capsys, "predict", PHOTO, "--model", folder)
    assert "TFPerceiverModel has no task: expected a checkpoint that was made for one" in message
    edit_config(folder, architectures=["PerceiverForMaskedLM"])
    message = fails(capsys, "predict", "--text", TEXT, "--model", folder)
    assert "they keep their random initial values" in message  # warnings are errors here
