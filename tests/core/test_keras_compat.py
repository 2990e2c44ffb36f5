"""Tripwires: each private Keras hook that tfzoo relies on still works as tfzoo expects."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import keras
import numpy as np
import optree
import pytest
import tensorflow as tf

from tests.support.processes import run_python
from tfzoo.core import keras_compat
from tfzoo.core.file_system import writing
from tfzoo.core.outputs import ModelOutput


def test_deferred_variables_have_an_initializer_that_can_be_swapped() -> None:
    calls = []

    def own(shape: tuple, dtype: object = None) -> object:
        calls.append(shape)
        return np.full(shape, 7.0, "float32")

    def make() -> keras.layers.Layer:
        layer = keras.layers.Dense(2)
        layer.build((None, 3))
        return layer

    layer = keras_compat.build_filled(make, lambda made: [(made.kernel, own)])
    assert calls == [(3, 2)]
    assert np.all(layer.kernel.numpy() == 7.0)
    assert np.all(layer.bias.numpy() == 0.0)
    assert layer.kernel._initializer is None  # nothing keeps the checkpoint's reader alive


def test_what_a_built_layer_holds_can_be_replaced() -> None:
    model = keras.Sequential([keras.layers.Dense(2, name="dense")])
    outer = model.layers[0]
    model.build((None, 3))
    with pytest.raises(ValueError, match="cannot add new elements of state"):
        outer.bias = keras.Variable(np.zeros(5), name="bias")
    fresh = keras.Variable(np.ones(5), name="bias")
    keras_compat.replace_tracked(outer, "bias", fresh)
    assert [id(v) for v in outer.trainable_weights] == [id(outer.kernel), id(fresh)]
    with pytest.raises(ValueError, match="cannot add new elements of state"):
        outer.other = keras.Variable(np.zeros(5))


def test_autograph_leaves_calls_as_they_are_written() -> None:
    class Rewritten:
        def __call__(self, x: tf.Tensor) -> tf.Tensor:
            return -x if x < 0 else x

    class AsWritten(Rewritten):
        def __call__(self, x: tf.Tensor) -> tf.Tensor:
            return -x if x < 0 else x

    absolute, refused = Rewritten(), keras_compat.as_written(AsWritten)()
    minus = tf.constant(-1.0)
    assert tf.function(lambda x: absolute(x))(minus) == tf.function(absolute)(minus) == 1
    for call in (refused, lambda x: refused(x)):
        with pytest.raises(tf.errors.OperatorNotAllowedInGraphError):
            tf.function(call)(minus)
    assert refused(minus) == 1


def test_adopted_memory_is_not_copied_and_never_written() -> None:
    raw = np.zeros(4 * 6 + 64, np.uint8)
    array = raw[-raw.ctypes.data % 64 :][: 4 * 6].view("float32").reshape(2, 3)
    tensor = keras_compat.adopt(array)
    variable = tf.Variable(tensor)
    array[:] = 5.0
    assert np.all(tensor.numpy() == 5.0), "TensorFlow copies what DLPack hands over"
    variable.assign_add(tf.ones((2, 3)))
    assert np.all(array == 5.0)
    elsewhere = raw[4 - raw.ctypes.data % 4 :][:8].view("float32")  # at an odd multiple of 4
    elsewhere[:] = 1.0
    tensor = keras_compat.adopt(elsewhere if elsewhere.ctypes.data % 64 else elsewhere[1:])
    elsewhere[:] = 2.0
    assert np.all(tensor.numpy() == 1.0)


def test_own_variables_leave_out_sublayers_and_seeds() -> None:
    class Outer(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.inner = keras.layers.Dense(2)
            self.drop = keras.layers.Dropout(0.5)
            self.seed = keras.random.SeedGenerator()

        def build(self, shape: tuple) -> None:
            self.scale = self.add_weight(shape=(3,), name="scale")
            self.inner.build(shape)
            self.built = True

    layer = Outer()
    layer.build((None, 3))
    assert [v.name for v in keras_compat.own_variables(layer)] == ["scale"]
    assert [v.name for v in keras_compat.own_variables(layer.inner)] == ["kernel", "bias"]
    assert {"inner", "drop", "scale"} <= set(keras_compat.attributes(layer))


def test_what_trains_is_set_in_all_sublayers() -> None:
    outer = keras.Sequential([keras.layers.Dense(2), keras.layers.Dense(3)])
    outer.build((None, 4))
    for value in (True, False):
        outer.trainable = value
        outer.layers[0].trainable = not value
        keras_compat.set_trainable(value, outer)
        assert outer.trainable is outer.layers[0].trainable is value
        assert len(outer.trainable_weights) == (4 if value else 0)


def test_garbage_is_collected_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras does so for each variable that a layer drops; what waits for it is not much then."""
    gc.unfreeze()  # tests/conftest.py has set aside what pytest collected
    layer, seen = keras.layers.Dense(2), []
    layer.build((1, 3))
    collect = gc.collect
    monkeypatch.setattr(gc, "collect", lambda: (seen.append(gc.get_freeze_count()), collect()))
    with keras_compat.collected_once():
        del layer._kernel
        del layer.bias
    assert len(seen) == 3, "does Keras still collect?"
    assert min(seen[:2]) > 10_000
    assert seen[2] == gc.get_freeze_count() == 0
    gc.freeze()


def test_outputs_are_trees_to_keras() -> None:
    class Mine(ModelOutput):
        a: object

    mapped = keras.tree.map_structure(lambda x: x + 1, Mine(a=1, b=(2, 3)))
    assert type(mapped) is Mine
    assert mapped.to_tuple() == (2, (3, 4))
    assert optree.tree_leaves(Mine(a=1, b=(2, 3)), namespace="keras") == [1, 2, 3]
    traced = tf.function(lambda: Mine(a=tf.constant(1)))()
    assert type(traced) is Mine
    assert int(traced.a) == 1


def test_policy_reaches_sublayers_and_is_restored() -> None:
    before = keras.config.dtype_policy()
    with keras_compat.default_policy("mixed_bfloat16"):
        assert keras.layers.Dense(2).compute_dtype == "bfloat16"
    assert keras.config.dtype_policy() == before


def test_losses_are_shown_as_those_of_the_whole_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert keras_compat.unscaled(1.5) == 1.5
    three = type("Strategy", (), {"num_replicas_in_sync": 3})()
    monkeypatch.setattr(tf.distribute, "get_strategy", lambda: three)
    assert keras_compat.unscaled(1.5) == 4.5


def test_values_are_concrete_outside_graphs_only() -> None:
    assert keras_compat.concrete(tf.constant([1, 2])).tolist() == [1, 2]
    assert keras_compat.concrete(keras.Input((3,))) is None
    assert keras_compat.concrete(None) is None
    seen = []
    tf.function(lambda x: seen.append(keras_compat.concrete(x)) or x)(tf.constant(1))
    assert seen == [None]


@pytest.mark.parametrize(
    "hook", ["_maybe_symbolic_build", "_symbolic_build", "_aggregate_additional_loss"]
)
def test_trainer_hooks_exist(hook: str) -> None:
    assert callable(getattr(keras.Model, hook))


def test_models_know_what_they_were_compiled_with() -> None:
    def compiled(**given: object) -> tuple[bool, bool]:
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        if given:
            model.compile("sgd", **given)
        return keras_compat.has_compiled_loss(model), keras_compat.has_compiled_metrics(model)

    assert compiled() == (False, False)
    assert compiled(metrics=["mae"]) == (False, True)
    assert compiled(loss="mse") == (True, False)


class Counted(keras_compat.ModelRepairs, keras.Model):
    """A model of two outputs that counts how often its steps are traced."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = keras.layers.Dense(1), keras.layers.Dense(3)
        self.one.build((None, 2))
        self.two.build((None, 2))
        self.built = True
        self.traces = {"train": 0, "test": 0}

    def call(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"one": self.one(x), "two": self.two(x)}

    def train_step(self, data: Any) -> Any:
        self.traces["train"] += 1
        return super().train_step(data)

    def test_step(self, data: Any) -> Any:
        self.traces["test"] += 1
        return super().test_step(data)


@pytest.mark.parametrize("by", ["fit", "train_on_batch"])
def test_steps_are_traced_once(by: str) -> None:
    """Losses, metrics and optimizers that make variables in a step have it traced again."""
    model = Counted()
    losses = {"one": "mse", "two": keras.losses.SparseCategoricalCrossentropy(from_logits=True)}
    metrics = {"one": ["mae"], "two": ["accuracy"]}
    model.compile("adam", losses, metrics=metrics, jit_compile=False)
    x, y = np.ones((4, 2), "float32"), {"one": np.ones((4, 1)), "two": np.arange(4) % 3}
    if by == "fit":
        logs = model.fit(x, y, batch_size=2, validation_data=(x, y), verbose=0).history
        assert model.traces == {"train": 1, "test": 1}
    else:
        logs = model.train_on_batch(x, y, return_dict=True)
        assert model.traces == {"train": 1, "test": 0}
    assert {"loss", "one_loss", "two_loss", "one_mae", "two_accuracy"} <= set(logs)


def test_keras_speaks_where_it_may(capsys: pytest.CaptureFixture[str]) -> None:
    keras.config.disable_interactive_logging()
    keras_compat.say("hush")
    keras.config.enable_interactive_logging()
    keras_compat.say("aloud")
    assert capsys.readouterr().out == "aloud\n"


def test_summaries_show_the_shapes_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    class Own(keras.layers.Layer):
        """A layer that Keras knows no shapes of."""

        def build(self, input_shape: Any = None) -> None:
            self.built = True

        def call(self, x: Any) -> tuple[Any, Any]:
            return keras.ops.concatenate([x, x], axis=1), x

    class Model(Counted):
        """Calls one layer of its own, and one of Keras's."""

        def call(self, x: Any) -> Any:
            return self.own(self.two(x))

    model = Model()
    model.own = Own()
    symbol = keras.KerasTensor((None, 2))
    model.compute_output_spec(symbol)  # a first call leaves marks of its own
    before = dict(vars(model.own))
    with keras_compat.known_shapes(model, lambda: model.compute_output_spec(symbol)):
        model.summary(line_length=100)
    shown = capsys.readouterr().out
    assert "(None, 6)" in shown
    assert "(None, 3)" in shown
    assert vars(model.own) == before


def test_models_know_their_strategy() -> None:
    assert hasattr(keras.Sequential([keras.layers.Dense(1)]), "_distribute_strategy")


def test_the_guessed_signature_of_exports_is_switched_off() -> None:
    class Mine(keras_compat.ModelRepairs, keras.Model):
        pass

    assert isinstance(keras.Model._default_save_signature, property)
    assert Mine()._default_save_signature is None


@pytest.mark.parametrize(("answer", "expected"), [("y", True), ("n", False)])
def test_keras_asks_before_it_overwrites(
    answer: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("builtins.input", lambda text: asked.append(text) or answer)
    assert keras_compat.may_write(tmp_path, overwrite=True)
    assert keras_compat.may_write(tmp_path / "new", overwrite=False)
    assert asked == []
    assert keras_compat.may_write(tmp_path, overwrite=False) is expected
    assert str(tmp_path) in asked[0]


def test_errors_of_files_are_those_of_the_system() -> None:
    full = tf.errors.ResourceExhaustedError(None, None, "no space")
    for error in (full, RuntimeError("write failed")):
        with pytest.raises(OSError, match="x could not be written: "), writing("x"):
            raise error
    with pytest.raises(RuntimeError), writing("x"):
        raise RuntimeError


def test_legacy_keras_is_refused_with_a_clear_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "true")
    with pytest.raises(ImportError, match=r"needs Keras 3, but .* TF_USE_LEGACY_KERAS=true"):
        keras_compat._require_keras_3()


@pytest.mark.slow
def test_legacy_keras_is_refused_wherever_it_is_set() -> None:
    code = """
import tfzoo
try:
    tfzoo.TFTimesformerModel
except ImportError as error:
    print(error)
"""
    said = run_python(code, TF_USE_LEGACY_KERAS="1")
    assert "tfzoo needs Keras 3" in said
    assert "TF_USE_LEGACY_KERAS=1" in said


def test_old_keras_is_refused_with_a_clear_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras, "__version__", "2.15.0")
    with pytest.raises(ImportError, match=r"needs Keras 3.10 or newer, found 2.15.0"):
        keras_compat._require_keras_3()


def test_a_file_shows_itself_to_its_root_alone(tmp_path: Path) -> None:
    """`load_own_variables` is given what leads to the open file, for the model first."""
    seen: dict[str, Any] = {}

    class Inner(keras.layers.Dense):
        def load_own_variables(self, store: Any) -> None:
            seen["inner"] = keras_compat.whole_file(store)
            super().load_own_variables(store)

    class Outer(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Inner(2)

        def call(self, inputs: Any) -> Any:
            return self.inner(inputs)

        def load_own_variables(self, store: Any) -> None:
            file = keras_compat.whole_file(store)
            seen["outer"] = file and sorted(file)
            super().load_own_variables(store)

    model = Outer()
    model(np.ones((1, 3), "float32"))
    model.save_weights(tmp_path / "a.weights.h5")
    model.load_weights(tmp_path / "a.weights.h5")
    assert "inner" in seen["outer"]
    assert seen["inner"] is None


def test_what_could_not_be_filled_gets_no_values() -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("a first value was computed")

    def make() -> keras.layers.Layer:
        layer = keras.layers.Dense(2**20, kernel_initializer=fail)
        layer.build((None, 2**20))  # four terabytes
        return layer

    def refuse(_: Any) -> list:
        raise ValueError("of another checkpoint")

    with pytest.raises(ValueError, match="of another checkpoint"):
        keras_compat.build_filled(make, refuse)
    with keras.StatelessScope():
        pass  # at its end, Keras computes the first values that are still due
