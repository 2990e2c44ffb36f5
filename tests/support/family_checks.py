"""The checks that every family gets from a tiny config and a line of inputs.

A family's test module subclasses them, which is all that it takes::

    class TestTimesformer(FamilyChecks):
        cases = CASES
        default_counts = {"TFTimesformerModel": (247, 121_258_752)}

The expected numbers are the reference's, recorded by `tests/support/record.py`; the parity tests
(`tests/support/parity_checks.py`) make them anew.
"""

from __future__ import annotations

import json
from collections import UserDict
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support.cases import Case
from tests.support.compare import assert_same, flatten
from tests.support.processes import run_python
from tests.support.shapes import shapes_only
from tfzoo.variables import slots
from weights_convert.checkpoint import open_checkpoint
from weights_convert.plan import save_plan
from weights_convert.rules import checkpoint_names, family_map

LEARNING_RATE = 0.05  # of the recorded step, as in tests/support/reference.py

_RELOAD = """
import sys, numpy as np, keras, tfzoo
root, *names = sys.argv[1:]
for i, name in enumerate(names):
    folder = f"{root}/{i}"
    inputs = dict(np.load(folder + "/inputs.npz"))
    again = tfzoo.load_model(folder + "/m.keras")
    cls = getattr(tfzoo, name)
    whole = keras.models.load_model(folder + "/m.keras")
    assert type(whole) is type(again) is cls and type(whole.config) is cls.config_class
    bare = cls(whole.config)
    bare.load_weights(folder + "/m.weights.h5")
    for k, model in enumerate((whole, again, bare)):
        np.save(f"{folder}/reloaded{k}.npy", np.asarray(model(inputs)[model.main_output]))
"""

_SERVE = """
import sys
sys.modules["keras"] = sys.modules["tfzoo"] = None  # neither may be imported
import numpy as np, tensorflow as tf
for folder in sys.argv[1:]:
    signature = tf.saved_model.load(folder + "/saved").signatures["serving_default"]
    for copies in (1, 3):
        inputs = np.load(folder + "/inputs.npz")
        tensors = {k: tf.constant(np.concatenate([v] * copies)) for k, v in inputs.items()}
        outputs = signature(**tensors)
        np.savez(f"{folder}/served{copies}.npz", **{k: v.numpy() for k, v in outputs.items()})
"""


class FamilyChecks:
    """Subclass it and set what the class attributes ask for.

    Attributes:
        cases: The family's cases; each check runs on each of them.
        default_counts: (tensors, parameters) of each class with its default config.
    """

    cases: ClassVar[tuple[Case, ...]] = ()
    default_counts: ClassVar[dict[str, tuple[int, int]]] = {}

    @pytest.fixture
    def model(self, case: Case) -> Any:
        """The recorded checkpoint in tfzoo."""
        return case.load()

    # ---- numbers
    def test_every_output_equals_the_reference(self, case: Case, model: Any) -> None:
        outputs = model(**case.make_inputs(), **case.all_flags)
        assert_same(outputs, case.recorded("outputs"), what="eager")

    @pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
    def test_graph_equals_the_reference(self, case: Case, model: Any, jit_compile: bool) -> None:
        inputs = {k: tf.constant(v) for k, v in case.make_inputs().items()}
        call = tf.function(lambda x: model(x, **case.all_flags), jit_compile=jit_compile)
        assert_same(call(inputs), case.recorded("outputs"), what="graph")

    def test_functional_model_equals_the_reference(self, case: Case, model: Any) -> None:
        inputs = case.make_inputs(with_labels=False)
        symbols = {
            k: keras.Input(v.shape[1:], dtype=str(v.dtype), name=k) for k, v in inputs.items()
        }
        wrapped = keras.Model(symbols, model(symbols)[model.main_output])
        expected = {"": case.recorded("outputs")[model.main_output]}
        assert_same(np.asarray(wrapped(inputs)), expected)

    def test_predict_equals_the_reference(self, case: Case, model: Any) -> None:
        inputs = case.make_inputs(with_labels=False)
        if case.has_equal_batches:
            size = len(next(iter(inputs.values())))
            outputs = model.predict(inputs, batch_size=size, verbose=0)
        else:
            outputs = model.predict(tf.data.Dataset.from_tensors(inputs), verbose=0)
        expected = case.recorded("outputs")[model.main_output]
        assert_same(outputs[model.main_output], {"": expected})

    # ---- inputs and outputs
    def test_all_input_forms_agree(self, case: Case, model: Any) -> None:
        inputs = case.make_inputs()
        ordered = [inputs.get(name) for name in model._table.order]
        while ordered[-1] is None:
            ordered.pop()
        expected = flatten(model(**inputs))
        for form in (inputs, UserDict(inputs), ordered, tuple(ordered)):
            assert_same(model(form), expected, bound=0)
        assert_same(model(*ordered), expected, bound=0)
        if len(inputs) == 1:
            assert_same(model(ordered[0]), expected, bound=0)

    def test_tuples_follow_the_documented_order(self, case: Case, model: Any) -> None:
        outputs = model(**case.make_inputs(), **case.all_flags)
        plain = model(**case.make_inputs(), **case.all_flags, return_dict=False)
        assert type(plain) is tuple
        assert list(outputs) == [n for n in outputs.field_names() if n in outputs]
        assert_same(flatten(plain), flatten(outputs.to_tuple()), bound=0)

    def test_config_flags_are_defaults(self, case: Case, model: Any) -> None:
        for name, value in case.flags.items():
            setattr(model.config, name, value)
        assert_same(model(**case.make_inputs(), **case.loss_flags), case.recorded("outputs"))
        model.config.return_dict = False
        assert type(model(**case.make_inputs())) is tuple

    def test_wrong_inputs_are_refused(self, case: Case, model: Any) -> None:
        inputs = case.make_inputs()
        row = model.inputs_table[0]
        with pytest.raises(ValueError, match="unknown inputs.*'nonsense'"):
            model({**inputs, "nonsense": inputs[row.name]})
        with pytest.raises(ValueError, match=f"{row.name} must have shape.*got"):
            model({**inputs, row.name: inputs[row.name][..., 0]})
        other = "int32" if "float" in row.dtype else "float32"
        with pytest.raises(ValueError, match=f"{row.name} must be .*got {other}"):
            model({**inputs, row.name: inputs[row.name].astype(other)})
        with pytest.raises(ValueError, match="given twice"):
            model(inputs, **{row.name: inputs[row.name]})
        with pytest.raises(ValueError, match="at most"):
            model([inputs[row.name]] * 99)

    # ---- weights
    def test_names_lead_there_and_back(self, case: Case, model: Any) -> None:
        places, family = slots(model), family_map(model.base_model_type)
        names = checkpoint_names(places, family)  # raises where it is no bijection
        with open_checkpoint(case.folder) as tensors:
            assert sorted(names.values()) == sorted(tensors)

    def test_checkpoint_returns_bit_equal(self, case: Case, model: Any, tmp_path: Path) -> None:
        model.save_pretrained(tmp_path)
        with open_checkpoint(case.folder) as before, open_checkpoint(tmp_path) as after:
            assert sorted(before) == sorted(after)
            for name in before:
                assert before[name] == after[name], name
                assert before.read(name).tobytes() == after.read(name).tobytes(), name
        saved = json.loads((tmp_path / "config.json").read_text())
        assert saved["architectures"] == [case.torch_class]
        assert _holds(saved, {k: v for k, v in case.config.items() if k != "num_labels"})

    def test_default_size_counts(self, case: Case) -> None:
        if case.model not in self.default_counts:
            return
        tensors, parameters = self.default_counts[case.model]
        with shapes_only():
            model = case.tf_class(case.tf_class.config_class())
        entries = save_plan(slots(model), family_map(model.base_model_type))
        assert len(entries) == tensors
        assert sum(int(np.prod(entry.shape)) for entry in entries) == parameters

    # ---- files
    def test_files_reload_in_a_fresh_process(self, tmp_path: Path) -> None:
        for i, case in enumerate(self.cases):  # one process for all: each costs seconds
            folder, model = tmp_path / str(i), case.load()
            folder.mkdir()
            np.savez(folder / "inputs.npz", **case.make_inputs(with_labels=False))
            model.save(folder / "m.keras")
            model.save_weights(folder / "m.weights.h5")
        run_python(_RELOAD, tmp_path, *(case.model for case in self.cases))
        for i, case in enumerate(self.cases):
            expected = {"": case.recorded("outputs")[case.tf_class.main_output]}
            for k in range(3):
                assert_same(np.load(tmp_path / f"{i}/reloaded{k}.npy"), expected, what=case.name)

    def test_saved_model_runs_with_tensorflow_alone(self, tmp_path: Path) -> None:
        for i, case in enumerate(self.cases):
            folder = tmp_path / str(i)
            case.load().export(folder / "saved", verbose=False)
            np.savez(folder / "inputs.npz", **case.make_inputs(with_labels=False))
        run_python(_SERVE, *(tmp_path / str(i) for i in range(len(self.cases))))
        for i, case in enumerate(self.cases):
            expected = case.recorded("outputs")[case.tf_class.main_output]
            for copies in (1, 3):
                with np.load(tmp_path / f"{i}/served{copies}.npz") as served:
                    have = served[case.tf_class.main_output]
                assert_same(have, {"": self.repeated(case, expected, copies)}, what=case.name)

    @staticmethod
    def repeated(case: Case, main_output: np.ndarray, copies: int) -> np.ndarray:
        """The main output for inputs that are repeated; other than here where rows are compared."""
        return np.concatenate([main_output] * copies)

    # ---- training
    def test_one_fit_step_equals_the_reference(self, case: Case, model: Any) -> None:
        if not case.has_loss:
            return
        places, family = slots(model), family_map(model.base_model_type)
        entries = save_plan(places, family)
        before = {e.name: places[e.path].variable.numpy() for e in entries}
        model.compile(keras.optimizers.SGD(LEARNING_RATE))
        one_batch = tf.data.Dataset.from_tensors(case.make_inputs())
        history = model.fit(one_batch, shuffle=False, verbose=0).history
        expected_loss = float(case.recorded("outputs")["loss"].mean())
        assert history["loss"][0] == pytest.approx(expected_loss, rel=1e-5)
        changes = {
            e.name: e.to_checkpoint(places[e.path].variable.numpy() - before[e.name])
            for e in entries
        }
        step = case.recorded("step")
        largest = max(float(np.abs(change).max()) for change in step.values())
        moved = {n for n, c in step.items() if np.abs(c).max() > 1e-6 * largest}  # not by rounding
        still = sorted(n for n in moved if not changes[n].any())
        assert not still, f"no gradient for {still}"
        for name, change in step.items():  # rounding is that of the largest activations
            error = np.abs(changes[name] - change).max()
            assert error <= 1e-4 * largest, f"{name}: step off by {error / largest:.1e}"

    def test_labels_inside_or_as_y_agree(self, case: Case) -> None:
        if case.labels is None:
            return
        inputs, plain = case.make_inputs(), case.make_inputs(with_labels=False)
        losses = []
        for batch in (inputs, (plain, inputs[case.tf_class.labels_input])):
            model = case.load()
            model.compile(keras.optimizers.SGD(0.1))
            one_batch = tf.data.Dataset.from_tensors(batch)
            losses.append(model.fit(one_batch, epochs=2, shuffle=False, verbose=0).history["loss"])
        assert losses[0] == pytest.approx(losses[1], rel=1e-6)
        assert losses[0][0] != losses[0][1]

    @pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "bfloat16"])
    def test_reduced_precision_stays_near(self, case: Case, policy: str) -> None:
        model = case.load(dtype=policy)
        outputs = flatten(model(**case.make_inputs()), lambda t: np.asarray(t, "float32"))
        bound = 0.03 if policy == "mixed_float16" else 0.2
        expected = {k: v for k, v in case.recorded("outputs").items() if k in outputs}
        assert_same(outputs, expected, bound=bound, what=policy)


def _holds(saved: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether a config's file has the wanted fields, those of configs inside it included."""
    return all(
        _holds(saved[k], v) if isinstance(v, dict) else saved[k] == v for k, v in wanted.items()
    )
