"""The documented photos and videos: from the hub's data sets, from a file, or asked for."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import tfzoo
from tests.support.published_checkpoints import PHOTO
from tfzoo.hub import HubError, HubOptions, resolve
from tfzoo.modeling.expected_inputs import INPUTS, InputMissingError, fetch

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """The hub's cache with the photo in it, as its client leaves it behind."""
    wanted = INPUTS["cats"]
    repository = tmp_path / f"datasets--{wanted.repository.replace('/', '--')}"
    place = repository / "snapshots" / COMMIT / wanted.filename
    place.parent.mkdir(parents=True)
    shutil.copy(PHOTO, place)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    return tmp_path


def test_data_sets_are_not_models(cache: Path) -> None:
    options = HubOptions(cache_dir=cache, local_files_only=True)
    np.testing.assert_array_equal(fetch("cats", None, options), tfzoo.read_image(PHOTO))
    wanted = INPUTS["cats"]
    folder = resolve(wanted.repository, wanted.filename, options, kind="dataset")
    assert folder.name == COMMIT
    with pytest.raises(HubError, match="forbids the download"):
        resolve(wanted.repository, wanted.filename, options)


def test_files_of_the_user(tmp_path: Path) -> None:
    frames = np.zeros((2, 4, 5, 3), np.uint8)
    np.save(tmp_path / "frames.npy", frames)
    np.testing.assert_array_equal(fetch("spaghetti", tmp_path / "frames.npy"), frames)
    np.save(tmp_path / "wrong.npy", frames[0].astype("float32"))
    with pytest.raises(ValueError, match=r"expected frames .*uint8, got float32 of shape \(4, 5"):
        fetch("spaghetti8", tmp_path / "wrong.npy")
    np.save(tmp_path / "objects.npy", np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle"):
        fetch("spaghetti", tmp_path / "objects.npy")


def test_what_no_data_set_has_is_asked_for() -> None:
    with pytest.raises(InputMissingError, match="--input sintel=FILE"):
        fetch("sintel", None)
