"""What a family says about itself by the hooks of the base class, and `freeze` and `unfreeze`."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import tfzoo
from tests.models.lxmert.cases import CASES as LXMERT
from tests.models.timesformer.cases import CASES as TIMESFORMER
from tfzoo.core.inputs import Input, InputTable
from tfzoo.core.variables import slots

HEAD = TIMESFORMER[0]
PRETRAINING = next(case for case in LXMERT if case.name == "lxmert/pretraining")


def learning(model: Any) -> set[str]:
    """Paths of the weights that train."""
    ids = {id(variable) for variable in model.trainable_variables}
    return {path for path, slot in slots(model).items() if id(slot.variable) in ids}


def test_a_head_knows_its_base_model() -> None:
    model = HEAD.load()
    assert model.base_model is model.timesformer
    assert model.base_model.base_model is model.base_model


def test_keras_files_keep_the_names_of_their_layers(tmp_path: Path) -> None:
    """Keras saves what `dir` lists; with `base_model` in it old files could not be read."""
    model = HEAD.load()
    model.save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        assert json.loads(archive.read("config.json"))["class_name"] == type(model).__name__
        archive.extract("model.weights.h5", tmp_path)
    with h5py.File(tmp_path / "model.weights.h5") as file:
        assert "tf_timesformer_model" in file["layers"]  # Keras lists what follows "layers" there
        assert "base_model" not in file
    assert "timesformer" in dir(model)


def test_unused_weights_do_not_train() -> None:
    class Partly(tfzoo.TFTimesformerForVideoClassification):
        """A model of which the classifier's bias takes no part."""

        def unused_weights(self) -> list[Any]:
            return [self.classifier.bias]

    model = Partly(HEAD.load().config)
    everything = set(slots(model))
    assert learning(model) == everything - {"classifier.bias"}
    assert [id(v) for v in model.trainable_weights] == [id(v) for v in model.trainable_variables]
    assert len(model.weights) == len(everything)
    model.trainable = False
    assert model.trainable_weights == []


def test_inputs_are_prepared_after_the_checks() -> None:
    class Doubled(tfzoo.TFTimesformerForVideoClassification):
        """A model that sees everything twice as bright."""

        def prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
            assert "return_dict" not in inputs
            return {**inputs, "pixel_values": 2 * inputs["pixel_values"]}

    inputs = HEAD.make_inputs()
    twice = {**inputs, "pixel_values": 2 * inputs["pixel_values"]}
    model = Doubled.from_pretrained(HEAD.folder)
    np.testing.assert_array_equal(model(inputs).logits, HEAD.load()(twice).logits)
    with pytest.raises(ValueError, match="pixel_values is required"):
        model()


def test_inputs_have_other_names() -> None:
    row = Input("words", "int64", ("batch",), "Words.")
    table = InputTable([row], ["words"], "Mine", {"text": "words"})
    for given in (((), {"text": [1]}), (({"text": [1]},), {}), (({"text": None},), {"words": [1]})):
        assert np.array_equal(table.bind(*given)["words"], [1])
    with pytest.raises(ValueError, match="words and text are two names of one input"):
        table.bind((), {"text": [1], "words": [2]})
    with pytest.raises(ValueError, match="unknown inputs"):
        table.bind(({"texts": [1]},), {})


def test_parts_and_patterns_are_frozen_by_one_mechanism() -> None:
    class Named(tfzoo.TFTimesformerForVideoClassification):
        """A model with parts."""

        parts = {"encoder": r"^timesformer\.encoder$", "base": r"^timesformer$"}

    model = Named.from_pretrained(HEAD.folder)
    everything = learning(model)
    assert model.freeze("base") == ["timesformer"]
    assert learning(model) == {"classifier.kernel", "classifier.bias"}
    assert model.freeze("encoder") == ["timesformer.encoder"]  # the last part counts
    encoder = {path for path in everything if path.startswith("timesformer.encoder.")}
    assert learning(model) == everything - encoder
    assert model.freeze("classifier") == ["classifier"]  # a pattern adds to what is frozen
    assert learning(model) == everything - encoder - {"classifier.kernel", "classifier.bias"}
    model.unfreeze("encoder")
    assert learning(model) == everything - {"classifier.kernel", "classifier.bias"}
    model.unfreeze()
    assert learning(model) == everything
    model.freeze("base")
    assert model.freeze(None) == []
    assert learning(model) == everything
    with pytest.raises(ValueError, match="takes 'encoder', 'base' or None, got 'neck': .*no layer"):
        model.freeze("neck")
    with pytest.raises(ValueError, match="has no layer whose path matches 'neck'"):
        HEAD.load().freeze("neck")


def test_labels_of_lxmert_have_two_names() -> None:
    model = PRETRAINING.load()
    assert model.input_aliases == {"labels": "masked_lm_labels"}
    assert isinstance(model.base_model, keras.Model)
