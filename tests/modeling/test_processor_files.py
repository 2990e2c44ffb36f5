"""What lies beside a checkpoint goes along with its model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import tfzoo
from tests.models.timesformer.cases import CASES as TIMESFORMER
from tests.support.owlv2_checkpoint import write_owlv2_checkpoint
from tfzoo.modeling.processor_files import PROCESSOR_FILES

FILES = {
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_owlv2_checkpoint(tmp_path_factory.mktemp("owlv2"))


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name in PROCESSOR_FILES}


def test_processors_go_along(checkpoint: Path, tmp_path: Path) -> None:
    model = tfzoo.TFOwlv2ForObjectDetection.from_pretrained(checkpoint)
    (checkpoint / "notes.txt").write_text("mine")  # nobody asked for these
    model.save_pretrained(tmp_path)
    assert set(contents(tmp_path)) == FILES
    assert contents(tmp_path) == contents(checkpoint)
    assert not (tmp_path / "notes.txt").exists()
    again = tfzoo.AutoProcessor.from_pretrained(tmp_path)
    assert type(again).__name__ == "Owlv2Processor"
    tfzoo.TFOwlv2ForObjectDetection.from_pretrained(tmp_path).save_pretrained(tmp_path / "next")
    assert contents(tmp_path / "next") == contents(checkpoint)


def test_files_that_are_there_stay(checkpoint: Path, tmp_path: Path) -> None:
    """The image processor's and the tokenizer's, each as a whole."""
    model = tfzoo.TFOwlv2ForObjectDetection.from_pretrained(checkpoint)
    newer = tfzoo.Owlv2ImageProcessor(size={"height": 64, "width": 64})
    newer.save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_text("another tokenizer's")
    before = contents(tmp_path)
    model.save_pretrained(tmp_path)
    assert contents(tmp_path) == before
    (tmp_path / "vocab.txt").unlink()
    model.save_pretrained(tmp_path)
    assert set(contents(tmp_path)) == FILES
    assert tfzoo.AutoImageProcessor.from_pretrained(tmp_path).size["height"] == 64


def test_models_are_saved_back(checkpoint: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(checkpoint, tmp_path / "same")
    before = contents(folder)
    model = tfzoo.TFOwlv2ForObjectDetection.from_pretrained(folder)
    model.save_pretrained(folder)
    assert contents(folder) == before
    shutil.rmtree(folder)  # what is gone is left out
    model.save_pretrained(tmp_path / "after")
    assert contents(tmp_path / "after") == {}


def test_models_without_a_source_have_no_processor(tmp_path: Path) -> None:
    case = TIMESFORMER[0]
    case.tf_class(case.tf_class.config_class(**case.config)).save_pretrained(tmp_path / "fresh")
    case.load().save_pretrained(tmp_path / "bare")
    for name in ("fresh", "bare"):
        files = {path.name for path in (tmp_path / name).iterdir()}
        assert files == {"config.json", "model.safetensors"}


def test_the_cache_of_the_hub_has_the_files(checkpoint: Path, tmp_path: Path) -> None:
    """Those that were fetched before the model is saved, of the same commit; links are followed."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "cache" / "models--org--shapes"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    snapshot = repository / "snapshots" / commit / "best"
    shutil.copytree(checkpoint, repository / "blobs")
    snapshot.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (snapshot / name).symlink_to(repository / "blobs" / name)
    where = {"cache_dir": tmp_path / "cache", "local_files_only": True, "subfolder": "best"}
    model = tfzoo.TFAutoModelForZeroShotObjectDetection.from_pretrained("org/shapes", **where)
    for path in (repository / "blobs").iterdir():
        if path.name in FILES:  # as AutoProcessor leaves them
            (snapshot / path.name).symlink_to(path)
    model.save_pretrained(tmp_path / "out")
    assert contents(tmp_path / "out") == contents(checkpoint)
    assert not any(path.is_symlink() for path in (tmp_path / "out").iterdir())


def test_several_parts_are_saved_together(checkpoint: Path, tmp_path: Path) -> None:
    """What a block under way has written counts as what is there."""
    from tfzoo.core.replacing import updating

    model = tfzoo.TFOwlv2ForObjectDetection.from_pretrained(checkpoint)
    with updating(tmp_path / "all") as folder:
        tfzoo.Owlv2ImageProcessor(do_pad=False).save_pretrained(folder)
        model.save_pretrained(folder)
    saved = json.loads((tmp_path / "all" / "preprocessor_config.json").read_text())
    assert saved["do_pad"] is False
    assert (tmp_path / "all" / "tokenizer.json").is_file()
