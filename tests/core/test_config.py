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
    assert load(tmp_path, id2label={0: "z", 1: "y"}).label2id == {"z": 0, "y": 1}
    assert load(tmp_path, label2id={"z": 0, "y": 1}).id2label == {0: "z", 1: "y"}
    assert load(tmp_path, id2label=None, num_labels=None).num_labels == 3
    with pytest.warns(UserWarning, match="num_labels=5 disagrees with the 1 entries"):
        assert load(tmp_path, id2label={0: "z"}, num_labels=5).num_labels == 1


def test_several_fields_change_together() -> None:
    config = tfzoo.TimesformerConfig()
    config.update({"num_frames": 4, "num_labels": 3, "extra": "kept"})
    assert (config.num_frames, config.id2label[2], config.extra) == (4, "LABEL_2", "kept")
    with pytest.raises(ConfigError, match="hidden_size must be a positive integer, got 0"):
        config.update({"num_frames": 5, "hidden_size": 0})
    assert config.num_frames == 4
    nested = tfzoo.XCLIPConfig()
    nested.update({"text_config": {"vocab_size": 7}})
    assert nested.text_config.vocab_size == 7


def test_configs_are_written_to_files_of_any_name(tmp_path: Path) -> None:
    config = tfzoo.TimesformerConfig(num_frames=4)
    config.to_json_file(tmp_path / "mine.json")
    assert (tmp_path / "mine.json").read_text() == config.to_json_string()


def test_pruned_heads_are_kept_by_layer(tmp_path: Path) -> None:
    config = tfzoo.LxmertConfig(pruned_heads={"3": [1, 0]})
    assert config.pruned_heads == {3: [0, 1]}
    config.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["pruned_heads"] == {"3": [0, 1]}
    assert tfzoo.LxmertConfig.from_pretrained(tmp_path) == config
    assert "pruned_heads" not in tfzoo.LxmertConfig(pruned_heads={}).to_json_dict()


def test_pruned_heads_of_two_towers_are_numbered_through() -> None:
    text, vision = {"num_hidden_layers": 2, "pruned_heads": {1: [0]}}, {"num_hidden_layers": 2}
    config = tfzoo.XCLIPConfig(text_config=text, vision_config=vision, pruned_heads={"2": [3]})
    assert config.pruned_heads == {1: [0], 2: [3]}
    assert config.vision_config.pruned_heads == {0: [3]}
    values = config.to_json_dict()
    assert "pruned_heads" not in values
    assert tfzoo.XCLIPConfig.from_dict(values) == config
    assert tfzoo.XCLIPTextConfig.from_dict(values).pruned_heads == {1: [0]}


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
        ({"hidden_size": 2**31}, "hidden_size must be at most 2,147,483,647, got 2147483648"),
        ({"hidden_size": 10**400}, "hidden_size must be at most 2,147,483,647, got 1000"),
        ({"num_hidden_layers": 1001}, "num_hidden_layers must be at most 1,000, got 1001"),
        ({"num_labels": 10**8}, "num_labels must be at most 1,000,000, got 100000000"),
        ({"num_labels": 2.5}, "num_labels must be an integer >= 0, got 2.5"),
        ({"layer_norm_eps": float("inf")}, "layer_norm_eps must be a number >= 0, got inf"),
        ({"layer_norm_eps": float("nan")}, "layer_norm_eps must be a number >= 0, got nan"),
        ({"layer_norm_eps": 10**400}, "layer_norm_eps must be at most 2,147"),
        ({"architectures": "A"}, "architectures must be a list of names, or None, got 'A'"),
        ({"architectures": [5]}, r"architectures must be a list of names, or None, got \[5\]"),
        ({"id2label": ["a"]}, r"id2label must map indices to names.*got \['a'\]"),
        ({"id2label": {"a": "b"}}, "id2label must map indices to names.*got {'a': 'b'}"),
        ({"id2label": {"1": "a"}}, "id2label must map 0, 1, 2 and so on to names"),
        ({"id2label": {"0": "a", "00": "b"}}, "id2label must map 0, 1, 2 and so on to names"),
        ({"id2label": {"0": "a"}, "label2id": [1]}, "label2id names to indices, got"),
        ({"pruned_heads": [1]}, r"pruned_heads must map numbers of layers to lists.* got \[1\]"),
        ({"pruned_heads": {"a": [1]}}, "pruned_heads must map numbers of layers to lists of heads"),
        ({"pruned_heads": {"1": 2}}, "pruned_heads must map numbers of layers to lists of heads"),
        ({"validate": 1}, "cannot keep a value named 'validate'"),
        ({"to_dict": 1}, "cannot keep a value named 'to_dict'"),
        ({"_bind": 1}, "cannot keep a value named '_bind'"),
        ({"name_or_path": 1}, "cannot keep a value named 'name_or_path'"),
        ({"__class__": 1}, "cannot keep a value named '__class__'"),
        ({"__deepcopy__": 1}, "cannot keep a value named '__deepcopy__'"),
    ],
)
def test_invalid_values_are_refused(change: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        tfzoo.TimesformerConfig(**change)
    write_json(tmp_path / "config.json", {"model_type": "timesformer", **change})
    with pytest.raises(ConfigError, match=message):
        tfzoo.AutoConfig.from_pretrained(tmp_path)


@pytest.mark.parametrize("name", ["self", "args", "kwargs", "cls", "values"])
def test_keys_with_the_names_of_arguments_are_kept(name: str, tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", {"model_type": "timesformer", name: [1]})
    assert tfzoo.AutoConfig.from_pretrained(tmp_path).to_dict()[name] == [1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": ["timesformer"]}, r"model_type must be a name, got \['timesformer'\]"),
        ({"model_type": "owlv2", "text_config": 5}, "text_config must be a dict, a Owlv2Text"),
        ({"model_type": "xclip", "vision_config_dict": "a"}, "vision_config must be a dict"),
        ({"model_type": "xclip", "initializer_factor": "a"}, "initializer_factor must be a num"),
        ({"model_type": "xclip", "prompt_alpha": None}, "prompt_alpha must be a finite number"),
        ({"model_type": "tvp", "frame_num": "a"}, "frame_num must be a positive integer, or None"),
        ({"model_type": "lxmert", "x_layers": 10**6}, "x_layers must be at most 1,000"),
        (
            {"model_type": "tvp", "backbone_config": {"model_type": "resnet", "depths": [9**9]}},
            "depths must be at most 1,000",
        ),
    ],
)
def test_wrong_kinds_in_files_of_families(values: dict, message: str, tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", values)
    with pytest.raises(ConfigError, match=message):
        tfzoo.AutoConfig.from_pretrained(tmp_path)


def test_a_part_of_another_kind_in_the_file_of_a_whole_model(tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", {"model_type": "owlv2", "text_config": [1]})
    with pytest.raises(ConfigError, match="text_config must be a dict of Owlv2TextConfig's fields"):
        tfzoo.Owlv2TextConfig.from_pretrained(tmp_path)


def test_a_million_labels_are_read() -> None:
    assert tfzoo.TimesformerConfig(num_labels=1_000_000).id2label[999_999] == "LABEL_999999"


def test_what_a_config_says_of_weights_is_replaced_as_a_whole() -> None:
    other = {"dtype": "bfloat16", "torch_dtype": "float16", "quantization_config": {"bits": 4}}
    config = tfzoo.Owlv2Config(text_config=dict(other), **other)
    config.describe_weights("float32")
    values = config.to_json_dict()
    assert (values["dtype"], values["torch_dtype"]) == ("float32", "float32")
    assert "quantization_config" not in values
    assert not set(other) & set(values["text_config"])


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


def test_none_in_the_place_of_a_default_is_written() -> None:
    class Mine(PretrainedConfig):
        """Mine."""

        model_type = "mine"
        end_token_id: int | None = field(7, "Last token.")
        width: int | None = field(None, "Width.")

    text = Mine(end_token_id=None).to_json_string()
    assert Mine.from_dict(json.loads(text)).end_token_id is None
    assert "width" not in text
    assert "end_token_id" in Mine().to_json_string()
