"""Checkpoints in and out, through the public classes: what works and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

import tfzoo
from tests.models.timesformer.cases import CASES
from tests.support.cases import Case
from tests.support.compare import assert_same
from tests.support.xclip_checkpoint import write_xclip_checkpoint
from tfzoo.core.config import ConfigError
from tfzoo.modeling.checkpoint import parse_size
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


# ---- what changes while it is read
@pytest.fixture
def relabelled(folder: Path) -> Any:
    """Replaces the checkpoint by another, of other labels and weights."""
    model = CASE.tf_class.from_pretrained(folder)

    def replace(name: str, **how: Any) -> None:
        model.config.id2label = dict.fromkeys(model.config.id2label, name)
        model.config.label2id = {name: 0}
        for variable in model.weights:
            variable.assign(keras.ops.full(variable.shape, len(name)))
        model.save_pretrained(folder, **how)

    return replace


@pytest.mark.parametrize("how", [{}, {"max_shard_size": "20KB"}])
def test_a_checkpoint_that_is_replaced_is_read_again(
    folder: Path, relabelled: Any, how: dict[str, Any]
) -> None:
    names = ["b", "cc", "cc"]  # the last one is the same but for its time

    class Reader(CASE.tf_class):
        @classmethod
        def warn_about(cls, config: Any, overrides: Any) -> None:
            if names:
                relabelled(names.pop(0), **how)

    model = Reader.from_pretrained(folder)
    label, values = model.config.id2label[0], np.unique([np.unique(w) for w in model.weights])
    assert values.tolist() == [len(label)]
    assert label == "cc"
    assert names == []


def test_weights_that_are_replaced_while_they_are_read(folder: Path, relabelled: Any) -> None:
    class Reader(CASE.tf_class):
        def __init__(self, *arguments: Any, **more: Any) -> None:
            super().__init__(*arguments, **more)
            tried.append(self)
            relabelled("d" * len(tried))

    tried: list[Any] = []
    with pytest.raises(CheckpointError, match="files were replaced 5 times while they were read"):
        Reader.from_pretrained(folder)
    assert len(tried) == 5


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


def test_sizes_that_fit_into_no_memory_are_compared_first(folder: Path) -> None:
    values = json.loads((folder / "config.json").read_text())
    for name in ("intermediate_size", "num_frames"):
        (folder / "config.json").write_text(json.dumps({**values, name: 2**31 - 1}))
        with pytest.raises(WeightMismatchError, match="2147483647"):
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


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5"])
def test_keras_files_are_replaced_if_the_user_agrees(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`test_kills` shows that they are replaced as a whole."""
    model, file = CASE.load(), tmp_path / name
    file.write_text("old")
    save = model.save if name == "m.keras" else model.save_weights
    monkeypatch.setattr("builtins.input", lambda _: "n")
    save(file, overwrite=False)
    assert file.read_text() == "old"
    monkeypatch.setattr("builtins.input", lambda _: "y")
    save(str(file), overwrite=False)
    assert len(file.read_bytes()) > 1000
    assert os.listdir(tmp_path) == [name]
    with pytest.raises(ValueError, match="extension|must end in"):
        save(tmp_path / "other.txt")
    assert os.listdir(tmp_path) == [name]


def test_callbacks_replace_keras_files_as_a_whole(tmp_path: Path) -> None:
    model, file, seen = CASE.load(), tmp_path / "m.keras", []
    file.write_text("old")
    save_state = keras.Model.save_own_variables

    def look(self: Any, store: Any) -> None:
        seen.append(file.read_text())
        save_state(self, store)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(model), "save_own_variables", look, raising=False)
        callback = keras.callbacks.ModelCheckpoint(file)
        callback.set_model(model)
        callback.on_epoch_begin(0)
        callback.on_epoch_end(0, {})
    assert seen == ["old"]
    assert os.listdir(tmp_path) == ["m.keras"]


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


def test_what_the_config_says_of_the_weights_is_so(folder: Path, tmp_path: Path) -> None:
    values = json.loads((folder / "config.json").read_text())
    stale = {"dtype": "bfloat16", "torch_dtype": "float16", "quantization_config": {"bits": 8}}
    (folder / "config.json").write_text(json.dumps({**values, **stale}))
    CASE.tf_class.from_pretrained(folder).save_pretrained(tmp_path / "again")
    saved = json.loads((tmp_path / "again" / "config.json").read_text())
    assert (saved["dtype"], saved["torch_dtype"]) == ("float32", "float32")
    assert "quantization_config" not in saved


def test_quantized_weights_are_refused(folder: Path) -> None:
    with open_checkpoint(folder) as tensors:
        arrays = {name: tensors.read(name) for name in tensors}
    name = "timesformer.layernorm.weight"
    arrays[name] = np.ones(arrays[name].shape, "int8")
    codes = {"float32": "F32", "int8": "I8"}
    rows = [(name, codes[a.dtype.name], a.shape, lambda a=a: a) for name, a in arrays.items()]
    write_checkpoint(folder, rows)
    with pytest.raises(CheckpointError, match="layernorm.weight' must be of dtype F64.*got I8"):
        CASE.tf_class.from_pretrained(folder)


def test_loading_computes_no_random_values(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a random value was computed")

    monkeypatch.setattr(keras.initializers.RandomNormal, "__call__", fail)
    with pytest.raises(AssertionError, match="a random value"):
        CASE.tf_class(tfzoo.AutoConfig.from_pretrained(CASE.folder))
    CASE.load()


@pytest.fixture(scope="module")
def deep() -> keras.Model:
    """A model of three layers, where the case has two."""
    config = {**CASE.config, "num_hidden_layers": 3, "hidden_dropout_prob": 0.1}
    model = CASE.tf_class(tfzoo.TimesformerConfig(**config))
    model.compile("adam", loss="mse", metrics=["accuracy"])
    return model


@pytest.mark.parametrize("ending", ["h5", "json"])
def test_keras_weights_of_another_model_are_refused(
    ending: str, deep: keras.Model, tmp_path: Path
) -> None:
    """Keras itself reads three layers into two without a word."""
    path = tmp_path / f"deep.weights.{ending}"
    deep.save_weights(path, max_shard_size=1e-5 if ending == "json" else None)
    assert len(list(tmp_path.iterdir())) > 1 or ending == "h5"
    with pytest.raises(WeightMismatchError, match=r"is not of a TFTimesformerForVideoClass"):
        CASE.load().load_weights(path)
    again = CASE.tf_class(deep.config)
    again.load_weights(path)
    for one, two in zip(deep.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one, two)


def test_shards_lie_beside_their_index(deep: keras.Model, tmp_path: Path) -> None:
    index = tmp_path / "deep.weights.json"
    names = ("../x.weights.h5", ["a", 5], "", ".")
    for places in (*({"/a/vars": name} for name in names), [1]):
        index.write_text(json.dumps({"weight_map": places}))
        with pytest.raises(CheckpointError, match="expected the names of files beside it"):
            deep.load_weights(index)
    index.write_text(json.dumps({"weight_map": {"/a/vars": "none.weights.h5"}}))
    with pytest.raises(FileNotFoundError):
        deep.load_weights(index)
    (tmp_path / "none.weights.h5").write_bytes(b"nonsense")
    with pytest.raises(CheckpointError, match=r"none\.weights\.h5 is damaged"):
        deep.load_weights(index)


def test_whatever_keras_meets_in_a_file_is_an_error_of_the_checkpoint(
    deep: keras.Model, tmp_path: Path
) -> None:
    index = tmp_path / "a.weights.json"
    deep.save_weights(index, max_shard_size=1e-5)
    values = json.loads(index.read_text())
    first, *_, last = values["weight_map"]
    for change in ({first: []}, {last: values["weight_map"][first]}):
        index.write_text(json.dumps({**values, "weight_map": {**values["weight_map"], **change}}))
        with pytest.raises(CheckpointError):
            deep.load_weights(index)
    with pytest.raises(CheckpointError, match="does not fit a TFTimesformerForVideoClass.*format"):
        deep.load_weights(tmp_path / "a.txt")


def test_a_keras_file_of_fewer_layers_than_weights_is_refused(
    deep: keras.Model, tmp_path: Path
) -> None:
    deep.save(tmp_path / "deep.keras")
    with zipfile.ZipFile(tmp_path / "deep.keras") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    values = json.loads(parts["config.json"])
    values["config"]["config"]["num_hidden_layers"] = 2
    with zipfile.ZipFile(tmp_path / "less.keras", "w") as archive:
        for name, content in {**parts, "config.json": json.dumps(values)}.items():
            archive.writestr(name, content)
    with pytest.raises(CheckpointError, match="is not of a TFTimesformerForVideoClassification"):
        tfzoo.load_model(tmp_path / "less.keras")
    with pytest.raises(ValueError, match="is not of a TFTimesformerForVideoClassification"):
        keras.models.load_model(tmp_path / "less.keras")
    with pytest.raises(ValueError, match="is not of a TFTimesformerForVideoClassification"):
        CASE.load().load_weights(tmp_path / "deep.keras")
    assert tfzoo.load_model(tmp_path / "deep.keras", compile=False).config == deep.config


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


def test_a_config_object_makes_a_model(folder: Path) -> None:
    config = tfzoo.AutoConfig.from_pretrained(folder)
    model = CASE.tf_class.from_config(config, dtype="mixed_bfloat16")
    assert model.config is config
    assert model.dtype_policy.name == "mixed_bfloat16"
    assert CASE.tf_class.from_config(config.to_dict()).config == config
    again = CASE.tf_class.from_config(model.get_config())
    assert again.config == config
    assert again.dtype_policy.name == "mixed_bfloat16"
    assert model.num_parameters() == model.count_params()
    assert model.num_parameters(only_trainable=True, exclude_embeddings=True) > 0


@pytest.mark.parametrize(
    ("given", "policy"),
    [
        ({"torch_dtype": "bfloat16"}, "bfloat16"),
        ({"torch_dtype": "torch.float16"}, "float16"),
        ({"torch_dtype": np.float16}, "float16"),
        ({"torch_dtype": "auto"}, "float16"),
        ({"dtype": "auto"}, "float16"),
        ({"dtype": np.dtype("float32"), "torch_dtype": "float16"}, "float32"),
        ({"dtype": keras.DTypePolicy("mixed_float16")}, "mixed_float16"),
        ({"torch_dtype": None}, "float32"),
    ],
    ids=str,
)
def test_dtypes_have_many_names(given: dict[str, Any], policy: str, folder: Path) -> None:
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, "dtype": "float16"}))
    for load in (CASE.tf_class, tfzoo.TFAutoModelForVideoClassification):
        assert load.from_pretrained(folder, **given).dtype_policy.name == policy


def test_everything_loads_from_a_subfolder(tmp_path: Path) -> None:
    write_xclip_checkpoint(tmp_path / "runs" / "best")
    where = {"subfolder": "runs/best"}
    model = tfzoo.TFAutoModel.from_pretrained(tmp_path, **where)
    assert type(model) is tfzoo.TFXCLIPModel
    for auto in (tfzoo.AutoConfig, tfzoo.AutoProcessor, tfzoo.AutoTokenizer, tfzoo.XCLIPProcessor):
        assert auto.from_pretrained(str(tmp_path), **where) is not None
    images = tfzoo.AutoImageProcessor.from_pretrained(tmp_path, **where)
    assert type(images) is tfzoo.VideoMAEImageProcessor
    assert len(tfzoo.CLIPTokenizer.from_pretrained(tmp_path, **where)) == 199
    assert len(model.tokenizer_for()) == 199
    with pytest.raises(tfzoo.HubError, match="lacks config.json"):
        tfzoo.TFAutoModel.from_pretrained(tmp_path)


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


@pytest.mark.parametrize(
    ("auto", "file", "key"),
    [
        (tfzoo.AutoTokenizer, "tokenizer_config.json", "tokenizer_class"),
        (tfzoo.AutoImageProcessor, "preprocessor_config.json", "image_processor_type"),
        (tfzoo.AutoProcessor, "processor_config.json", "processor_class"),
    ],
)
def test_auto_classes_return_nothing_of_another_kind(
    auto: type, file: str, key: str, folder: Path
) -> None:
    """A checkpoint's files may name any class, and some of them of another kind."""
    (folder / "config.json").write_text('{"model_type": "vit"}')
    kinds = ["XCLIPProcessor", "CLIPTokenizerFast", "VideoMAEImageProcessor", "TimesformerConfig"]
    wrong = [name for name in kinds if auto.__name__.removeprefix("Auto") not in name]
    assert wrong != kinds
    for name in wrong:
        (folder / file).write_text(json.dumps({key: name}))
        with pytest.raises((ConfigError, tfzoo.HubError)):
            auto.from_pretrained(folder)
    (folder / file).write_text(json.dumps({key: ["XCLIPProcessor"]}))
    with pytest.raises(ValueError, match=r"got \['XCLIPProcessor'\]"):
        auto.from_pretrained(folder)


def test_damaged_keras_files_are_refused(deep: keras.Model, tmp_path: Path) -> None:
    deep.save(tmp_path / "a.keras")
    content = (tmp_path / "a.keras").read_bytes()
    for spoilt in (content[:-200], content[:300], b"PK\3\4" + content[4:60]):
        (tmp_path / "b.keras").write_bytes(spoilt)
        with pytest.raises((ConfigError, CheckpointError)):
            tfzoo.load_model(tmp_path / "b.keras")
    bare = '{"class_name": "TFLxmertModel"}'
    for config in ("[" * 10**5, "[]", "{}", '{"class_name": []}', bare):
        with zipfile.ZipFile(tmp_path / "c.keras", "w") as archive:
            archive.writestr("config.json", config)
        with pytest.raises((ConfigError, CheckpointError)):
            tfzoo.load_model(tmp_path / "c.keras")


def test_keras_files_are_checkpoints(tmp_path: Path) -> None:
    model, inputs, file = CASE.load(), CASE.make_inputs(), tmp_path / "m.keras"
    model.save(file)
    shutil.copy(tfzoo.default_checkpoint() / "preprocessor_config.json", tmp_path)
    expected = np.asarray(model(inputs).logits)
    for cls in (CASE.tf_class, tfzoo.TFAutoModelForVideoClassification):
        again = cls.from_pretrained(file)
        np.testing.assert_array_equal(np.asarray(again(inputs).logits), expected)
        again.save_pretrained(tmp_path / "folder")
        assert (tmp_path / "folder" / "preprocessor_config.json").is_file()
    config = tfzoo.AutoConfig.from_pretrained(file, drop_path_rate=0.5)
    assert config.architectures == ["TimesformerForVideoClassification"]
    assert (config.hidden_size, config.drop_path_rate) == (model.config.hidden_size, 0.5)
    assert type(tfzoo.AutoImageProcessor.from_pretrained(file)) is tfzoo.VideoMAEImageProcessor
    with pytest.raises(ConfigError, match="holds a TFTimesformerFor.*, not a TFTimesformerModel"):
        tfzoo.TFTimesformerModel.from_pretrained(file)
    with pytest.raises(TypeError, match=r"a whole model, for which dtype, num_labels cannot be"):
        CASE.tf_class.from_pretrained(file, num_labels=3, dtype="bfloat16")
    with pytest.raises(TypeError, match="for which subfolder cannot be"):
        CASE.tf_class.from_pretrained(file, subfolder="x")
    with pytest.raises(FileNotFoundError):
        CASE.tf_class.from_pretrained(tmp_path / "none.keras")


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


def test_a_disk_that_is_too_full_for_a_folder_of_keras(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HDF5, which writes it, would crash the process."""
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=1000))
    with pytest.raises(OSError, match="needs up to .* MB left: make room"):
        CASE.load().save(tmp_path / "m", zipped=False)
    assert list(tmp_path.iterdir()) == []
