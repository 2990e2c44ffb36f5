"""LoRA. Each docstring begins with the feature's name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import tfzoo
from tests.features.families import (
    FAMILIES,
    RATE,
    Tiny,
    assert_close,
    learning,
    on_one_family,
    weights,
)
from tfzoo.core.variables import slots

pytestmark = pytest.mark.usefixtures("unfrozen")


def values(model: Any) -> dict[str, np.ndarray]:
    """Values of all weights by their paths."""
    return {p: keras.ops.convert_to_numpy(s.variable) for p, s in slots(model).items()}


def adapted(tiny: Tiny, steps: int = 3) -> Any:
    """A model whose adapters have learnt something."""
    model = tiny.load()
    model.enable_lora(2, alpha=8)
    tiny.compile(model, keras.optimizers.SGD(0.1))
    model.fit(tiny.batches(steps), shuffle=False, verbose=0)
    return model


@on_one_family
def test_adapters_alone_learn(tiny: Tiny) -> None:
    """LoRA: `enable_lora` changes nothing at first, then the adapters alone learn."""
    model = tiny.load()
    output, before, used = tiny.output(model), values(model), learning(model)
    names = model.enable_lora(2)
    assert all(name.split(".")[-1] in {"query", "key", "value", "qkv", "out"} for name in names)
    assert_close([tiny.output(model)], [output], 1e-6)
    teachable = [name for name in names if f"{name}.kernel" in used]  # what the head makes use of
    wanted = {f"{name}.lora_kernel_{side}" for name in teachable for side in "ab"}
    assert learning(model) == wanted
    start = values(model)
    tiny.compile(model, keras.optimizers.SGD(0.1))
    model.fit(tiny.batches(3), shuffle=False, verbose=0)
    after = values(model)
    moved = {path for path in start if (after[path] != start[path]).any()}
    assert moved
    assert moved <= wanted
    assert all((after[path] == before[path]).all() for path in before)
    assert (tiny.output(model) != output).any()


@on_one_family
def test_adapters_are_saved_apart(tiny: Tiny, tmp_path: Path) -> None:
    """LoRA, saved apart: `save_adapters` and `load_adapters` bring the same outputs back."""
    model = adapted(tiny)
    model.save_adapters(tmp_path)
    again = tiny.load()
    again.load_adapters(tmp_path)
    assert_close([tiny.output(again)], [tiny.output(model)], 1e-6)
    size = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert size < sum(array.nbytes for array in weights(model))


@on_one_family
def test_adapters_are_merged(tiny: Tiny, tmp_path: Path) -> None:
    """LoRA, merged: `merge_lora` computes the same, and PyTorch's checkpoint holds it."""
    model = adapted(tiny)
    expected = tiny.output(model)
    with pytest.raises(ValueError, match=r"has adapters: merge_lora\(\) first"):
        model.save_pretrained(tmp_path / "refused")
    assert not (tmp_path / "refused").exists()
    model.merge_lora()
    assert set(values(model)) == set(values(tiny.load()))
    assert_close([tiny.output(model)], [expected])
    model.save_pretrained(tmp_path / "merged")
    again = type(model).from_pretrained(tmp_path / "merged")
    assert_close([tiny.output(again)], [expected])


@on_one_family
def test_adapters_in_keras_files(tiny: Tiny, tmp_path: Path) -> None:
    """LoRA, in Keras's files: training goes on from both formats."""
    model = adapted(tiny)
    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    whole, bare = tfzoo.load_model(tmp_path / "m.keras"), tiny.load()
    bare.enable_lora(2, alpha=8)
    bare.load_weights(tmp_path / "m.weights.h5")
    for again in (whole, bare):
        assert_close(weights(again), weights(model), 0)
        tiny.compile(again, keras.optimizers.SGD(0.1))
        again.fit(tiny.batches(), shuffle=False, verbose=0)
    tiny.compile(model, keras.optimizers.SGD(0.1))
    model.fit(tiny.batches(), shuffle=False, verbose=0)
    assert_close(weights(whole), weights(model))
    assert_close(weights(bare), weights(model))


# ---- what is the same for all families
FIRST = FAMILIES[0]


def test_pattern_alpha_and_whole_layers() -> None:
    model = FIRST.load()
    names = model.enable_lora(3, r"layer\.0\.attention\.qkv$", alpha=6, train="classifier")
    assert names == ["timesformer.encoder.layer.0.attention.qkv"]
    assert [v.name for v in model.trainable_weights] == [
        "lora_kernel_a",
        "lora_kernel_b",
        "kernel",
        "bias",
    ]
    layer = model.timesformer.encoder.layer[0].attention.qkv
    before = keras.ops.convert_to_numpy(layer.kernel)
    layer.lora_kernel_b.assign(np.ones(layer.lora_kernel_b.shape, "float32"))
    rows = keras.ops.convert_to_numpy(layer.lora_kernel_a).sum(axis=1, keepdims=True)
    found = keras.ops.convert_to_numpy(layer.kernel)
    np.testing.assert_allclose(found, before + 2 * rows, rtol=1e-5, atol=1e-6)


def test_files_have_the_names_and_layouts_of_peft(tmp_path: Path) -> None:
    model = FIRST.load()
    model.enable_lora(3, r"layer\.0\.attention\.qkv$", alpha=6, train="classifier")
    layer = model.timesformer.encoder.layer[0].attention.qkv
    layer.lora_kernel_b.assign(np.arange(3 * 48, dtype="float32").reshape(3, 48))
    model.save_adapters(tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    module = "timesformer.encoder.layer.0.attention.attention.qkv"
    assert (config["peft_type"], config["r"], config["lora_alpha"]) == ("LORA", 3, 6)
    assert (config["target_modules"], config["modules_to_save"]) == ([module], ["classifier"])
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    first, second = (f"base_model.model.{module}.lora_{side}.weight" for side in "AB")
    assert {name: array.shape for name, array in tensors.items()} == {
        first: (3, 16),
        second: (48, 3),
        "base_model.model.classifier.weight": (3, 16),
        "base_model.model.classifier.bias": (3,),
    }
    np.testing.assert_array_equal(tensors[first].T, layer.lora_kernel_a)
    np.testing.assert_array_equal(tensors[second].T, layer.lora_kernel_b)
    again = FIRST.load()
    again.load_adapters(tmp_path)
    assert [v.name for v in again.trainable_weights] == [v.name for v in model.trainable_weights]
    np.testing.assert_array_equal(FIRST.output(again), FIRST.output(model))


def test_adapters_with_leftovers_are_refused(tmp_path: Path) -> None:
    model = FIRST.load()
    model.enable_lora(2)
    model.save_adapters(tmp_path)
    path = tmp_path / "adapter_model.safetensors"
    more = {"base_model.model.neck.lora_A.weight": np.zeros((2, 16), "float32")}
    save_file({**load_file(path), **more}, path)
    other = FIRST.load()
    before = values(other)
    with pytest.raises(ValueError, match=r"does not fit .* it holds neck\.lora_A\.weight\."):
        other.load_adapters(tmp_path)
    assert values(other).keys() == before.keys()


# ---- adapters of PEFT
QKV = "timesformer.encoder.layer.0.attention.attention.qkv"
RNG = np.random.default_rng(0)
DOWN, UP = RNG.normal(size=(4, 16)).astype("float32"), RNG.normal(size=(48, 4)).astype("float32")
PLAIN = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["qkv"], "bias": "none"}
# As PEFT 0.18 writes them, where they have no effect on the outputs.
HARMLESS = {
    "alora_invocation_tokens": None,
    "alpha_pattern": {},
    "arrow_config": None,
    "auto_mapping": None,
    "base_model_name_or_path": "somewhere",
    "corda_config": None,
    "ensure_weight_tying": False,
    "eva_config": None,
    "exclude_modules": None,
    "fan_in_fan_out": False,
    "inference_mode": True,
    "init_lora_weights": True,
    "layer_replication": None,
    "layers_pattern": None,
    "layers_to_transform": None,
    "loftq_config": {},
    "lora_bias": False,
    "lora_dropout": 0.1,
    "megatron_config": None,
    "megatron_core": "megatron.core",
    "modules_to_save": ["classifier"],
    "peft_version": "0.18.0",
    "qalora_group_size": 16,
    "rank_pattern": {},
    "revision": None,
    "target_parameters": None,
    "task_type": None,
    "trainable_token_indices": None,
    "use_dora": False,
    "use_qalora": False,
    "use_rslora": False,
}


def write_peft(folder: Path, tensors: dict[str, np.ndarray] | None = None, **settings: Any) -> Path:
    """Write adapters as PEFT does: of one layer, unless told otherwise."""
    sides = {f"{QKV}.lora_A.weight": DOWN, f"{QKV}.lora_B.weight": UP}
    named = {f"base_model.model.{n}": a for n, a in (tensors or sides).items()}
    folder.mkdir(exist_ok=True)
    save_file(named, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    (folder / "adapter_config.json").write_text(json.dumps({**PLAIN, **settings}))
    return folder


@pytest.mark.parametrize(
    ("settings", "scale"),
    [
        ({}, 2.0),
        (HARMLESS, 2.0),
        ({"use_rslora": True}, 4.0),
        ({"init_lora_weights": "gaussian"}, 2.0),
        ({"lora_alpha": 3.5}, 0.875),
    ],
)
def test_the_update_has_pefts_scale(settings: dict, scale: float, tmp_path: Path) -> None:
    model = FIRST.load()
    layer = model.timesformer.encoder.layer[0].attention.qkv
    before = keras.ops.convert_to_numpy(layer.kernel)
    model.load_adapters(write_peft(tmp_path, **settings))
    expected = before + scale * (UP @ DOWN).T
    np.testing.assert_allclose(layer.kernel, expected, rtol=1e-5, atol=1e-5)
    model.save_adapters(tmp_path / "again")
    again = FIRST.load()
    again.load_adapters(tmp_path / "again")
    layer = again.timesformer.encoder.layer[0].attention.qkv
    np.testing.assert_allclose(layer.kernel, expected, rtol=1e-5, atol=1e-5)
    model.merge_lora()
    layer = model.timesformer.encoder.layer[0].attention.qkv
    np.testing.assert_allclose(layer.kernel, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha_pattern": {"qkv": 32}}, r"no adapters with alpha_pattern=\{'qkv': 32\}"),
        ({"rank_pattern": {"qkv": 2}}, "no adapters with rank_pattern"),
        ({"use_dora": True}, "no adapters with use_dora=True. Merge them"),
        ({"bias": "all"}, "no adapters with bias='all'"),
        ({"layer_replication": [[0, 1]]}, "no adapters with layer_replication"),
        ({"some_day": 1}, "no adapters with some_day=1"),
        ({"init_lora_weights": "pissa"}, "'pissa' may have changed the model's own weights"),
        ({"init_lora_weights": "pissa_niter_4"}, "may have changed the model's own weights"),
        ({"init_lora_weights": "olora"}, "may have changed the model's own weights"),
        ({"init_lora_weights": "loftq"}, "may have changed the model's own weights"),
        ({"lora_alpha": "8"}, "lora_alpha must be a finite number, got '8'"),
        ({"lora_alpha": float("nan")}, "lora_alpha must be a finite number, got nan"),
        ({"lora_alpha": float("inf")}, "lora_alpha must be a finite number, got inf"),
        ({"lora_alpha": True}, "lora_alpha must be a finite number, got True"),
        ({"lora_alpha": 0}, "expected peft_type LORA with r and lora_alpha"),
        ({"r": 0}, "expected peft_type LORA with r and lora_alpha"),
        ({"r": True}, "expected peft_type LORA with r and lora_alpha"),
        ({"r": 10**9}, r"lora_A.weight: expected \(1000000000, 16\) in the file, got \(4, 16\)"),
        ({"peft_type": "IA3"}, "expected peft_type LORA with r and lora_alpha"),
    ],
)
def test_what_the_layers_do_not_compute_is_refused(
    settings: dict, message: str, tmp_path: Path
) -> None:
    model = FIRST.load()
    before = values(model)
    with pytest.raises(ValueError, match=message):
        model.load_adapters(write_peft(tmp_path, **settings))
    assert values(model).keys() == before.keys()


def test_adapters_of_other_dtypes(tmp_path: Path) -> None:
    """What holds floats is read; float8 and whole numbers are refused by name."""
    model = FIRST.load()
    halves = {f"{QKV}.lora_A.weight": DOWN.astype("float16"), f"{QKV}.lora_B.weight": UP}
    model.load_adapters(write_peft(tmp_path, halves))
    whole = {name: array.astype("int32") for name, array in halves.items()}
    with pytest.raises(ValueError, match="lora_A.weight' must be F64, F32, F16, BF16, got I32"):
        FIRST.load().load_adapters(write_peft(tmp_path, whole))
    path = write_peft(tmp_path, halves) / "adapter_model.safetensors"
    length, content = 8 + int.from_bytes(path.read_bytes()[:8], "little"), path.read_bytes()
    header = json.loads(content[8:length])
    for fields in header.values():
        fields.update({"dtype": "F8_E4M3"} if "dtype" in fields else {})
    spelled = json.dumps(header).encode()
    path.write_bytes(len(spelled).to_bytes(8, "little") + spelled + content[length:])
    with pytest.raises(ValueError, match="is damaged, or not of a dtype that is read: .*F8_E4M3"):
        FIRST.load().load_adapters(tmp_path)


def test_weights_of_an_adapted_layer_are_not_taken_beside_its_adapter(tmp_path: Path) -> None:
    sides = {f"{QKV}.lora_A.weight": DOWN, f"{QKV}.lora_B.weight": UP}
    more = {**sides, f"{QKV}.bias": np.zeros(48, "float32")}
    with pytest.raises(ValueError, match=r"does not fit .*: it holds .*qkv\.bias"):
        FIRST.load().load_adapters(write_peft(tmp_path, more))
    more = {**sides, "classifier.weight": np.zeros((5, 5), "float32")}
    model = FIRST.load()
    with pytest.raises(ValueError, match=r"classifier\.weight"):
        model.load_adapters(write_peft(tmp_path, more))
    assert "lora_kernel_a" not in {path.rpartition(".")[2] for path in values(model)}


def test_adapters_beside_int8(tmp_path: Path) -> None:
    model = FIRST.load()
    model.quantize("int8")
    model.enable_lora(2)
    FIRST.compile(model, keras.optimizers.SGD(RATE))
    model.fit(FIRST.batches(2), shuffle=False, verbose=0)
    with pytest.raises(ValueError, match="cannot be merged into int8"):
        model.merge_lora()
    model.save_adapters(tmp_path / "apart")
    again = FIRST.load()
    again.quantize("int8")
    again.load_adapters(tmp_path / "apart")
    assert_close([FIRST.output(again)], [FIRST.output(model)], 1e-6)
    model.save(tmp_path / "m.keras")
    assert_close([FIRST.output(tfzoo.load_model(tmp_path / "m.keras"))], [FIRST.output(model)], 0)


def test_wrong_calls_are_refused(tmp_path: Path) -> None:
    model = FIRST.load()
    with pytest.raises(ValueError, match="rank: expected a whole number above 0, got 0"):
        model.enable_lora(0)
    with pytest.raises(ValueError, match="no layer whose path matches 'nonsense'"):
        model.enable_lora(2, "nonsense")
    with pytest.raises(ValueError, match="no linear layer's path matches 'layernorm_after"):
        model.enable_lora(2, "layernorm_after")
    with pytest.raises(ValueError, match=r"no adapters: enable_lora\(\) first"):
        model.merge_lora()
    with pytest.raises(FileNotFoundError, match=r"has no adapter_model.safetensors"):
        model.load_adapters(tmp_path)
    model.enable_lora(2)
    with pytest.raises(ValueError, match="has adapters already"):
        model.enable_lora(2)
    model.save_adapters(tmp_path)
    other = next(tiny for tiny in FAMILIES if tiny.name == "tvp").load()
    before = weights(other)
    with pytest.raises(ValueError, match="does not fit a TFTvpForVideoGrounding: it holds time"):
        other.load_adapters(tmp_path)
    assert_close(weights(other), before, 0)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="is damaged"):
        FIRST.load().load_adapters(tmp_path)
