"""docs/data.md: what it shows runs as it stands there, on small files and checkpoints."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import keras
import pytest

import tfzoo
import tfzoo.data
from tests.io.synthetic import make_video
from tests.models.timesformer.cases import TINY
from tests.support.lxmert_checkpoint import write_lxmert_checkpoint, write_regions
from tests.support.owlv2_checkpoint import write_owlv2_checkpoint
from tests.support.paths import FIXTURES, ROOT
from tests.support.tvp_checkpoint import write_tvp_checkpoint

TEXT = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
CODES = [block.split("```")[0] for block in TEXT.split("```python\n")[1:]]


def write_timesformer_checkpoint(folder: Path) -> Path:
    keras.utils.set_random_seed(0)
    config = tfzoo.TimesformerConfig(**{**TINY, "num_frames": 8})
    tfzoo.TFTimesformerForVideoClassification(config).save_pretrained(folder)
    tfzoo.VideoMAEImageProcessor(size=12, crop_size=12).save_pretrained(folder)
    return folder


CHECKPOINTS = {
    "facebook/timesformer-base-finetuned-k400": write_timesformer_checkpoint,
    "google/owlv2-base-patch16-ensemble": write_owlv2_checkpoint,
    "Intel/tvp-base": write_tvp_checkpoint,
    "unc-nlp/lxmert-vqa-uncased": write_lxmert_checkpoint,
}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all files that the page speaks of."""
    monkeypatch.chdir(tmp_path)
    for label in ("landing", "launch"):
        Path("videos", label).mkdir(parents=True)
        for number in range(4):
            make_video(Path("videos", label, f"{number}.mp4"), 40)
    Path("photos").mkdir()
    shutil.copy(FIXTURES / "photos" / "coffee.jpg", "photos/1.jpg")
    photo = {"id": 1, "file_name": "1.jpg", "width": 320, "height": 213}
    cup = {"image_id": 1, "category_id": 1, "bbox": [96, 48, 128, 96]}
    names = [{"id": 1, "name": "cup"}, {"id": 2, "name": "cat"}]
    boxes = {"images": [photo], "annotations": [cup], "categories": names}
    Path("boxes.json").write_text(json.dumps(boxes))
    Path("Charades_v1").mkdir()
    make_video(Path("Charades_v1", "AO8RW.mp4"), 50)
    Path("charades_sta_train.txt").write_text("AO8RW 0.5 6.9##a person is sitting on the bed.\n")
    write_regions(Path("train2014_obj36.tsv"), "COCO_1")
    asked = [{"img_id": "COCO_1", "sent": "Is it lunch time?", "label": {"yes": 1.0}}]
    Path("train.json").write_text(json.dumps(asked))
    return tmp_path


@pytest.mark.filterwarnings(
    "ignore:.*has no weights for timesformer|.*has no weights for classifier"
)
@pytest.mark.parametrize("code", CODES, ids=["videos", "boxes", "moments", "questions"])
@pytest.mark.usefixtures("without_xla")
@pytest.mark.slow
def test_the_examples_train(code: str, files: Path) -> None:
    (name,) = (name for name in CHECKPOINTS if name in code)
    small = CHECKPOINTS[name](files / "checkpoint")
    scope: dict = {}
    exec(compile(code.replace(name, str(small)), "docs/data.md", "exec"), scope)
    assert int(scope["model"].optimizer.iterations) > 0


def test_every_function_has_its_row() -> None:
    for name in tfzoo.data.__all__:
        assert name in TEXT, name
