"""TimeSformer's map against the names that the reference's checkpoints are documented to have."""

from __future__ import annotations

import pytest

from tests.weights_convert.toys import ToySlot
from weights_convert.plan import TensorInfo, make_plan
from weights_convert.rules import checkpoint_names, family_map

FAMILY = family_map("timesformer")

# variable, kind, checkpoint's name; L stands for encoder.layer.11
TABLE = """
embeddings.cls_token                           raw    embeddings.cls_token
embeddings.position_embeddings                 raw    embeddings.position_embeddings
embeddings.time_embeddings                     raw    embeddings.time_embeddings
embeddings.patch_embeddings.projection.kernel  conv2d embeddings.patch_embeddings.projection.weight
embeddings.patch_embeddings.projection.bias    conv2d embeddings.patch_embeddings.projection.bias
L.attention.qkv.kernel                         dense  L.attention.attention.qkv.weight
L.attention.qkv.bias                           dense  L.attention.attention.qkv.bias
L.attention.out.kernel                         dense  L.attention.output.dense.weight
L.temporal_attention.qkv.kernel                dense  L.temporal_attention.attention.qkv.weight
L.temporal_attention.out.bias                  dense  L.temporal_attention.output.dense.bias
L.temporal_dense.kernel                        dense  L.temporal_dense.weight
L.mlp.fc1.kernel                               dense  L.intermediate.dense.weight
L.mlp.fc2.bias                                 dense  L.output.dense.bias
L.layernorm_before.gamma                       norm   L.layernorm_before.weight
L.layernorm_after.beta                         norm   L.layernorm_after.bias
L.temporal_layernorm.gamma                     norm   L.temporal_layernorm.weight
layernorm.gamma                                norm   layernorm.weight
layernorm.beta                                 norm   layernorm.bias
"""
ROWS = [line.replace("L.", "encoder.layer.11.").split() for line in TABLE.split("\n") if line]


@pytest.mark.parametrize("prefix", ["", "timesformer."])
def test_names(prefix):
    slots = {prefix + path: ToySlot(kind, (1, 1, 1, 1)) for path, kind, _ in ROWS}
    slots["classifier.kernel"] = ToySlot("dense", (1, 1))
    names = checkpoint_names(slots, FAMILY)
    expected = {prefix + path: prefix + name for path, _, name in ROWS}
    assert names == expected | {"classifier.kernel": "classifier.weight"}


def test_a_bare_model_loads_from_a_classifiers_checkpoint():
    slots = {path: ToySlot("raw", (1,)) for path, kind, _ in ROWS if kind == "raw"}
    tensors = {f"timesformer.{path}": TensorInfo("F32", (1,)) for path in slots}
    plan = make_plan(slots, tensors | {"classifier.bias": TensorInfo("F32", (2,))}, FAMILY)
    assert plan.ignored == ("classifier.bias",)
    assert len(plan.entries) == 3
