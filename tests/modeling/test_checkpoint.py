"""Checkpoints in and out, through the public classes: what works and what is refused."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

import tfzoo
from tests.models.timesformer.cases import CASES
from tests.support.cases import Case
from tests.support.compare import assert_same
from tfzoo.core.config import ConfigError
from tfzoo.modeling.base import parse_size
from weights_convert.checkpoint import open_checkpoint, write_checkpoint
from weights_convert.errors import CheckpointError, WeightMismatchError

CASE: Case = CASES[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of a checkpoint that may be damaged."""
    shutil.copytree(CASE.folder, tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


def rewrite(folder: Path, change: dict[str, np.ndarray | None]) -> None:
    """Write the checkpoint again with tensors replaced, added or (None) left out."""
    with open_checkpoint(folder) as tensors:
        arrays = {name: tensors.read(name) for name in tensors}
    arrays = {name: a for name, a in {**arrays, **change}.items() if a is not None}
    rows = [(name, "F32", a.shape, lambda a=a: a) for name, a in arrays.items()]
    write_checkpoint(folder, rows)


# ---- what is refused
def test_missing_unexpected_and_misshaped_are_listed_together(folder: Path) -> None:
    rewrite(
        folder,
        {
            "timesformer.layernorm.bias": None,
            "timesformer.nonsense.weight": np.zeros(3, "float32"),
            "timesformer.layernorm.weight": np.zeros(5, "float32"),
        },
    )
    with pytest.raises(WeightMismatchError) as caught:
        CASE.tf_class.from_pretrained(folder)
    assert caught.value.missing == ("timesformer.layernorm.bias",)
    assert caught.value.unexpected == ("timesformer.nonsense.weight",)
    message = str(caught.value)
    for part in ("layernorm.bias", "nonsense.weight", "expected (16)", "found (5)"):
        assert part in message


def test_head_that_is_partly_there_is_refused(folder: Path) -> None:
    rewrite(folder, {"classifier.bias": None})
    with pytest.raises(WeightMismatchError, match=r"classifier\.bias"):
        CASE.tf_class.from_pretrained(folder)


def test_another_family_is_refused(folder: Path) -> None:
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, "model_type": "vit"}))
    with pytest.raises(ConfigError, match="needs model_type 'timesformer', got 'vit'"):
        CASE.tf_class.from_pretrained(folder)
    with pytest.raises(ConfigError, match="Unknown model_type 'vit'"):
        tfzoo.TFAutoModel.from_pretrained(folder)


@pytest.mark.parametrize("keep", [0, 7, 8, 300, -1])
def test_truncated_files_are_refused(folder: Path, keep: int) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        CASE.tf_class.from_pretrained(folder)


def test_missing_files_are_named(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(tfzoo.HubError, match=r"model\.safetensors"):
        CASE.tf_class.from_pretrained(folder)
    with pytest.raises(tfzoo.HubError, match=r"config\.json"):
        CASE.tf_class.from_pretrained(tmp_path)


def test_offline_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TFZOO_OFFLINE", "1")
    with pytest.raises(tfzoo.HubError, match="facebook/timesformer-base-finetuned-k400"):
        CASE.tf_class.from_pretrained(
            "facebook/timesformer-base-finetuned-k400", cache_dir=tmp_path
        )


def test_config_and_overrides_exclude_each_other(folder: Path) -> None:
    config = tfzoo.AutoConfig.from_pretrained(folder)
    with pytest.raises(TypeError, match="either config= or fields"):
        CASE.tf_class.from_pretrained(folder, config=config, num_labels=3)


def test_mistyped_keywords_are_refused(folder: Path) -> None:
    with pytest.raises(TypeError, match="num_label.*num_labels"):
        CASE.tf_class.from_pretrained(folder, num_label=3)


@pytest.mark.parametrize("target", ["file/inside", "file"])
def test_unwritable_targets(target: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        CASE.load().save_pretrained(tmp_path / target)
    assert (tmp_path / "file").read_text() == "in the way"


def test_exports_replace_exports_only(tmp_path: Path) -> None:
    model = CASE.load()
    model.export(tmp_path / "deep" / "1", verbose=False)
    fixed = keras.InputSpec(shape=(None, 4, 3, 12, 12), dtype="float32", name="pixel_values")
    signature = [{"pixel_values": fixed}]
    model.export(tmp_path / "deep" / "1", verbose=False, input_signature=signature)
    with pytest.raises(TypeError, match="takes no nonsense"):
        model.export(tmp_path / "deep" / "1", nonsense=1)
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").write_text("in the way")
    for name in ("file", "folder"):
        with pytest.raises(FileExistsError, match="is not a SavedModel"):
            model.export(tmp_path / name)
    with pytest.raises(OSError, match="cannot be written to"):
        model.export(tmp_path / "file" / "inside", verbose=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["deep", "file", "folder"]
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["1"]


def test_broken_writes_leave_the_old_checkpoint(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fail(*_: object) -> None:
        raise OSError("disk full")

    model = CASE.load()
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        model.save_pretrained(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


# ---- what works
def test_shards_go_out_and_in(tmp_path: Path) -> None:
    model = CASE.load()
    model.save_pretrained(tmp_path, max_shard_size="10KB")
    shards = sorted(path.name for path in tmp_path.glob("model-*.safetensors"))
    assert len(shards) > 2
    again = CASE.tf_class.from_pretrained(tmp_path)
    inputs = CASE.make_inputs()
    assert_same(again(inputs), {k: np.asarray(v) for k, v in model(inputs).items()}, bound=0)
    with open_checkpoint(tmp_path) as tensors:
        assert len(tensors) == len(model.weights)


def test_a_file_is_as_good_as_its_folder(folder: Path) -> None:
    model = CASE.tf_class.from_pretrained(folder / "model.safetensors")
    expected = CASE.recorded("outputs")["logits"]
    assert_same(model(CASE.make_inputs()).logits, {"": expected})


def test_a_config_may_be_given(folder: Path) -> None:
    config = tfzoo.AutoConfig.from_pretrained(folder)
    (folder / "config.json").unlink()
    assert CASE.tf_class.from_pretrained(folder, config=config).config is config


def test_half_precision_checkpoints_keep_their_bits(tmp_path: Path) -> None:
    half = CASE.load(dtype="bfloat16")
    half.save_pretrained(tmp_path)
    with open_checkpoint(tmp_path) as tensors:
        assert {tensors[name].dtype for name in tensors} == {"BF16"}
    assert tfzoo.AutoConfig.from_pretrained(tmp_path).torch_dtype == "bfloat16"
    again = CASE.tf_class.from_pretrained(tmp_path)  # float32, as is the default
    for one, two in zip(half.weights, again.weights, strict=True):
        np.testing.assert_array_equal(keras.ops.cast(one, "float32"), two)


def test_loading_computes_no_random_values(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a random value was computed")

    monkeypatch.setattr(keras.initializers.TruncatedNormal, "__call__", fail)
    with pytest.raises(AssertionError, match="a random value"):
        CASE.tf_class(tfzoo.AutoConfig.from_pretrained(CASE.folder))
    CASE.load()


def test_h5_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    """Keras itself reads three layers into two without a word."""
    config = {**CASE.config, "num_hidden_layers": 3, "hidden_dropout_prob": 0.1}
    deep = CASE.tf_class(tfzoo.TimesformerConfig(**config))
    deep.compile("adam", loss="mse", metrics=["accuracy"])
    deep.save_weights(tmp_path / "deep.weights.h5")
    with pytest.raises(WeightMismatchError, match=r"is not of a TFTimesformerForVideoClass"):
        CASE.load().load_weights(tmp_path / "deep.weights.h5")
    again = CASE.tf_class(deep.config)
    again.load_weights(tmp_path / "deep.weights.h5")
    for one, two in zip(deep.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one, two)


def test_sizes_in_words() -> None:
    assert parse_size("5GB") == 5 * 10**9
    assert parse_size("1.5KiB") == 1536
    assert parse_size(1000) == parse_size("1000") == 1000
    for bad in ("much", "-1GB", 0, "GB"):
        with pytest.raises(ValueError, match="must look like '5GB'"):
            parse_size(bad)


def test_classes_of_users_keep_their_family(tmp_path: Path) -> None:
    class Mine(tfzoo.TFTimesformerForVideoClassification):
        """A user's own class."""

    model = Mine.from_pretrained(CASE.folder)
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == ["TimesformerForVideoClassification"]
    expected = {"": CASE.recorded("outputs")["logits"]}
    assert_same(CASE.tf_class.from_pretrained(tmp_path)(CASE.make_inputs()).logits, expected)


# ---- auto classes
def test_auto_classes_resolve(folder: Path) -> None:
    assert type(tfzoo.AutoConfig.from_pretrained(folder)) is tfzoo.TimesformerConfig
    assert type(tfzoo.AutoConfig.for_model("timesformer", num_frames=3)).model_type
    bare = tfzoo.TFAutoModel.from_pretrained(folder)
    assert type(bare) is tfzoo.TFTimesformerModel
    video = tfzoo.TFAutoModelForVideoClassification.from_pretrained(folder, num_labels=3)
    assert type(video) is tfzoo.TFTimesformerForVideoClassification
    fresh = tfzoo.TFAutoModelForVideoClassification.from_config(video.config)
    assert fresh.count_params() == video.count_params()
    with pytest.raises(TypeError, match=r"use TFAutoModel.from_pretrained"):
        tfzoo.TFAutoModel()


def test_auto_image_processor(folder: Path) -> None:
    with pytest.raises(tfzoo.HubError, match=r"preprocessor_config\.json"):
        tfzoo.AutoImageProcessor.from_pretrained(folder)
    settings: dict = {"size": 32, "image_mean": [0.1, 0.2, 0.3]}
    names = (None, "VideoMAEImageProcessor", "VideoMAEFeatureExtractor")
    for name in names:
        named = {**settings, "image_processor_type": name} if name else settings
        (folder / "preprocessor_config.json").write_text(json.dumps(named))
        for auto in (tfzoo.AutoImageProcessor, tfzoo.AutoProcessor):
            processor = auto.from_pretrained(folder)
            assert type(processor) is tfzoo.VideoMAEImageProcessor
            assert processor.image_mean == [0.1, 0.2, 0.3]
            assert processor.size == {"shortest_edge": 32}
    (folder / "preprocessor_config.json").write_text("{}")
    (folder / "config.json").write_text('{"model_type": "videomae"}')  # whose models we lack
    processor = tfzoo.AutoImageProcessor.from_pretrained(folder)
    assert type(processor) is tfzoo.VideoMAEImageProcessor
    (folder / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(ConfigError, match="no class for model_type 'vit'"):
        tfzoo.AutoImageProcessor.from_pretrained(folder)
    (folder / "preprocessor_config.json").write_text('{"image_processor_type": "Nonsense"}')
    with pytest.raises(ConfigError, match="is for Nonsense, which tfzoo lacks"):
        tfzoo.AutoImageProcessor.from_pretrained(folder)


def test_keras_files_of_others_are_refused(tmp_path: Path) -> None:
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    other.save(tmp_path / "other.keras")
    with pytest.raises(ConfigError, match="holds a Sequential, which is not a class of tfzoo"):
        tfzoo.load_model(tmp_path / "other.keras")
    (tmp_path / "text.keras").write_text("text")
    with pytest.raises(ConfigError, match="is not a .keras file"):
        tfzoo.load_model(tmp_path / "text.keras")
    with pytest.raises(FileNotFoundError):
        tfzoo.load_model(tmp_path / "none.keras")
