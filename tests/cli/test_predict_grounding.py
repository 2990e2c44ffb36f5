"""`tfzoo predict` with the checkpoint of a video-grounding model."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tfzoo
from tests.cli.helpers import PHOTO, VIDEO, edit_config, fails, run_json
from tests.io.synthetic import make_video
from tests.support.owlv2_checkpoint import write_owlv2_checkpoint
from tests.support.paths import FIXTURES
from tests.support.tvp_checkpoint import write_tvp_checkpoint
from tfzoo.cli.__main__ import main
from tfzoo.io import video_reader
from tfzoo.viz import draw_timeline

NASA = FIXTURES / "videos/nasa_13013.mp4"
QUERIES = ("a person is sitting on a bed", "the dog runs", "a rocket")
ASKED = [part for query in QUERIES for part in ("--query", query)]


@pytest.fixture(scope="module")
def tvp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grounding model, with its processor."""
    return write_tvp_checkpoint(tmp_path_factory.mktemp("tvp") / "checkpoint")


@pytest.fixture
def spoilt(tvp: Path, tmp_path: Path) -> Path:
    """The same checkpoint, to be spoilt."""
    return Path(shutil.copytree(tvp, tmp_path / "spoilt"))


def moments(folder: Path, video: Path, query: str) -> tuple[float, float]:
    """What the documented calls give for one sentence."""
    processor = tfzoo.TvpProcessor.from_pretrained(folder)
    model = tfzoo.TFTvpForVideoGrounding.from_pretrained(folder)
    clip = tfzoo.read_video(video, num_frames=model.config.num_frames)
    inputs = processor(text=[query], videos=clip.frames, return_tensors="tf", max_text_length=20)
    return processor.post_process_video_grounding(model(**inputs).logits, clip.duration)


@pytest.mark.parametrize("video", [VIDEO, NASA], ids=["bunny", "nasa"])
def test_moments_are_those_of_the_library(
    video: Path, tvp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run_json(capsys, "predict", video, "--model", tvp, *ASKED)
    clip = tfzoo.read_video(video, num_frames=4)
    assert [row["query"] for row in result["moments"]] == list(QUERIES)
    found = [(row["start"], row["end"]) for row in result["moments"]]
    for span, query in zip(found, QUERIES, strict=True):
        assert span == pytest.approx(moments(tvp, video, query), abs=0.11), "rounded to tenths"
        assert all(0 <= time <= clip.duration for time in span)
    assert len(set(found)) > 1, "answers depend on the query"
    assert result["frames"] == clip.indices.tolist()
    assert result["duration"] == clip.duration
    assert (result["file"], result["model"]) == (str(video), str(tvp))
    assert sorted(result["seconds"]) == ["loading", "prediction"]
    assert "picture" not in result


def test_several_queries_are_as_separate_calls_and_encode_once(
    tvp: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = []
    original = tfzoo.TFTvpForVideoGrounding.encode_video

    def counting(self: object, *args: object, **kwargs: object) -> object:
        encoded.append(args)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(tfzoo.TFTvpForVideoGrounding, "encode_video", counting)
    args = ("predict", NASA, "--model", tvp)
    together = run_json(capsys, *args, *ASKED)["moments"]
    assert len(encoded) == 1
    alone = [run_json(capsys, *args, "--query", query)["moments"][0] for query in QUERIES]
    for one, other in zip(together, alone, strict=True):
        assert one["query"] == other["query"]
        for end in ("start", "end"):
            assert one[end] == pytest.approx(other[end], abs=0.11)


def test_moments_as_text(tvp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ["predict", NASA, "--model", tvp, *ASKED]
    result = run_json(capsys, *args)
    assert main([*map(str, args)]) == 0
    captured = capsys.readouterr()
    title, *lines, frames, seconds = captured.out.splitlines()
    assert title == f"{NASA} ({tvp})"
    for number, (line, row) in enumerate(zip(lines, result["moments"], strict=True), 1):
        assert line.split(maxsplit=6) == [
            str(number), f"{row['start']:.1f}", "s", "to", f"{row['end']:.1f}", "s", row["query"],
        ]  # fmt: skip
    assert frames == "of 13.0 s, frames " + " ".join(map(str, result["frames"]))
    assert seconds.startswith("loading ")
    assert captured.err == ""


# Frames


def test_long_videos_are_not_decoded_whole(
    tvp: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    video = make_video(tmp_path / "long.mp4", 600, gop=10, b_frames=0)
    decoded = []
    original = video_reader._decode

    def counting(*args: object) -> object:
        for frame in original(*args):
            decoded.append(frame.pts)
            yield frame

    monkeypatch.setattr(video_reader, "_decode", counting)
    result = run_json(capsys, "predict", video, "--model", tvp, "--query", "the dog runs")
    assert result["frames"] == [0, 200, 399, 599]
    assert result["duration"] == pytest.approx(24.0)
    assert len(decoded) <= 4 * 10


def test_short_videos_have_frames_repeated(
    tvp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = make_video(tmp_path / "short.mp4", 2)
    args = ("--model", tvp, "--query", "the dog runs")
    assert run_json(capsys, "predict", video, *args)["frames"] == [0, 0, 1, 1]
    still = make_video(tmp_path / "still.mp4", 1)
    message = fails(capsys, "predict", still, *args)
    assert "still.mp4: The video has 1 frames; 4 frames by 'spread' sampling need at least 2" in (
        message
    )


def test_number_of_frames(tvp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ("predict", NASA, "--query", "the dog runs", "--num-frames", "6")
    message = fails(capsys, *args, "--model", tvp)
    assert "6" in message
    assert "4" in message
    free = write_tvp_checkpoint(tmp_path / "free", num_frames=1)
    assert len(run_json(capsys, *args, "--model", free)["frames"]) == 6
    assert run_json(capsys, *args[:-2], "--model", free)["frames"] == [0, 324]


# Pictures


@pytest.mark.parametrize("name", ["out.png", "new/OUT.PNG", "out.jpg"])
def test_draw(name: str, tvp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / name
    result = run_json(capsys, "predict", NASA, "--model", tvp, *ASKED, "--draw", picture)
    assert result["picture"] == str(picture)
    spans = [(row["start"], row["end"]) for row in result["moments"]]
    clip = tfzoo.read_video(NASA, indices=result["frames"])
    times = np.array(result["frames"]) * (result["duration"] / clip.total_frames)
    drawn = draw_timeline(clip.frames, spans, result["duration"], QUERIES, times=times)
    written = tfzoo.read_image(picture)
    assert written.shape[1::-1] == drawn.size
    error = np.abs(np.asarray(drawn).astype(int) - written).mean()
    assert error <= (4 if picture.suffix == ".jpg" else 0), "JPEG is not exact"
    assert list(picture.parent.iterdir()) == [picture]
    assert main(["predict", str(NASA), "--model", str(tvp), *ASKED, "--draw", str(picture)]) == 0
    assert f"picture {picture}" in capsys.readouterr().out.splitlines()


def test_draw_refuses_what_it_cannot_write(
    tvp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ("predict", NASA, "--model", tvp, *ASKED, "--draw")
    assert "cannot write .mp4" in fails(capsys, *args, tmp_path / "out.mp4", code=2)
    assert list(tmp_path.iterdir()) == []


# Options and files that do not fit


@pytest.mark.parametrize(
    "option", [("--labels", "cat"), ("--threshold", "0.5"), ("--top-k", "3")], ids=str
)
def test_options_of_other_models(
    option: tuple[str, str], tvp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = fails(capsys, "predict", NASA, "--model", tvp, *ASKED, *option, code=2)
    assert f"error: {option[0]} is for models that " in message
    assert f"and {tvp} is a TvpForVideoGrounding" in message


def test_queries_are_needed(tvp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = fails(capsys, "predict", NASA, "--model", tvp, code=2)
    assert f"{tvp} finds when in a video something happens: give it videos" in message
    assert "and --query" in message


def test_queries_that_cannot_be_meant(tvp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ("predict", NASA, "--model", tvp, "--query", "the dog runs", "--query")
    assert "'the dog runs' is given twice" in fails(capsys, *args, "the dog runs", code=2)
    assert "--query: text 2 is empty" in fails(capsys, *args, " ", code=2)
    message = fails(capsys, *args, "a dog " * 10)
    assert "text: sentence 1 has 22 tokens, max_text_length is 20: 'a dog" in message


def test_the_checkpoints_own_limit_of_texts(
    spoilt: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit_config(spoilt, max_text_length=5)
    args = ("predict", NASA, "--model", spoilt, "--query")
    assert "has 6 tokens, max_text_length is 5" in fails(capsys, *args, "the dog is a")
    assert run_json(capsys, *args, "the dog is")["moments"][0]["query"] == "the dog is"
    longer = run_json(capsys, *args, "the dog is a", "--max-text-length", "6")
    assert longer["moments"][0]["query"] == "the dog is a"


def test_other_models_take_no_queries(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "--query is for models that find moments in videos"
    message = fails(capsys, "predict", VIDEO, "--model", tiny, "--query", "a cat", code=2)
    assert f"{words}, and {tiny} is a TimesformerForVideoClassification" in message
    owl = write_owlv2_checkpoint(tmp_path / "owl")
    args = ("predict", PHOTO, "--model", owl, "--labels", "cat", "--query", "a cat")
    assert words in fails(capsys, *args, code=2)


def test_videos_are_needed(tvp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ("--model", tvp, "--query", "a cat")
    assert f"and --query. {PHOTO}: expected" in fails(capsys, "predict", PHOTO, *args, code=2)
    Image.new("RGB", (8, 8)).save(tmp_path / "0.png")
    message = fails(capsys, "predict", tmp_path, *args, code=2)
    assert f"of a folder have no times) and --query. {tmp_path / '0.png'}: expected" in message
    text = tmp_path / "notes.txt"
    text.write_text("no video")
    assert "notes.txt: expected a video" in fails(capsys, "predict", text, *args, code=2)
    assert "no such file" in fails(capsys, "predict", tmp_path / "none.mp4", *args)


# Checkpoints that do not fit


def test_incomplete_checkpoints(spoilt: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ("predict", NASA, "--model", spoilt, *ASKED)
    edit_config(spoilt, architectures=["TvpModel"])
    assert "is a TvpModel, and only a TvpForVideoGrounding finds" in fails(capsys, *args)
    edit_config(spoilt, architectures=["TvpForVideoGrounding"])
    (spoilt / "preprocessor_config.json").unlink()
    assert "preprocessor_config.json" in fails(capsys, *args)


def test_damaged_weights(tvp: Path, spoilt: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tfzoo.TFTvpForVideoGrounding.from_pretrained(tvp)
    weights = model.video_grounding_head.weights
    weights[-1].assign(np.full(weights[-1].shape, np.nan))
    model.save_pretrained(spoilt)
    message = fails(capsys, "predict", NASA, "--model", spoilt, *ASKED)
    assert "outputs are not finite" in message
