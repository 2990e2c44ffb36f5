"""Preprocessors, decoders and postprocessors of the user's own, see docs/perceiver_parts.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import tfzoo
from tests.models.perceiver.cases import TINY
from tests.support.compare import assert_same, flatten
from tests.support.paths import ROOT

TEXT = (ROOT / "docs" / "perceiver_parts.md").read_text(encoding="utf-8")
CODES = [block.split("```")[0] for block in TEXT.split("```python\n")[1:]]
SENSORS = np.random.default_rng(0).normal(size=(2, 7, 6)).astype("float32")


@keras.saving.register_keras_serializable("tests")
def mean(latents: Any) -> Any:
    return keras.ops.mean(latents, axis=1)


def config(**fields: Any) -> Any:
    return tfzoo.PerceiverConfig(**{**TINY, "d_model": 8, **fields})


def layers(config: Any) -> dict[str, Any]:
    """A Keras layer or a function for each part."""
    narrow = [keras.Input((None, 6)), keras.layers.Dense(config.d_model, name="narrow")]
    return {
        "input_preprocessor": keras.Sequential(narrow),
        "decoder": mean,
        "output_postprocessor": keras.layers.Dense(3),
    }


@pytest.mark.usefixtures("without_xla")
@pytest.mark.slow
def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    for code, shape in zip(CODES, [(8, 3), (2, 100, 3)], strict=True):
        exec(compile(code, "docs/perceiver_parts.md", "exec"), scope)
        assert tuple(scope["logits"].shape) == shape


def test_layers_and_functions_are_parts(tmp_path: Path) -> None:
    own = config(num_labels=3)
    model = tfzoo.TFPerceiverModel(own, **layers(own))
    outputs = model(inputs=SENSORS, output_attentions=True)
    assert outputs.logits.shape == (2, 3)
    assert len(outputs.cross_attentions) == 1
    expected = flatten(model(inputs=SENSORS))
    alone = {name: part for name, part in layers(own).items() if name == "input_preprocessor"}
    assert "logits" not in tfzoo.TFPerceiverModel(own, **alone)(inputs=SENSORS)

    model.save(tmp_path / "m.keras")
    assert_same(tfzoo.load_model(tmp_path / "m.keras")(inputs=SENSORS), expected)

    model.save_pretrained(tmp_path)
    again = layers(own)
    with pytest.raises(ValueError, match=r"output_postprocessor is not built.*call output_post"):
        tfzoo.TFPerceiverModel.from_pretrained(tmp_path, **again)
    again["output_postprocessor"].build((None, own.d_latents))
    loaded = tfzoo.TFPerceiverModel.from_pretrained(tmp_path, **again)
    assert_same(loaded(inputs=SENSORS), expected)


def test_wrong_tokens_and_points_are_refused() -> None:
    own = config(num_labels=3)
    model = tfzoo.TFPerceiverModel(own, **{**layers(own), "input_preprocessor": mean})
    with pytest.raises(ValueError, match=r"must make tokens \(batch, tokens, 8\), got \(2, 6\)"):
        model(inputs=SENSORS)
    model = tfzoo.TFPerceiverModel(own, **layers(own))
    with pytest.raises(ValueError, match="need a decoder with queries"):
        model(inputs=SENSORS, subsampled_output_points=np.arange(2))


def test_base_classes_are_abstract() -> None:
    with pytest.raises(TypeError, match="TFPerceiverAbstractPreprocessor is abstract"):
        tfzoo.TFPerceiverAbstractPreprocessor(config())(SENSORS)
    with pytest.raises(TypeError, match="TFPerceiverAbstractPostprocessor is abstract"):
        tfzoo.TFPerceiverAbstractPostprocessor()(SENSORS)
    with pytest.raises(TypeError, match="TFPerceiverAbstractDecoder is abstract"):
        tfzoo.TFPerceiverAbstractDecoder(config())(None, SENSORS)


class Narrow(tfzoo.TFPerceiverAbstractPreprocessor):
    """Takes any inputs."""

    num_channels = 4

    def __init__(self, config: Any, channels: int = 6, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        self.dense = self.linear(channels, self.num_channels, "dense")

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs["sensors"])


class Softmax(tfzoo.TFPerceiverAbstractPostprocessor):
    def call(self, inputs: Any, pos: Any = None, modality_sizes: Any = None) -> Any:
        return keras.ops.softmax(inputs)


def test_own_classes_are_parts(tmp_path: Path) -> None:
    own = config(num_labels=3)
    decoder = tfzoo.TFPerceiverProjectionDecoder(own)
    model = tfzoo.TFPerceiverModel(own, decoder, Narrow(own), Softmax())
    outputs = model(inputs={"sensors": SENSORS})
    np.testing.assert_allclose(outputs.logits.numpy().sum(-1), 1, rtol=1e-6)
    model.save(tmp_path / "m.keras")
    again = tfzoo.load_model(tmp_path / "m.keras")
    assert type(again.input_preprocessor) is Narrow
    assert_same(again(inputs={"sensors": SENSORS}), flatten(outputs))
