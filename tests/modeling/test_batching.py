"""Keras's methods on processors' results, and on texts in other numbers than images or videos."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest

from tests.models.lxmert.cases import CASES as LXMERT
from tests.models.owlv2.cases import CASES as OWLV2
from tests.models.owlv2.cases import images, queries
from tests.models.timesformer.cases import CASES as TIMESFORMER
from tests.models.xclip.cases import CASES as XCLIP
from tests.models.xclip.cases import clips, texts
from tests.support.cases import Case
from tests.support.compare import assert_same, flatten
from tfzoo.preprocessing.processor import BatchFeature
from tfzoo.text.batch_encoding import BatchEncoding

DETECTOR, COMPARER = OWLV2[0], OWLV2[1]
PAIRS, UNEQUAL = XCLIP[0], XCLIP[1]
EAGER = {"run_eagerly": True}  # which spares the tracing
INDEX = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def eager(case: Case, **how: Any) -> Any:
    """The case's model, compiled to run step by step."""
    model = case.load()
    model.compile(keras.optimizers.SGD(0.0), **EAGER, **how)
    return model


def drawn(case: Case, texts_and_rows: tuple[int, int]) -> dict[str, np.ndarray]:
    """Inputs of so many texts, and images or videos."""
    rng, (count, rows) = np.random.default_rng(5), texts_and_rows
    made = texts(rng, count) if case in XCLIP else queries(rng, count)
    shape = case.make_inputs()["pixel_values"].shape[1:]
    return {**made, **(clips if case in XCLIP else images)(rng, rows, *shape)}


# ---- predict
@pytest.mark.parametrize(
    ("case", "counts", "batch_size"),
    [
        (UNEQUAL, (5, 2), 1),
        pytest.param(UNEQUAL, (2, 5), 2, marks=pytest.mark.slow),
        (PAIRS, (3, 3), 2),
        (COMPARER, (5, 3), 2),
        (DETECTOR, (6, 3), 2),
        pytest.param(DETECTOR, (2, 2), 1, marks=pytest.mark.slow),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_predict_gives_what_a_call_gives(
    case: Case, counts: tuple[int, int], batch_size: int
) -> None:
    model, inputs = eager(case), drawn(case, counts)
    model.config.output_hidden_states = True
    expected = model(inputs)
    found = model.predict(BatchFeature(inputs), batch_size=batch_size, verbose=0)
    assert type(found) is type(expected)
    assert_same(flatten(found), flatten(expected))
    assert_same(flatten(model.predict_on_batch(BatchFeature(inputs))), flatten(expected))


@pytest.mark.parametrize(
    "case", [pytest.param(UNEQUAL, marks=pytest.mark.slow), DETECTOR], ids=lambda case: case.name
)
def test_predict_takes_every_form_of_a_call(case: Case) -> None:
    model, inputs = eager(case), case.make_inputs()
    expected = {"": np.asarray(model(inputs)[model.main_output])}
    lists = {name: value.tolist() for name, value in inputs.items()}
    masked = {**inputs, "attention_mask": inputs["attention_mask"] > 0}
    for form in (
        inputs,
        BatchFeature(inputs, "tf"),
        BatchEncoding(lists),
        [inputs["input_ids"], inputs["pixel_values"], inputs["attention_mask"]],
        {**masked, "labels" if case is DETECTOR else "position_ids": None},
    ):
        found = model.predict(form, batch_size=1, verbose=0)[model.main_output]
        assert_same(found, expected)


def test_predict_in_a_graph() -> None:
    model, inputs = UNEQUAL.load(), UNEQUAL.make_inputs()
    assert_same(flatten(model.predict(inputs, batch_size=1, verbose=0)), flatten(model(inputs)))


class Batches(keras.utils.PyDataset):
    """A processor's results, one video each."""

    def __init__(self, pixels: np.ndarray) -> None:
        super().__init__()
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> tuple[BatchFeature, np.ndarray]:
        return BatchFeature({"pixel_values": self.pixels[index : index + 1]}), np.array([index])


def test_data_sets_yield_processors_results() -> None:
    model = eager(TIMESFORMER[0])
    pixels = TIMESFORMER[0].make_inputs()["pixel_values"]
    expected = {"": np.asarray(model(pixels)[model.main_output])}
    batches = Batches(pixels)
    assert_same(model.predict(batches, verbose=0)[model.main_output], expected)

    def generated() -> Iterator[tuple[BatchFeature]]:
        for index in range(len(pixels)):
            yield (batches[index][0],)

    found = model.predict(generated(), steps=len(pixels), verbose=0)
    assert_same(found[model.main_output], expected)


# ---- fit and evaluate
def test_texts_are_classes_where_y_names_them() -> None:
    model, inputs = eager(UNEQUAL, loss=INDEX, metrics=["accuracy"]), UNEQUAL.make_inputs()
    logits, y = model(inputs).logits_per_video, np.array([3, 0])
    expected = float(INDEX(y, logits))
    accuracy = float((np.argmax(logits, axis=1) == y).mean())
    features = BatchFeature(inputs)
    found = model.evaluate(features, y, batch_size=1, verbose=0, return_dict=True)
    assert found == pytest.approx({"loss": expected, "accuracy": accuracy}, rel=1e-5)
    history = model.fit(features, y, batch_size=1, validation_data=(features, y), verbose=0).history
    for name in ("loss", "val_loss"):
        assert history[name] == pytest.approx([expected], rel=1e-5)
    weighted = model.evaluate(features, y, sample_weight=np.array([1.0, 0.0]), verbose=0)[0]
    assert weighted == pytest.approx(float(INDEX(y[:1], logits[:1])) / 2, rel=1e-5)
    assert model.train_on_batch(features, y)[0] == pytest.approx(expected, rel=1e-5)
    assert model.test_on_batch(features, y)[0] == pytest.approx(expected, rel=1e-5)


def test_pairs_are_divided_together() -> None:
    model, inputs = eager(PAIRS), PAIRS.make_inputs()
    found = model.evaluate(BatchFeature(inputs), batch_size=2, verbose=0)
    batches = [{k: v[part] for k, v in inputs.items()} for part in (slice(2), slice(2, 3))]
    losses = [float(model(batch, return_loss=True).loss) for batch in batches]
    assert found == pytest.approx((2 * losses[0] + losses[1]) / 3, rel=1e-5)


@pytest.mark.parametrize("inside", [False, True], ids=["y", "labels"])
def test_a_detector_learns_from_a_processors_result(inside: bool) -> None:
    model, inputs = eager(DETECTOR), DETECTOR.make_inputs()
    labels = [
        {"boxes": [[0.3, 0.3, 0.2, 0.2], [0.7, 0.6, 0.3, 0.3]], "class_labels": [0, 2]},
        {"boxes": [[0.5, 0.5, 0.2, 0.4]], "class_labels": [2]},
    ]
    expected = float(model(inputs, labels=labels).loss)
    given = (
        (BatchFeature({**inputs, "labels": labels}),) if inside else (BatchFeature(inputs), labels)
    )
    history = model.fit(*given, batch_size=1, validation_data=given, verbose=0).history
    assert history["loss"] == pytest.approx([expected], rel=1e-5)
    assert history["val_loss"] == pytest.approx([expected], rel=1e-5)


def test_unequal_rows_without_a_meaning_are_refused() -> None:
    model, inputs = eager(UNEQUAL), UNEQUAL.make_inputs()
    for method in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=r"as many rows of input_ids as of .*got 5 and 2\. To"):
            method(inputs, verbose=0)
    detector, given = eager(DETECTOR), drawn(DETECTOR, (3, 2))
    with pytest.raises(ValueError, match="equally many rows.* got 3 of input_ids, 3 of attention"):
        detector.predict(given, verbose=0)
    pair, given = eager(LXMERT[0]), LXMERT[0].make_inputs(with_labels=False)
    with pytest.raises(ValueError, match="equally many rows, .* 1 of visual_feats"):
        pair.predict({**given, "visual_feats": given["visual_feats"][:1]}, verbose=0)
    with pytest.raises(ValueError, match="unknown inputs"):
        pair.predict(BatchFeature({**given, "words": given["input_ids"]}), verbose=0)


# ---- shapes
@pytest.mark.parametrize(
    "case",
    [pytest.param(UNEQUAL, marks=pytest.mark.slow), DETECTOR, LXMERT[0]],
    ids=lambda case: case.name,
)
def test_shapes_are_told_without_computing(case: Case) -> None:
    model, inputs = case.load(), case.make_inputs(with_labels=False)
    symbols = {k: keras.KerasTensor((None, *v.shape[1:]), str(v.dtype)) for k, v in inputs.items()}
    expected = {k: v.shape for k, v in flatten(model(inputs)).items()}
    found = model.compute_output_spec(BatchFeature(inputs))
    assert all(isinstance(x, keras.KerasTensor) for x in keras.tree.flatten(found))
    assert {k: v.shape for k, v in flatten(found, lambda x: x).items()} == expected
    open_ended = model.compute_output_spec(symbols)[model.main_output]
    assert len(open_ended.shape) == len(found[model.main_output].shape)
