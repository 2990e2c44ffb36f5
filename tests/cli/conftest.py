"""Checkpoints for the tests of the command."""

from __future__ import annotations

import shutil
from pathlib import Path

import keras
import pytest

import tfzoo
from tests.cli.helpers import (
    TINY,
)


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
