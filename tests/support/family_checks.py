"""The checks that every family gets from a tiny config and a line of inputs.

A family's test module subclasses them, which is all that it takes::

    class TestTimesformer(FamilyChecks):
        cases = CASES
        default_counts = {"TFTimesformerModel": (247, 121_258_752)}

A check of numbers, weights or gradients runs on every case. One that the options do not change is
marked `@for_each_class` or `@for_one_case`: it runs on the first case of each class or of the
family; `@for_each_whole_class` leaves out the classes that are parts of others. Those that need a
fresh process are in `tests/models/test_fresh_processes.py`.

The expected numbers are the reference's, recorded by `tests/support/record.py`; the parity tests
(`tests/support/parity_checks.py`) make them anew.
"""

from __future__ import annotations

import importlib
import inspect
import json
from collections import UserDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfzoo
from tests.support.cases import Case
from tests.support.compare import assert_same, flatten
from tests.support.shapes import shapes_only
from tfzoo.core.variables import slots
from weights_convert.checkpoint import open_checkpoint
from weights_convert.plan import save_plan
from weights_convert.rules import checkpoint_names, family_map

LEARNING_RATE = 0.05  # of the recorded step, as in tests/support/reference.py


def first_of_each_class(cases: Sequence[Case]) -> list[Case]:
    """The first case of each model class."""
    return list({case.model: case for case in reversed(cases)}.values())[::-1]


def first_of_each_whole_class(cases: Sequence[Case]) -> list[Case]:
    """The first case of each model class that is no part of another."""
    return [case for case in first_of_each_class(cases) if not case.is_part]


def runs_on(choose: Callable[[Sequence[Case]], Sequence[Case]]) -> Callable:
    """The check runs on the cases that `choose` takes; see `tests/conftest.py`."""

    def marked(check: Callable) -> Callable:
        check.choose_cases = choose
        return check

    return marked


for_each_class = runs_on(first_of_each_class)
for_each_whole_class = runs_on(first_of_each_whole_class)  # where tracing takes seconds
for_one_case = runs_on(lambda cases: cases[:1])
with_a_loss = runs_on(lambda cases: [case for case in cases if case.has_loss])
with_labels = runs_on(lambda cases: first_of_each_class([c for c in cases if c.labels]))


def checks_of(family: str) -> type[FamilyChecks]:
    """The class of a family's checks."""
    module = importlib.import_module(f"tests.models.{family}.test_model")
    (found,) = (
        cls
        for _, cls in inspect.getmembers(module, inspect.isclass)
        if issubclass(cls, FamilyChecks) and cls is not FamilyChecks
    )
    return found


class FamilyChecks:
    """Subclass it and set what the class attributes ask for.

    Attributes:
        cases: The family's cases.
        default_counts: (tensors, parameters) of each class with its default config.
    """

    cases: ClassVar[tuple[Case, ...]] = ()
    default_counts: ClassVar[dict[str, tuple[int, int]]] = {}

    @pytest.fixture
    def model(self, case: Case) -> Any:
        """The recorded checkpoint in tfzoo, for checks that change it: the others take `shared`."""
        return case.load()

    @staticmethod
    def repeated(case: Case, main_output: np.ndarray, copies: int) -> np.ndarray:
        """The main output for inputs that are repeated; other than here where rows are compared."""
        return np.concatenate([main_output] * copies)

    # ---- numbers
    def test_every_output_equals_the_reference(self, case: Case, shared: Any) -> None:
        outputs = shared(**case.make_inputs(), **case.all_flags)
        assert_same(outputs, case.recorded("outputs"), what="eager")

    @for_each_whole_class
    def test_graph_equals_the_reference(self, case: Case, shared: Any) -> None:
        self.check_graph(case, shared)

    @for_one_case
    def test_xla_equals_the_reference(self, case: Case, shared: Any) -> None:
        self.check_graph(case, shared, jit_compile=True)

    @pytest.mark.slow
    @for_each_whole_class
    def test_xla_equals_the_reference_in_every_class(self, case: Case, shared: Any) -> None:
        self.check_graph(case, shared, jit_compile=True)

    @staticmethod
    def check_graph(case: Case, model: Any, jit_compile: bool = False) -> None:
        """Compare what a graph gives, compiled by XLA where asked."""
        inputs = {k: tf.constant(v) for k, v in case.make_inputs().items()}
        call = tf.function(lambda x: model(x, **case.all_flags), jit_compile=jit_compile)
        assert_same(call(inputs), case.recorded("outputs"), what="graph")

    @for_each_whole_class
    def test_functional_model_equals_the_reference(self, case: Case, shared: Any) -> None:
        inputs = case.make_inputs(with_labels=False)
        symbols = {
            k: keras.Input(v.shape[1:], dtype=str(v.dtype), name=k) for k, v in inputs.items()
        }
        wrapped = keras.Model(symbols, shared(symbols)[shared.main_output])
        expected = {"": case.recorded("outputs")[shared.main_output]}
        assert_same(np.asarray(wrapped(inputs)), expected)

    @for_each_whole_class
    def test_predict_equals_the_reference(self, case: Case, shared: Any) -> None:
        outputs = shared.predict(case.make_inputs(with_labels=False), verbose=0)
        expected = case.recorded("outputs")[shared.main_output]
        assert_same(outputs[shared.main_output], {"": expected})

    # ---- inputs and outputs
    @for_each_class
    def test_all_input_forms_agree(self, case: Case, shared: Any) -> None:
        inputs = case.make_inputs()
        ordered = [inputs.get(name) for name in shared._table.order]
        while ordered[-1] is None:
            ordered.pop()
        expected = flatten(shared(**inputs))
        for form in (inputs, UserDict(inputs), ordered, tuple(ordered)):
            assert_same(shared(form), expected, bound=0)
        assert_same(shared(*ordered), expected, bound=0)
        if len(inputs) == 1:
            assert_same(shared(ordered[0]), expected, bound=0)

    @for_each_class
    def test_tuples_follow_the_documented_order(self, case: Case, shared: Any) -> None:
        outputs = shared(**case.make_inputs(), **case.all_flags)
        plain = shared(**case.make_inputs(), **case.all_flags, return_dict=False)
        assert type(plain) is tuple
        assert list(outputs) == [n for n in outputs.field_names() if n in outputs]
        assert_same(flatten(plain), flatten(outputs.plain_tuple()), bound=0)

    @for_each_class
    def test_config_flags_are_defaults(self, case: Case, model: Any) -> None:
        for name, value in case.flags.items():
            setattr(model.config, name, value)
        assert_same(model(**case.make_inputs(), **case.loss_flags), case.recorded("outputs"))
        model.config.return_dict = False
        assert type(model(**case.make_inputs())) is tuple

    @for_each_class
    def test_wrong_inputs_are_refused(self, case: Case, shared: Any) -> None:
        inputs = case.make_inputs()
        row = shared.inputs_table[0]
        with pytest.raises(ValueError, match="unknown inputs.*'nonsense'"):
            shared({**inputs, "nonsense": inputs[row.name]})
        with pytest.raises(ValueError, match=f"{row.name} must have shape.*got"):
            shared({**inputs, row.name: inputs[row.name][..., 0]})
        other = "int32" if "float" in row.dtype else "float32"
        with pytest.raises(ValueError, match=f"{row.name} must be .*got {other}"):
            shared({**inputs, row.name: inputs[row.name].astype(other)})
        with pytest.raises(ValueError, match="given twice"):
            shared(inputs, **{row.name: inputs[row.name]})
        with pytest.raises(ValueError, match="at most"):
            shared([inputs[row.name]] * 99)

    @for_one_case
    def test_summary_shows_shapes(
        self,
        case: Case,
        shared: Any,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("COLUMNS", "200")  # of the terminal, which cuts wider lines
        shared.summary(line_length=200)
        rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
        assert len(rows) == len(shared.layers)
        assert any("(None, " in row for row in rows)
        # A model in a model may have its parts called one by one, and then no output of its own.
        assert not any(" ? " in row for row in rows if "Model)" not in row), rows

    # ---- weights
    def test_names_lead_there_and_back(self, case: Case, shared: Any) -> None:
        places, family = slots(shared), family_map(shared.base_model_type)
        names = checkpoint_names(places, family)  # raises where it is no bijection
        with open_checkpoint(case.folder) as tensors:
            assert sorted(names.values()) == sorted(tensors)

    def test_checkpoint_returns_bit_equal(self, case: Case, shared: Any, tmp_path: Path) -> None:
        shared.save_pretrained(tmp_path)
        with open_checkpoint(case.folder) as before, open_checkpoint(tmp_path) as after:
            assert sorted(before) == sorted(after)
            for name in before:
                assert before[name] == after[name], name
                assert before.read(name).tobytes() == after.read(name).tobytes(), name
        saved = json.loads((tmp_path / "config.json").read_text())
        assert saved["architectures"] == [case.torch_class]
        assert _holds(saved, {k: v for k, v in case.config.items() if k != "num_labels"})

    @for_one_case
    def test_keras_file_returns(self, case: Case, shared: Any, tmp_path: Path) -> None:
        """In a fresh process: `tests/models/test_fresh_processes.py`."""
        shared.save(tmp_path / "m.keras")
        for read in (keras.models.load_model, tfzoo.load_model):
            again = read(tmp_path / "m.keras")
            assert type(again) is case.tf_class
            assert type(again.config) is case.tf_class.config_class
            outputs = again(**case.make_inputs(), **case.all_flags)
            assert_same(outputs, case.recorded("outputs"), what="reloaded")

    def test_default_size_counts(self) -> None:
        for name, counts in self.default_counts.items():
            cls = getattr(tfzoo, name)
            with shapes_only():
                model = cls(cls.config_class())
            entries = save_plan(slots(model), family_map(model.base_model_type))
            parameters = sum(int(np.prod(entry.shape)) for entry in entries)
            assert (len(entries), parameters) == counts, name

    # ---- training
    @with_a_loss
    def test_one_fit_step_equals_the_reference(self, case: Case, model: Any) -> None:
        places, family = slots(model), family_map(model.base_model_type)
        entries = save_plan(places, family)
        before = {e.name: places[e.path].variable.numpy() for e in entries}
        in_graph = case is next(c for c in self.cases if c.has_loss)  # tracing takes seconds
        model.compile(keras.optimizers.SGD(LEARNING_RATE), run_eagerly=not in_graph)
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

    @with_labels
    def test_labels_inside_or_as_y_agree(self, case: Case) -> None:
        inputs, plain = case.make_inputs(), case.make_inputs(with_labels=False)
        losses = []
        for batch in (inputs, (plain, inputs[case.tf_class.labels_input])):
            model = case.load()
            model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)  # a graph: the step above
            one_batch = tf.data.Dataset.from_tensors(batch)
            losses.append(model.fit(one_batch, epochs=2, shuffle=False, verbose=0).history["loss"])
        assert losses[0] == pytest.approx(losses[1], rel=1e-6)
        assert losses[0][0] != losses[0][1]

    @for_each_whole_class
    @pytest.mark.parametrize(
        "policy",
        ["mixed_float16", "bfloat16", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)],
    )
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
