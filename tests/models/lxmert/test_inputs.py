"""LXMERT takes its inputs in every form that the documentation of the TF classes describes."""

from __future__ import annotations

from collections import UserDict
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfzoo
from tests.models.lxmert.cases import CASES, all_labels, config, objects, texts
from tests.support.cases import FLAGS
from tests.support.compare import assert_same, flatten

BY_NAME = {case.name.split("/")[1]: case for case in CASES}
ORDER = (
    "input_ids",
    "visual_feats",
    "visual_pos",
    "attention_mask",
    "visual_attention_mask",
    "token_type_ids",
    "inputs_embeds",
)


@pytest.fixture(scope="module")
def model() -> Any:
    return BY_NAME["model"].load()


@pytest.fixture(scope="module")
def inputs() -> dict[str, np.ndarray]:
    return BY_NAME["model"].make_inputs()


def only(inputs: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: inputs[name] for name in names}


# ---- "All inputs as keyword arguments (like PyTorch models)"
def test_all_inputs_as_keywords(model: Any, inputs: dict[str, np.ndarray]) -> None:
    assert_same(model(**inputs, **FLAGS), BY_NAME["model"].recorded("outputs"))


def test_arguments_stand_in_the_documented_order() -> None:
    flags = ("output_attentions", "output_hidden_states", "return_dict")
    labels = ("masked_lm_labels", "obj_labels", "matched_label", "ans")
    for name, own in (("model", ()), ("pretraining", labels), ("answers", ("labels",))):
        assert BY_NAME[name].load()._table.order == (*ORDER, *own, *flags)


# ---- "All inputs as a list, tuple or dict in the first positional argument"
def test_a_list_of_varying_length_in_the_order_of_the_docstring(
    model: Any, inputs: dict[str, np.ndarray]
) -> None:
    for length in range(3, len(inputs) + 1):
        names = ORDER[:length]
        expected = flatten(model(**only(inputs, *names)))
        values = [inputs[name] for name in names]
        for form in (values, tuple(values), [tf.constant(value) for value in values]):
            assert_same(model(form), expected, bound=0)
        assert_same(model(*values), expected, bound=0)


def test_a_list_may_have_gaps(model: Any, inputs: dict[str, np.ndarray]) -> None:
    names = ("input_ids", "visual_feats", "visual_pos", "visual_attention_mask")
    values = [inputs[name] for name in names]
    expected = flatten(model(**only(inputs, *names)))
    assert_same(model([*values[:3], None, values[3]]), expected, bound=0)


def test_a_dict_with_one_or_several_of_the_named_inputs(
    model: Any, inputs: dict[str, np.ndarray]
) -> None:
    """In any order of the names; what is None counts as absent."""
    expected = flatten(model(**inputs))
    turned = dict(reversed(inputs.items()))
    for form in (inputs, turned, UserDict(turned), {**inputs, "inputs_embeds": None}):
        assert_same(model(form), expected, bound=0)


def test_a_single_tensor_with_input_ids_only(model: Any, inputs: dict[str, np.ndarray]) -> None:
    """Nothing else is nothing to look at: the rest has to come by keyword."""
    with pytest.raises(ValueError, match=r"visual_feats is required, of shape \(batch, objects"):
        model(inputs["input_ids"])
    rest = {name: value for name, value in inputs.items() if name != "input_ids"}
    assert_same(model(inputs["input_ids"], **rest), flatten(model(**inputs)), bound=0)


def test_the_documented_list_of_ids_and_mask_names_the_order(
    model: Any, inputs: dict[str, np.ndarray]
) -> None:
    """The example of the documents is BERT's; here the second place is the features'."""
    mask = inputs["attention_mask"].astype("float32")
    for form in ([inputs["input_ids"], mask], (inputs["input_ids"], mask)):
        with pytest.raises(ValueError, match=r"visual_feats must have.*order input_ids, visual_f"):
            model(form)


@pytest.mark.parametrize("convert", [np.asarray, tf.constant, lambda x: x.tolist()])
def test_arrays_tensors_and_plain_lists(
    model: Any, inputs: dict[str, np.ndarray], convert: Any
) -> None:
    converted = {name: convert(value) for name, value in inputs.items()}
    assert_same(model(**converted), flatten(model(**inputs)))


# ---- "when creating your own layers or models with the Keras Functional API"
def symbols(inputs: dict[str, np.ndarray]) -> dict[str, Any]:
    """Of free lengths."""
    return {
        name: keras.Input((None, *value.shape[2:]), dtype=str(value.dtype), name=name)
        for name, value in inputs.items()
    }


@pytest.mark.parametrize(
    "form", ["dict", *(pytest.param(form, marks=pytest.mark.slow) for form in ("list", "keywords"))]
)
def test_functional_models(model: Any, inputs: dict[str, np.ndarray], form: str) -> None:
    given = only(inputs, *ORDER[:6])
    places = symbols(given)
    outputs = {
        "dict": lambda: model(places),
        "list": lambda: model(list(places.values())),
        "keywords": lambda: model(**places),
    }[form]()
    scores = keras.layers.Dense(2, name="scores")(outputs.pooled_output)
    wrapped = keras.Model(places, {"scores": scores, "vision": outputs.vision_output})
    expected = model(given)
    result = wrapped(given)
    kernel, bias = wrapped.get_layer("scores").get_weights()
    pooled = expected.pooled_output.numpy() @ kernel + bias
    assert_same(result, {"scores": pooled, "vision": expected.vision_output.numpy()})
    wrapped.compile("sgd", loss={"scores": keras.losses.MeanSquaredError(), "vision": None})
    longer = {**texts(np.random.default_rng(1), 4, 11), **objects(np.random.default_rng(1), 4, 3)}
    assert wrapped.predict(longer, verbose=0)["vision"].shape == (4, 3, 12)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_functional_models_train(inputs: dict[str, np.ndarray]) -> None:
    keras.utils.set_random_seed(0)
    base = tfzoo.TFLxmertMainLayer.from_pretrained(BY_NAME["model"].folder)
    assert isinstance(base, keras.layers.Layer)
    places = symbols(inputs)
    wrapped = keras.Model(places, keras.layers.Dense(2)(base(places).pooled_output))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    wrapped.compile(keras.optimizers.Adam(0.01), loss=loss, run_eagerly=True)
    history = wrapped.fit(inputs, np.array([0, 1, 1]), epochs=3, verbose=0).history["loss"]
    assert history[-1] < history[0]


# ---- "training (bool, optional, defaults to False)"
def test_training_switches_dropout_on() -> None:
    rates = {"hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.3}
    model = tfzoo.TFLxmertModel(tfzoo.LxmertConfig(**config(**rates)))
    inputs = BY_NAME["model"].make_inputs()
    still = flatten(model(inputs))
    assert_same(model(inputs, training=False), still, bound=0)
    one, two = (model(**inputs, training=True).pooled_output for _ in range(2))
    assert np.abs(one - two).max() > 0
    call = tf.function(lambda x: model(x, training=True).pooled_output)
    assert np.abs(call(inputs) - call(inputs)).max() > 0


@pytest.mark.parametrize("rate", ["hidden_dropout_prob", "attention_probs_dropout_prob"])
def test_each_rate_has_its_places(rate: str) -> None:
    """Dropout follows the embeddings, each projection back and each map, and nothing else."""
    model = tfzoo.TFLxmertModel(tfzoo.LxmertConfig(**config(**{rate: 0.5})))
    found = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Dropout)]
    blocks, cross = 2 + 1, 2
    maps = blocks + 3 * cross
    results = 2 + 2 * blocks + 5 * cross
    assert len(found) == (results if rate == "hidden_dropout_prob" else maps)


# ---- output_attentions, output_hidden_states, return_dict, also in graphs
def test_flags_count_in_graphs(model: Any, inputs: dict[str, np.ndarray]) -> None:
    tensors = {name: tf.constant(value) for name, value in inputs.items()}
    outputs = tf.function(lambda x: model(x, output_attentions=True))(tensors)
    assert len(outputs.language_attentions) == 2
    assert outputs.language_hidden_states is None
    plain = tf.function(lambda x: model(x, return_dict=False))(tensors)
    assert type(plain) is tuple
    assert len(plain) == 3


@pytest.mark.parametrize("name", ["deep", "no_cross", "cross_alone"])
def test_hidden_states_and_attentions_as_listed(name: str) -> None:
    case = BY_NAME[name]
    model, given = case.load(), case.make_inputs()
    counts = {key: case.config[f"{key}_layers"] for key in "lrx"}
    tokens, boxes = given["input_ids"].shape[1], given["visual_feats"].shape[1]
    out = model(given, **FLAGS)
    assert [t.shape for t in out.language_hidden_states] == [(3, tokens, 12)] * (
        counts["l"] + counts["x"]
    )
    assert [t.shape for t in out.vision_hidden_states] == [(3, boxes, 12)] * (
        counts["r"] + counts["x"]
    )
    assert [t.shape for t in out.language_attentions] == [(3, 3, tokens, tokens)] * counts["l"]
    assert [t.shape for t in out.vision_attentions] == [(3, 3, boxes, boxes)] * counts["r"]
    assert [t.shape for t in out.cross_encoder_attentions] == [(3, 3, tokens, boxes)] * counts["x"]
    last = {"l": out.language_hidden_states[-1], "v": out.vision_hidden_states[-1]}
    assert_same({"l": out.language_output, "v": out.vision_output}, flatten(last), bound=0)
    for flags in ({"output_attentions": True}, {"output_hidden_states": True}, {}):
        plain = model(given, **flags, return_dict=False)
        assert len(plain) == 3 + 3 * ("output_attentions" in flags) + 2 * (
            "output_hidden_states" in flags
        )
    model.config.output_attentions = True  # the call wins over the config, in both directions
    assert model(given, output_attentions=False).language_attentions is None


# ---- texts and objects
@pytest.mark.parametrize("number", [1, 5, 9, 40])
def test_masks_of_objects_have_any_length(model: Any, number: int) -> None:
    """The older TF class failed unless there were as many objects as tokens."""
    given = {**texts(np.random.default_rng(2)), **objects(np.random.default_rng(2), 3, 40)}
    for name in ("visual_feats", "visual_pos", "visual_attention_mask"):
        given[name] = given[name][:, :number]
    whole = model(**given)
    given["visual_attention_mask"] = (np.arange(number) < max(number - 2, 1))[None].repeat(3, 0)
    cut = max(number - 2, 1)
    fewer = {**given, **{k: given[k][:, :cut] for k in given if k.startswith("visual")}}
    masked, short = model(**given), model(**fewer)
    assert_same(masked.language_output, {"": short.language_output.numpy()})
    assert_same(masked.vision_output[:, :cut], {"": short.vision_output.numpy()})
    if number > 2:
        assert np.abs(masked.language_output - whole.language_output).max() > 1e-3


def test_masks_of_any_kind_agree(model: Any, inputs: dict[str, np.ndarray]) -> None:
    expected = flatten(model(inputs))
    for dtype in ("bool", "float32", "int32", "float64"):
        masks = {k: v.astype(dtype) for k, v in inputs.items() if k.endswith("mask")}
        assert_same(model({**inputs, **masks}), expected, bound=0)
    ones = {k: np.ones_like(v) for k, v in inputs.items() if k.endswith("mask")}
    without = {k: v for k, v in inputs.items() if k not in ones}
    assert_same(model({**inputs, **ones}), flatten(model(without)))


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "float16", "bfloat16"])
def test_rows_that_are_all_padding_have_no_nan(policy: str) -> None:
    model, given = BY_NAME["model"].load(dtype=policy), BY_NAME["model"].make_inputs()
    for name in ("attention_mask", "visual_attention_mask"):
        given[name][1] = 0
        given[name][2, 0] = 0  # padding on the left
    for value in flatten(model(given, **FLAGS), lambda t: np.asarray(t, "float32")).values():
        assert np.isfinite(value).all()


def test_inputs_embeds_stand_for_ids(inputs: dict[str, np.ndarray]) -> None:
    case = BY_NAME["pretraining"]
    model, labels = case.load(), all_labels(np.random.default_rng(0))
    table = model.get_input_embeddings().embeddings.numpy()
    rest = {name: value for name, value in inputs.items() if name != "input_ids"}
    embeds = table[inputs["input_ids"]]
    expected = flatten(model(**inputs, **labels))
    assert_same(model(**rest, inputs_embeds=embeds, **labels), expected)
    listed = [None, *(rest.get(name) for name in ORDER[1:-1]), embeds]
    assert_same(model(listed), flatten(model(**inputs)))


def test_types_of_tokens_count(model: Any, inputs: dict[str, np.ndarray]) -> None:
    plain = {k: v for k, v in inputs.items() if k != "token_type_ids"}
    zeros = np.zeros_like(inputs["token_type_ids"])
    expected = flatten(model(plain))
    assert_same(model({**plain, "token_type_ids": zeros}), expected, bound=0)
    other = model({**plain, "token_type_ids": zeros + 2}).language_output
    assert np.abs(other - expected["language_output"]).max() > 1e-3


def test_lengths_may_change_in_a_graph(model: Any) -> None:
    free = {
        "input_ids": tf.TensorSpec((None, None), tf.int64),
        "visual_feats": tf.TensorSpec((None, None, 10)),
        "visual_pos": tf.TensorSpec((None, None, 4)),
        "attention_mask": tf.TensorSpec((None, None), tf.bool),
        "visual_attention_mask": tf.TensorSpec((None, None), tf.int32),
    }
    call = tf.function(lambda x: model(x, **FLAGS), input_signature=[free])
    for count, length, number in ((1, 1, 2), (2, 16, 3), (3, 4, 20)):
        rng = np.random.default_rng(length)
        given = {**texts(rng, count, max(length, 3)), **objects(rng, count, number)}
        given = {
            k: v[:, :length] if k in ("input_ids", "attention_mask") else v
            for k, v in given.items()
            if k in free
        }
        given["attention_mask"] = given["attention_mask"].astype(bool)
        given["visual_attention_mask"] = given["visual_attention_mask"].astype("int32")
        assert_same(
            call({k: tf.constant(v) for k, v in given.items()}), flatten(model(given, **FLAGS))
        )
    assert call.experimental_get_tracing_count() == 1
