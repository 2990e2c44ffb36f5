"""Lean: what loading a checkpoint costs, measured in processes of their own.

The promise is for a file of 600 MB: the model, its largest tensor and 100 MB. Here half of that
is loaded, and the bound is as tight as if the tensors were read into the model's own memory: one
more copy of the file would be three times the room that is left.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import keras
import pytest

from tests.support.processes import run_python
from tfzoo.registry import families

MB = 10**6
ROOM = 100 * MB

# 78 million parameters: 310 MB; the largest tensor, of the embeddings, has 92 MB.
SIZES = {
    "vocab_size": 30000,
    "hidden_size": 768,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "l_layers": 4,
    "x_layers": 1,
    "r_layers": 1,
}

PEAK = """
import json, sys
from pathlib import Path

def peak():
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
"""

WRITE = """
import sys, json
import keras, numpy as np, tfzoo
with keras.StatelessScope(initialize_variables=False):
    model = tfzoo.TFLxmertModel(tfzoo.LxmertConfig(**json.loads(sys.argv[2])))
from tfzoo.modeling.checkpoint import checkpoint_sources
from weights_convert.checkpoint import write_checkpoint
rows = [
    (name, code, shape, lambda shape=shape: np.full(shape, 0.01, "float32"))
    for name, code, shape, _ in checkpoint_sources(model)
]
write_checkpoint(sys.argv[1], rows)
model.saved_config().save_pretrained(sys.argv[1])
"""

# A first model, of one layer, so that the imports and the threads are not counted.
LOAD = (
    PEAK
    + """
import keras, numpy as np, tfzoo
tiny = tfzoo.LxmertConfig(
    vocab_size=9, hidden_size=12, num_attention_heads=2, intermediate_size=8,
    l_layers=1, x_layers=1, r_layers=1,
)
tfzoo.TFLxmertModel(tiny)
before = peak()
model = tfzoo.TFLxmertModel.from_pretrained(sys.argv[1], dtype=sys.argv[2])
after = peak()
value = float(keras.ops.cast(model.weights[0], "float32")[0, 0])
sizes = [int(np.prod(w.shape)) * (2 if "16" in str(w.dtype) else 4) for w in model.weights]
print(json.dumps({"grown": after - before, "model": sum(sizes), "largest": max(sizes),
                  "value": value}))
"""
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    run_python(WRITE, folder, json.dumps(SIZES))
    assert (folder / "model.safetensors").stat().st_size > 290 * MB
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_loading_takes_the_model_its_largest_tensor_and_little_more(
    dtype: str, checkpoint: Path
) -> None:
    found = json.loads(run_python(LOAD, checkpoint, dtype).splitlines()[-1])
    assert found["value"] == pytest.approx(0.01, rel=1e-2)
    # Conversion goes tensor by tensor: only one of them also exists in its old dtype.
    largest = found["largest"] * (2 if "16" in dtype else 1)
    bound = found["model"] + largest + ROOM
    assert found["grown"] <= bound, f"{found['grown'] / MB:.0f} MB for {found}"
    assert found["grown"] > 0.9 * found["model"], "the measurement does not see the model"


DRAWING = ("RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling", "Orthogonal")


@pytest.mark.parametrize("family", [family.name for family in families()])
def test_no_random_value_is_computed_for_what_a_checkpoint_fills(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[int, ...]] = []
    for name in DRAWING:
        initializer = getattr(keras.initializers, name)

        def draw(
            self: Any, shape: Any, *args: Any, _call: Any = initializer.__call__, **kwargs: Any
        ) -> Any:
            drawn.append(tuple(shape))
            return _call(self, shape, *args, **kwargs)

        monkeypatch.setattr(initializer, "__call__", draw)
    for case in importlib.import_module(f"tests.models.{family}.cases").CASES[:1]:
        config = case.load().config
        assert drawn == [], case.name
        case.tf_class(config)
        assert len(drawn) > 3, "a fresh model draws, so the test would see it"
        drawn.clear()
