"""LXMERT learns: every loss of its pretraining, and answers."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfzoo
from tests.models.lxmert.cases import CASES, IGNORED, all_labels, config, pairs
from tests.support.family_checks import LEARNING_RATE
from tests.support.paths import FIXTURES
from tfzoo.core.variables import slots
from tfzoo.models.lxmert.pretraining import object_loss
from weights_convert.plan import save_plan
from weights_convert.rules import family_map

BY_NAME = {case.name.split("/")[1]: case for case in CASES}
PRETRAINING, ANSWERS = BY_NAME["pretraining"], BY_NAME["answers"]
PARTS = ("loss_masked_lm", "loss_matched", "loss_obj", "loss_attr", "loss_feat", "loss_ans")
NAMES = {
    "loss_masked_lm": "masked_lm_labels",
    "loss_matched": "matched_label",
    "loss_ans": "ans",
}


@pytest.fixture(scope="module")
def recorded() -> dict[str, np.ndarray]:
    """Losses of the reference, and the change of every weight in one SGD step on their sum."""
    with np.load(FIXTURES / "models" / "lxmert" / "losses.npz") as arrays:
        return dict(arrays)


def labels() -> dict[str, Any]:
    return all_labels(np.random.default_rng(11))


def inputs() -> dict[str, np.ndarray]:
    return PRETRAINING.make_inputs(with_labels=False)


def pretraining(**changed: Any) -> Any:
    fields = config(l_layers=1, x_layers=1, **changed)
    return tfzoo.TFLxmertForPreTraining(tfzoo.LxmertConfig(**fields))


# ---- the formulas
@pytest.mark.parametrize("part", [*NAMES, "loss"])
def test_each_loss_equals_the_reference(recorded: dict[str, np.ndarray], part: str) -> None:
    model, given = PRETRAINING.load(), labels()
    chosen = {NAMES[part]: given[NAMES[part]]} if part in NAMES else given
    loss = model(**inputs(), **chosen).loss
    assert loss.shape == ()
    assert float(loss) == pytest.approx(float(recorded[part]), rel=1e-5)
    assert float(recorded["loss"]) == pytest.approx(
        sum(float(recorded[p]) for p in PARTS), rel=1e-5
    )


@pytest.mark.parametrize("task", ["obj", "attr", "feat"])
def test_each_visual_loss_equals_the_reference(recorded: dict, task: str, tmp_path: Any) -> None:
    """A checkpoint of all visual tasks loads into a model of one."""
    others = {f"visual_{other}_loss": other == task for other in ("obj", "attr", "feat")}
    fields = {**PRETRAINING.config, **others}
    model = tfzoo.TFLxmertForPreTraining.from_pretrained(
        PRETRAINING.folder, config=tfzoo.LxmertConfig(**fields)
    )
    loss = model(**inputs(), obj_labels=labels()["obj_labels"]).loss
    assert float(loss) == pytest.approx(float(recorded[f"loss_{task}"]), rel=1e-5)


def test_names_of_both_frameworks_mean_the_same(recorded: dict[str, np.ndarray]) -> None:
    model, given = PRETRAINING.load(), labels()
    torch = {"labels" if k == "masked_lm_labels" else k: v for k, v in given.items()}
    ordered = [inputs().get(name) for name in model._table.order[:7]] + list(given.values())
    for outputs in (
        model(**inputs(), **torch),
        model({**inputs(), **torch}),
        model(inputs(), **torch),
        model(ordered),
    ):
        assert float(outputs.loss) == pytest.approx(float(recorded["loss"]), rel=1e-5)
    with pytest.raises(ValueError, match="given twice"):
        model({**inputs(), **torch}, masked_lm_labels=given["masked_lm_labels"])


def test_ignored_labels_have_no_loss() -> None:
    """PyTorch's mean over no word at all is NaN; here it is 0, so that `fit` goes on."""
    model, given = PRETRAINING.load(), labels()
    nothing = {name: np.full_like(given[name], IGNORED) for name in ("masked_lm_labels", "ans")}
    assert float(model(**inputs(), **nothing).loss) == 0.0
    pair = np.full((3, 6), IGNORED), np.ones((3, 6), "float32")
    assert float(object_loss("obj", pair, np.zeros((3, 6, 5)))) == 0.0


def test_confidences_weigh_objects() -> None:
    """The divisor is the number of objects, not the sum of the confidences."""
    rng = np.random.default_rng(0)
    scores, label = rng.normal(size=(2, 4, 5)), rng.integers(0, 5, (2, 4))
    exp = np.exp(scores)
    each = -np.log(np.take_along_axis(exp, label[..., None], -1)[..., 0] / exp.sum(-1))
    confidence = rng.random((2, 4)).astype("float32")
    loss = float(object_loss("obj", (label, confidence), scores))
    assert loss == pytest.approx((each * confidence).sum() / 8, rel=1e-5)
    assert float(object_loss("attr", (label, 0 * confidence), scores)) == 0.0
    error = np.array([0.5, -3.0])  # quadratic, then linear
    features = np.zeros((1, 1, 2)), np.ones((1, 1))
    smooth = float(object_loss("feat", features, error.reshape(1, 1, 2)))
    assert smooth == pytest.approx((0.125 + 2.5) / 2, rel=1e-6)


def test_a_single_class_has_no_loss() -> None:
    """Nor an error: Keras would squeeze its scores (B, N, 1)."""
    one = {"num_object_labels": 1, "num_attr_labels": 1, "num_qa_labels": 1}
    model, (label, confidence) = pretraining(**one), labels()["obj_labels"]["obj"]
    pair = np.where(label == IGNORED, IGNORED, 0), confidence
    visual = {"obj": pair, "attr": pair, "feat": labels()["obj_labels"]["feat"]}
    given = {"obj_labels": visual, "ans": np.array([0, IGNORED, 0])}
    model.compile(jit_compile=False)
    batch = tf.data.Dataset.from_tensors({**inputs(), **given})
    found = model.evaluate(batch, verbose=0, return_dict=True)
    assert [found[name] for name in ("loss_obj", "loss_attr", "loss_ans")] == [0.0] * 3
    assert found["loss"] == pytest.approx(found["loss_feat"])
    assert found["loss"] > 0
    assert float(model(**inputs(), **given).loss) == pytest.approx(found["loss"], rel=1e-5)


def test_the_normalizer_weighs_the_visual_loss() -> None:
    given = {"obj_labels": labels()["obj_labels"]}
    once, twice = (
        float(PRETRAINING.load(visual_loss_normalizer=weight)(**inputs(), **given).loss)
        for weight in (3.0, 6.0)
    )
    assert twice == pytest.approx(2 * once, rel=1e-6)


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("task_mask_lm", "masked_lm_labels"),
        ("task_matched", "matched_label"),
        ("task_qa", "ans"),
        ("task_obj_predict", "obj_labels"),
    ],
)
def test_labels_of_a_task_that_is_off_have_no_loss(task: str, name: str) -> None:
    model, given = pretraining(**{task: False}), labels()
    assert float(model(**inputs(), **{name: given[name]}).loss) == 0.0
    assert model(**inputs()).loss is None
    part = {
        "masked_lm_labels": "loss_masked_lm",
        "matched_label": "loss_matched",
        "ans": "loss_ans",
    }
    gone = [part[name]] if name in part else ["loss_obj", "loss_attr", "loss_feat"]
    assert model.component_losses == tuple(p for p in PARTS if p not in gone)


def test_answers_are_a_number_where_the_task_is_off() -> None:
    model = BY_NAME["few_tasks"].load()
    outputs = model(**inputs())
    pooled = model.lxmert(**inputs()).pooled_output
    assert float(outputs.question_answering_score) == float(pooled[0, 0])
    predicted = model.predict(inputs(), batch_size=2, verbose=0)  # no such number in batches
    assert "question_answering_score" not in predicted
    assert predicted.prediction_logits.shape == (3, 9, 37)


# ---- steps
def test_one_step_of_all_losses_equals_the_reference(recorded: dict[str, np.ndarray]) -> None:
    model = PRETRAINING.load()
    places = slots(model)
    entries = save_plan(places, family_map("lxmert"))
    before = {e.name: places[e.path].variable.numpy() for e in entries}
    model.compile(keras.optimizers.SGD(LEARNING_RATE))
    batch = tf.data.Dataset.from_tensors({**inputs(), **labels()})
    history = model.fit(batch, shuffle=False, verbose=0).history
    assert set(history) == {"loss", *PARTS}
    for name, values in history.items():
        assert values[0] == pytest.approx(float(recorded[name]), rel=1e-5), name
    steps = {k.removeprefix("step/"): v for k, v in recorded.items() if k.startswith("step/")}
    assert set(steps) == {e.name for e in entries}  # every weight has a gradient
    largest = max(float(np.abs(step).max()) for step in steps.values())
    for entry in entries:
        change = entry.to_checkpoint(places[entry.path].variable.numpy() - before[entry.name])
        error = np.abs(change - steps[entry.name]).max()
        assert error <= 1e-5 * largest, f"{entry.name}: off by {error / largest:.1e}"


def test_lookups_do_not_train_the_padding_row() -> None:
    """PyTorch's rule; the words' row learns through the head that scores words alone."""
    for case in (ANSWERS, PRETRAINING):
        model = case.load()
        embeddings = model.lxmert.embeddings
        tables = {
            name: getattr(embeddings, f"{name}_embeddings").embeddings
            for name in ("word", "position", "token_type")
        }
        before = {name: table.numpy() for name, table in tables.items()}
        model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
        given = case.make_inputs(with_labels=False)
        assert (given["input_ids"] == 0).any(), "the row must be looked up"
        more = labels() if case is PRETRAINING else {"labels": np.array([1, 2, 3])}
        model.fit(tf.data.Dataset.from_tensors({**given, **more}), shuffle=False, verbose=0)
        for name, table in tables.items():
            moved = np.abs(table.numpy() - before[name]).max(1)
            assert moved[1:].max() > 0, name
            assert (moved[0] > 0) == (name == "word" and case is PRETRAINING), name


def test_fresh_padding_rows_are_zero() -> None:
    embeddings = pretraining().lxmert.embeddings
    for name in ("word", "position", "token_type"):
        table = getattr(embeddings, f"{name}_embeddings").embeddings.numpy()
        assert not table[0].any()
        assert np.abs(table[1:]).max(1).min() > 0


# ---- fit
def batch_forms() -> list[Any]:
    """One batch, its labels inside or as `y`, under either name."""
    given, x = labels(), inputs()
    torch = {"labels" if k == "masked_lm_labels" else k: v for k, v in given.items()}
    ordered = tuple(
        x[name] for name in tfzoo.TFLxmertModel(tfzoo.LxmertConfig(**config()))._table.order[:6]
    )
    return [{**x, **given}, {**x, **torch}, (x, given), (x, torch), (ordered, given)]


def test_all_forms_of_batches_agree(recorded: dict[str, np.ndarray]) -> None:
    for batch in batch_forms():
        model = PRETRAINING.load()
        model.compile(keras.optimizers.SGD(1e-3), run_eagerly=True)
        data = tf.data.Dataset.from_tensors(batch)
        results = model.evaluate(data, verbose=0, return_dict=True)
        history = model.fit(data, shuffle=False, verbose=0).history
        for name in ("loss", *PARTS):
            assert results[name] == pytest.approx(float(recorded[name]), rel=1e-5)
            assert history[name][0] == pytest.approx(float(recorded[name]), rel=1e-5)


@pytest.mark.slow
def test_fit_cuts_arrays_into_batches() -> None:
    rng = np.random.default_rng(0)
    given = {name: np.concatenate([value] * 4) for name, value in pairs(rng).items()}
    more = keras.tree.map_structure(lambda value: np.concatenate([value] * 4), labels())
    model = PRETRAINING.load()
    accuracy = keras.metrics.SparseCategoricalAccuracy(name="found")
    model.compile(keras.optimizers.Adam(3e-3), metrics=[accuracy], run_eagerly=True)
    history = model.fit(given, more, batch_size=6, epochs=3, verbose=0).history
    assert {"loss", "found", *PARTS} == set(history)
    assert all(history[name][-1] < history[name][0] for name in ("loss", *PARTS))


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_masked_words_alone_may_be_y() -> None:
    model, words = PRETRAINING.load(), labels()["masked_lm_labels"]
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    history = model.fit(inputs(), words, batch_size=3, verbose=0).history
    assert history["loss"][0] == pytest.approx(history["loss_masked_lm"][0])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=IGNORED)
    model.compile(keras.optimizers.SGD(0.0), loss=loss, run_eagerly=True)
    other = model.fit(inputs(), words, batch_size=3, verbose=0).history["loss"]
    assert other[0] == pytest.approx(history["loss"][0], rel=1e-5)


def test_weights_of_samples() -> None:
    model = PRETRAINING.load()
    model.compile("sgd")
    weighted = tf.data.Dataset.from_tensors((inputs(), labels(), np.ones(3, "float32")))
    with pytest.raises(ValueError, match="takes no sample_weight: its loss counts words, samples"):
        model.fit(weighted, shuffle=False, verbose=0)
    answers = ANSWERS.load()
    answers.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    weights = np.array([2.0, 0.0, 1.0], "float32")
    data = tf.data.Dataset.from_tensors((inputs(), np.array([1, 2, 3]), weights))
    scores = np.asarray(answers(**inputs()).question_answering_score, "float64")
    each = np.log(np.exp(scores).sum(1)) - scores[[0, 1, 2], [1, 2, 3]]
    assert answers.evaluate(data, verbose=0) == pytest.approx((each * weights).sum() / 3, rel=1e-5)


def test_no_labels_are_named() -> None:
    for case in (PRETRAINING, ANSWERS):
        model = case.load()
        model.compile("sgd")
        with pytest.raises(ValueError, match=r"no labels. Pass y, put '(masked_lm_)?labels' into"):
            model.fit(inputs(), batch_size=3, verbose=0)


def test_what_no_loss_reaches_is_left_out() -> None:
    """A fit whose labels are complete warns of nothing, and all that it names learns."""
    off = {"task_matched": False, "task_mask_lm": False, "task_qa": False}
    for model, given in (
        (ANSWERS.load(), {"labels": np.array([1, 2, 3])}),
        (pretraining(), labels()),
        (pretraining(task_obj_predict=False), labels()),
        (pretraining(**off), {"obj_labels": labels()["obj_labels"]}),
        (
            pretraining(visual_obj_loss=False, visual_attr_loss=False, visual_feat_loss=False),
            {k: v for k, v in labels().items() if k != "obj_labels"},
        ),
    ):
        before = {path: slot.variable.numpy() for path, slot in slots(model).items()}
        model.compile(keras.optimizers.SGD(0.5), run_eagerly=True)
        model.fit(tf.data.Dataset.from_tensors({**inputs(), **given}), shuffle=False, verbose=0)
        trained = {id(variable) for variable in model.trainable_variables}
        for path, slot in slots(model).items():
            if path.endswith("key.bias"):  # shifts all scores of a row alike
                continue
            moved = not np.array_equal(slot.variable.numpy(), before[path])
            assert moved == (id(slot.variable) in trained), path


@pytest.mark.slow
def test_answers_are_learnt() -> None:
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(3)
    dropout = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
    fields = config(hidden_size=24, l_layers=1, x_layers=1, **dropout)
    model = tfzoo.TFLxmertForQuestionAnswering(tfzoo.LxmertConfig(**fields))
    given = {k: np.concatenate([v, v]) for k, v in pairs(rng).items()}
    given["visual_feats"][3:] *= -1  # the answer is what the eyes see, not the text
    right = np.array([0, 1, 2, 3, 4, 5])
    model.compile(keras.optimizers.Adam(5e-3, global_clipnorm=1.0), metrics=["accuracy"])
    history = model.fit(given, right, batch_size=6, epochs=80, verbose=0).history
    assert history["loss"][-1] < 0.1 < history["loss"][0]
    scores = model.predict(given, verbose=0).question_answering_score
    assert scores.argmax(-1).tolist() == right.tolist()


def test_the_gradient_of_the_words_table_is_made_once() -> None:
    """A table for each sample would be 94 MB each at the published size."""
    model, given = pretraining(), {**inputs(), **labels()}

    @tf.function
    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = model(**given).loss
        return tape.gradient(loss, model.lxmert.embeddings.word_embeddings.embeddings)

    whole = model.config.vocab_size * model.config.hidden_size
    operations = step.get_concrete_function().graph.get_operations()
    sizes = [out.shape.num_elements() or 0 for op in operations for out in op.outputs]
    assert whole in sizes
    assert max(sizes) < len(given["input_ids"]) * whole
