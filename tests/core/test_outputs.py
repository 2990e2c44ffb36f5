"""Outputs: attribute, key, index and slice; order; trees; copies."""

from __future__ import annotations

import copy
import pickle

import pytest
import tensorflow as tf

from tfzoo.core.outputs import ModelOutput, TFBaseModelOutput, TFImageClassifierOutput


def test_all_ways_to_read() -> None:
    out = TFImageClassifierOutput(loss=None, logits=1, attentions=(2, 3))
    assert out.logits == out["logits"] == out[0] == 1
    assert out[1:] == ((2, 3),)
    assert out[-1] == (2, 3)
    assert out.loss is None
    assert out.hidden_states is None
    assert list(out) == ["logits", "attentions"]
    assert out.to_tuple() == (1, (2, 3))
    assert "loss" not in out
    with pytest.raises(AttributeError, match="has no field 'nonsense'; it has loss, logits"):
        out.nonsense  # noqa: B018
    with pytest.raises(KeyError):
        out["loss"]
    with pytest.raises(IndexError):
        out[2]


def test_fields_are_inherited_in_order() -> None:
    class Longer(TFBaseModelOutput):
        more: object

    assert Longer.field_names() == ("last_hidden_state", "hidden_states", "attentions", "more")
    assert Longer(last_hidden_state=1).more is None


def test_nested_outputs_become_nested_tuples() -> None:
    out = ModelOutput(a=1, inner=TFBaseModelOutput(last_hidden_state=2))
    assert out.to_tuple() == (1, (2,))


def test_copies_keep_the_class() -> None:
    out = TFBaseModelOutput(last_hidden_state=[1], attentions=(2,))
    for twin in (copy.copy(out), copy.deepcopy(out), pickle.loads(pickle.dumps(out))):
        assert type(twin) is TFBaseModelOutput
        assert twin == out


def test_graphs_return_them_whole() -> None:
    @tf.function
    def make(flag: tf.Tensor) -> TFBaseModelOutput:
        one = TFBaseModelOutput(last_hidden_state=tf.constant(1), attentions=(tf.constant(2),))
        two = TFBaseModelOutput(last_hidden_state=tf.constant(3), attentions=(tf.constant(4),))
        return tf.cond(flag, lambda: one, lambda: two)

    out = make(tf.constant(False))
    assert type(out) is TFBaseModelOutput
    assert int(out.last_hidden_state) == 3
    assert int(out.attentions[0]) == 4
