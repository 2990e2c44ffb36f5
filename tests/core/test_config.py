"""Configurations: fields, labels, files, errors."""

from __future__ import annotations

import inspect
import json
import os
from pathlib import Path

import pytest

import tfzoo
from tfzoo.core.config import ConfigError, PretrainedConfig
from tfzoo.core.fields import field, one_of, positive
from tfzoo.core.fields import probability as in_unit_interval
from tfzoo.core.files import write_json

DOCUMENTED = {
    "image_size": 224,
    "patch_size": 16,
    "num_channels": 3,
    "num_frames": 8,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-06,
    "qkv_bias": True,
    "attention_type": "divided_space_time",
    "drop_path_rate": 0,
}


def test_documented_order_and_defaults() -> None:
    parameters = inspect.signature(tfzoo.TimesformerConfig).parameters
    assert {n: p.default for n, p in parameters.items() if n != "kwargs"} == DOCUMENTED
    assert list(parameters) == [*DOCUMENTED, "kwargs"]
    config = tfzoo.TimesformerConfig(112, 8)
    assert (config.image_size, config.patch_size, config.num_channels) == (112, 8, 3)
    for name in DOCUMENTED:
        assert f"    {name}: " in tfzoo.TimesformerConfig.__doc__


def test_other_keywords_become_attributes() -> None:
    config = tfzoo.TimesformerConfig(frame_rate=4, torch_dtype="float32")
    assert config.frame_rate == 4
    assert config.to_dict()["frame_rate"] == 4
    assert config.output_attentions is False
    assert config.return_dict is True


def test_too_many_or_repeated_arguments() -> None:
    with pytest.raises(TypeError, match="at most 16 positional"):
        tfzoo.TimesformerConfig(*range(1, 18))
    with pytest.raises(TypeError, match="got image_size twice"):
        tfzoo.TimesformerConfig(224, image_size=224)


def test_labels_follow_each_other() -> None:
    config = tfzoo.TimesformerConfig()
    assert config.num_labels == 2
    assert config.id2label == {0: "LABEL_0", 1: "LABEL_1"}
    config.num_labels = 3
    assert config.label2id["LABEL_2"] == 2
    named = tfzoo.TimesformerConfig(id2label={"0": "left", "1": "right", "2": "up"})
    assert named.num_labels == 3
    assert named.id2label[2] == "up"
    assert named.label2id == {"left": 0, "right": 1, "up": 2}
    with pytest.warns(UserWarning, match="num_labels=5 disagrees with the 1 entries"):
        assert tfzoo.TimesformerConfig(num_labels=5, id2label={0: "a"}).num_labels == 1
    with pytest.raises(ConfigError, match="num_labels must be an integer >= 0, got -1"):
        tfzoo.TimesformerConfig(num_labels=-1)


def test_files_keep_everything(tmp_path: Path) -> None:
    config = tfzoo.TimesformerConfig(num_frames=16, id2label={0: "a", 1: "b", 2: "c"}, extra=[1])
    config.save_pretrained(tmp_path / "new" / "folder")
    again = tfzoo.TimesformerConfig.from_pretrained(tmp_path / "new" / "folder")
    assert again == config
    assert again.name_or_path.endswith("folder")
    raw = json.loads((tmp_path / "new" / "folder" / "config.json").read_text())
    assert raw["model_type"] == "timesformer"
    assert raw["id2label"] == {"0": "a", "1": "b", "2": "c"}
    assert "name_or_path" not in raw
    assert [p.name for p in (tmp_path / "new" / "folder").iterdir()] == ["config.json"]


def test_overrides_win_and_labels_stay_where_they_fit(tmp_path: Path) -> None:
    tfzoo.TimesformerConfig(id2label={0: "a", 1: "b", 2: "c"}).save_pretrained(tmp_path)
    load = tfzoo.TimesformerConfig.from_pretrained
    assert load(tmp_path, num_frames=4).num_frames == 4
    assert load(tmp_path, num_labels=3).id2label[0] == "a"
    assert load(tmp_path, num_labels=4).id2label[3] == "LABEL_3"
    assert load(tmp_path, id2label={0: "z"}).num_labels == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": 0}, "hidden_size must be a positive integer, got 0"),
        ({"hidden_size": "768"}, "hidden_size must be a positive integer, got '768'"),
        ({"num_frames": True}, "num_frames must be a positive integer, got True"),
        ({"drop_path_rate": 1.5}, r"drop_path_rate must be a number in \[0, 1\), got 1.5"),
        ({"drop_path_rate": 1}, r"drop_path_rate must be a number in \[0, 1\), got 1\."),
        ({"qkv_bias": 1}, "qkv_bias must be True or False, got 1"),
        ({"layer_norm_eps": -1}, "layer_norm_eps must be a number >= 0, got -1"),
        ({"problem_type": "x"}, "problem_type must be one of .*'regression'.* got 'x'"),
        ({"hidden_act": 3}, "hidden_act must be the name of an activation, or a function"),
    ],
)
def test_invalid_values_are_refused(change: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        tfzoo.TimesformerConfig(**change)
    write_json(tmp_path / "config.json", {"model_type": "timesformer", **change})
    with pytest.raises(ConfigError, match=message):
        tfzoo.AutoConfig.from_pretrained(tmp_path)


def test_values_changed_later_are_checked_by_the_model() -> None:
    config = tfzoo.TimesformerConfig()
    config.num_frames = 0
    with pytest.raises(ConfigError, match="num_frames must be a positive integer, got 0"):
        tfzoo.TFTimesformerModel(config)


def test_bad_files_are_refused(tmp_path: Path) -> None:
    load = tfzoo.AutoConfig.from_pretrained
    with pytest.raises(tfzoo.HubError, match=r"config\.json"):
        load(tmp_path)
    (tmp_path / "config.json").write_text("{not json")
    with pytest.raises(ConfigError, match=r"config.json is not valid JSON"):
        load(tmp_path)
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(ConfigError, match="must hold a JSON object, got list"):
        load(tmp_path)
    write_json(tmp_path / "config.json", {"hidden_size": 8})
    with pytest.raises(ConfigError, match="names no model_type"):
        load(tmp_path)
    write_json(tmp_path / "config.json", {"model_type": "bert"})
    with pytest.raises(ConfigError, match=r"Unknown model_type 'bert'. tfzoo has: .*timesformer"):
        load(tmp_path)
    with pytest.raises(ConfigError, match="needs model_type 'timesformer', got 'bert'"):
        tfzoo.TimesformerConfig.from_pretrained(tmp_path)


def test_broken_writes_leave_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_json(tmp_path / "a.json", {"old": 1})

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_json(tmp_path / "a.json", {"new": 2})
    assert json.loads((tmp_path / "a.json").read_text()) == {"old": 1}
    assert len(list(tmp_path.iterdir())) == 1


def test_a_family_declares_its_fields_once() -> None:
    class Mine(PretrainedConfig):
        """Mine."""

        model_type = "mine"
        width: int = field(4, "Width.", positive)
        mode: str = field("a", "Mode.", one_of("a", "b"))
        rate: float = field(0.0, "Rate.", in_unit_interval)

    assert Mine(8).to_dict()["width"] == 8
    assert "width: Width. (a positive integer) Default 4." in Mine.__doc__
    with pytest.raises(ConfigError, match=r"Mine.mode must be one of 'a', 'b', got 'c'"):
        Mine(mode="c")
    assert Mine() == Mine()
    assert Mine() != Mine(5)
    assert "Mine {" in repr(Mine())
