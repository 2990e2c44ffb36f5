"""LXMERT: the common checks, and what is its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import tfzoo
from tests.models.lxmert.cases import CASES, config
from tests.support.cases import FLAGS
from tests.support.compare import assert_same, flatten
from tests.support.family_checks import FamilyChecks
from tests.support.shapes import shapes_only
from tfzoo.core.config import ConfigError
from tfzoo.core.variables import slots
from weights_convert.errors import WeightMismatchError

BY_NAME = {case.name.split("/")[1]: case for case in CASES}


# Keras says so of the heads whose labels are not among the inputs.
PARTLY = pytest.mark.filterwarnings("ignore:Gradients do not exist")


@PARTLY
class TestLxmert(FamilyChecks):
    cases = CASES
    default_counts = {
        "TFLxmertModel": (449, 207_936_768),
        "TFLxmertForPreTraining": (472, 228_051_752),
        "TFLxmertForQuestionAnswering": (455, 223_722_524),
    }


def tiny(cls: str = "TFLxmertForPreTraining", **changed: Any) -> Any:
    return getattr(tfzoo, cls)(tfzoo.LxmertConfig(**config(**changed)))


PRETRAINING, ANSWERS = BY_NAME["pretraining"], BY_NAME["answers"]


# ---- sizes and configs
@pytest.mark.parametrize(
    ("answers", "parameters"), [(9500, 223_722_524), (3129, 213_930_297)], ids=["base", "vqa"]
)
def test_published_sizes(answers: int, parameters: int) -> None:
    with shapes_only():
        cls = tfzoo.TFLxmertForQuestionAnswering
        model = cls(tfzoo.LxmertConfig(num_qa_labels=answers))
    shapes = [slot.shape for slot in slots(model).values()]
    assert (len(shapes), sum(int(np.prod(shape)) for shape in shapes)) == (455, parameters)


def test_layer_counts_are_a_dict(tmp_path: Path) -> None:
    fields = {"l_layers": 3, "x_layers": 2, "r_layers": 1}
    made = tfzoo.LxmertConfig(**fields)
    assert made.num_hidden_layers == {"vision": 1, "cross_encoder": 2, "language": 3}
    made.save_pretrained(tmp_path)
    again = tfzoo.AutoConfig.from_pretrained(tmp_path)
    assert again == made
    assert json.loads((tmp_path / "config.json").read_text())["num_hidden_layers"]["vision"] == 1
    kept = tfzoo.LxmertConfig(**fields, num_hidden_layers={"vision": 9})
    assert kept.num_hidden_layers == {"vision": 9}
    assert tiny("TFLxmertModel", num_hidden_layers=77).encoder.layer[1] is not None


def test_wrong_configs_are_refused() -> None:
    for name, lost in (("l_layers", "language"), ("r_layers", "vision")):
        with pytest.raises(ConfigError, match=f"{name} and x_layers are both 0.* {lost} without"):
            tfzoo.LxmertConfig(**{name: 0, "x_layers": 0})
    with pytest.raises(ConfigError, match="LxmertConfig.x_layers must be an integer >= 0"):
        tfzoo.LxmertConfig(x_layers=-1)
    with pytest.raises(ValueError, match="width 12 is not a multiple of the 5 heads"):
        tiny(num_attention_heads=5)
    with pytest.raises(ValueError, match="Unknown activation 'nonsense'"):
        tiny(hidden_act="nonsense")


def test_activations_may_be_functions() -> None:
    by_name, inputs = BY_NAME["deep"].load(), BY_NAME["deep"].make_inputs()
    fields = {**BY_NAME["deep"].config, "hidden_act": keras.ops.relu}
    function = tfzoo.TFLxmertModel.from_pretrained(
        BY_NAME["deep"].folder, config=tfzoo.LxmertConfig(**fields)
    )
    assert_same(function(inputs), flatten(by_name(inputs)), bound=0)


def test_epsilon_is_the_configs() -> None:
    """As in the TF classes; PyTorch's hold 1e-12 in their code, as all published configs do."""
    case = BY_NAME["model"]
    fields = tfzoo.LxmertConfig(**{**case.config, "layer_norm_eps": 0.5})
    other = tfzoo.TFLxmertModel.from_pretrained(case.folder, config=fields)(case.make_inputs())
    expected = case.recorded("outputs")["language_output"]
    assert np.abs(other.language_output - expected).max() > 0.01


def test_another_epsilon_in_a_file_is_warned_of(tmp_path: Path) -> None:
    case = BY_NAME["model"]
    case.load(layer_norm_eps=1e-5).save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="layer_norm_eps is 1e-05.*classes compute with 1e-12"):
        tfzoo.TFAutoModel.from_pretrained(tmp_path)
    own = tfzoo.TFLxmertModel.from_pretrained(tmp_path, layer_norm_eps=1e-12)  # which is silent
    assert_same(own(case.make_inputs(), **FLAGS), case.recorded("outputs"))


def test_fresh_weights_differ_and_have_the_std() -> None:
    model = tiny("TFLxmertModel", hidden_size=48, initializer_range=0.1)
    block = model.encoder.layer[0].attention
    kernels = [getattr(block, name).kernel for name in ("query", "key", "value", "out")]
    kernels += [model.encoder.layer[1].attention.query.kernel, model.pooler.kernel]
    for i, one in enumerate(kernels):
        assert float(np.std(one)) == pytest.approx(0.1, rel=0.1)
        assert all(np.abs(one - other).max() > 1e-2 for other in kernels[:i])


# ---- what is the family's own
def test_both_directions_share_their_weights() -> None:
    case = BY_NAME["cross_alone"]
    model, inputs = case.load(), case.make_inputs()
    before = model(inputs, **FLAGS)
    attention = model.encoder.x_layers[0].visual_attention
    attention.value.kernel.assign(2 * attention.value.kernel)
    after = model(inputs, **FLAGS)
    for name in ("language_output", "vision_output"):
        assert np.abs(after[name] - before[name]).max() > 1e-2
    assert_same(
        after.cross_encoder_attentions[0], {"": before.cross_encoder_attentions[0].numpy()}, bound=0
    )


def test_layers_of_the_reference_are_layers_here() -> None:
    model, inputs = BY_NAME["model"].load(), BY_NAME["model"].make_inputs()
    encoder = model.encoder
    assert type(encoder) is tfzoo.TFLxmertEncoder
    assert type(encoder.visn_fc) is tfzoo.TFLxmertVisualFeatureEncoder
    assert {type(layer) for layer in encoder.x_layers} == {tfzoo.TFLxmertXLayer}
    vision = encoder.visn_fc(inputs["visual_feats"], inputs["visual_pos"])
    words = model.embeddings(inputs["input_ids"])
    language, vision, maps = encoder.x_layers[0](words, vision, output_attentions=True)
    assert (language.shape, vision.shape, maps.shape) == ((3, 9, 12), (3, 6, 12), (3, 3, 9, 6))
    fresh = tfzoo.TFLxmertVisualFeatureEncoder(model.config)
    assert fresh(inputs["visual_feats"], inputs["visual_pos"]).shape == (3, 6, 12)


# ---- answers
@pytest.mark.parametrize("count", [3, 11])
@pytest.mark.parametrize("cls", ["TFLxmertForPreTraining", "TFLxmertForQuestionAnswering"])
def test_answers_can_be_resized(cls: str, count: int, tmp_path: Path) -> None:
    model, inputs = getattr(tfzoo, cls).from_pretrained(PRETRAINING.folder), pairs_of_three()
    if cls == "TFLxmertForPreTraining":
        before = PRETRAINING.recorded("outputs")["question_answering_score"]
    else:
        before = model(inputs).question_answering_score.numpy()
    kernel, bias = model.get_qa_logit_layer().get_weights()
    model.compile("sgd")
    layer = model.resize_num_qa_labels(count)
    assert layer is model.get_qa_logit_layer()
    assert model.config.num_qa_labels == model.num_qa_labels == count
    kept = min(count, 7)
    assert np.array_equal(layer.kernel[:, :kept], kernel[:, :kept])
    assert np.array_equal(layer.bias, np.pad(bias, (0, 4))[:count])
    if count > 7:
        assert 0 < float(np.std(layer.kernel[:, 7:])) < 0.04
    scores = model(inputs).question_answering_score
    assert_same(scores[:, :kept], {"": before[:, :kept]})
    assert len(model.weights) == len(slots(model))  # the old layer is gone
    with pytest.raises(ValueError, match="compile"):
        model.fit(inputs, np.array([0, 1, 2]), verbose=0)
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path)
    assert_same(again(inputs).question_answering_score, {"": scores.numpy()})
    model.save(tmp_path / "m.keras")
    reloaded = tfzoo.load_model(tmp_path / "m.keras")
    assert_same(reloaded(inputs).question_answering_score, {"": scores.numpy()})


def pairs_of_three() -> dict[str, np.ndarray]:
    return PRETRAINING.make_inputs(with_labels=False)


def test_answers_that_need_no_resizing() -> None:
    model = ANSWERS.load()
    layer = model.get_qa_logit_layer()
    assert model.resize_num_qa_labels(None) is None
    assert model.resize_num_qa_labels(7) is layer
    for wrong in (0, -3, 2.5):
        with pytest.raises(ValueError, match="num_labels must be a positive integer, got"):
            model.resize_num_qa_labels(wrong)
    headless = BY_NAME["few_tasks"].load()
    assert headless.get_qa_logit_layer() is None
    assert headless.resize_num_qa_labels(9) is None
    with pytest.raises(ValueError, match="without task_qa has no head of answers"):
        headless.set_qa_logit_layer(keras.layers.Dense(3))


def test_the_layer_of_answers_can_be_replaced() -> None:
    model = ANSWERS.load()
    layer = keras.layers.Dense(4)
    model.set_qa_logit_layer(layer)
    assert model.get_qa_logit_layer() is layer
    assert model(pairs_of_three()).question_answering_score.shape == (3, 4)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    before = layer.kernel.numpy()
    model.fit(pairs_of_three(), np.array([0, 1, 3]), verbose=0)
    assert not np.array_equal(layer.kernel, before)
    wrong = keras.layers.Dense(4)
    wrong.build((None, 12))
    with pytest.raises(ValueError, match=r"must take \(batch, 2 \* hidden_size=24\), it takes"):
        model.set_qa_logit_layer(wrong)
    with pytest.raises(ValueError, match="Expected a Dense layer, got Dropout"):
        model.set_qa_logit_layer(keras.layers.Dropout(0.1))


# ---- the vocabulary
@pytest.mark.parametrize(
    ("count", "multiple", "made"), [(41, None, 41), (30, None, 30), (38, 8, 40), (None, 8, 40)]
)
def test_vocabulary_can_be_resized(count: int | None, multiple: int | None, made: int) -> None:
    model, inputs = PRETRAINING.load(), pairs_of_three()
    inputs["input_ids"] %= 30
    before, table = model(inputs).prediction_logits, model.get_input_embeddings().embeddings.numpy()
    layer = model.resize_token_embeddings(count, pad_to_multiple_of=multiple)
    kept = min(made, 37)
    assert layer is model.get_input_embeddings() is model.get_output_embeddings()
    assert model.config.vocab_size == layer.embeddings.shape[0] == made
    assert np.array_equal(layer.embeddings[:kept], table[:kept])
    bias = model.get_bias()["bias"].numpy()
    assert bias.shape == (made,)
    assert not bias[37:].any()
    after = model(inputs).prediction_logits
    assert after.shape == (3, 9, made)
    assert_same(after[..., :kept], {"": before[..., :kept].numpy()})
    if made > 37:  # new words start next to the mean of the old ones
        assert np.abs(layer.embeddings[37:] - table.mean(0)).max() < 1e-3
    assert len(model.weights) == len(slots(model))


def test_vocabulary_that_needs_no_resizing() -> None:
    model = PRETRAINING.load()
    layer = model.get_input_embeddings()
    assert model.resize_token_embeddings() is layer
    assert model.resize_token_embeddings(37) is layer
    with pytest.raises(ValueError, match="new_num_tokens must be a positive integer or None"):
        model.resize_token_embeddings(0)
    with pytest.raises(ValueError, match="pad_to_multiple_of must be a positive integer or None"):
        model.resize_token_embeddings(103, True)  # which was meant for another argument
    drawn = model.resize_token_embeddings(137, mean_resizing=False).embeddings[37:]
    assert float(np.std(drawn)) == pytest.approx(0.02, rel=0.1)


@pytest.mark.parametrize("form", ["table", "layer"])
def test_word_embeddings_can_be_replaced(form: str, tmp_path: Path) -> None:
    """The tie to the words' scores holds, and so it does after saving and loading."""
    model, inputs = PRETRAINING.load(), pairs_of_three()
    table = np.random.default_rng(0).normal(size=(50, 12)).astype("float32")
    value: Any = table
    if form == "layer":
        value = keras.layers.Embedding(50, 12)
        value.build(None)
        value.embeddings.assign(table)
    model.set_input_embeddings(value)
    assert np.array_equal(model.get_output_embeddings().embeddings, table)
    assert model.config.vocab_size == 50
    logits = model(inputs).prediction_logits
    assert logits.shape == (3, 9, 50)
    model.save_pretrained(tmp_path)
    again = tfzoo.TFLxmertForPreTraining.from_pretrained(tmp_path)
    assert_same(again(inputs).prediction_logits, {"": logits.numpy()})
    assert "cls.predictions.decoder.weight" not in load_file(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"shape \(vocabulary, hidden_size=12\), got \(50, 8\)"):
        model.set_input_embeddings(table[:, :8])


def test_old_names_of_the_head_of_words() -> None:
    model, inputs = PRETRAINING.load(), pairs_of_three()
    head = model.get_lm_head()
    assert head is model.cls.predictions
    assert head.get_output_embeddings() is model.get_input_embeddings()
    before, bias = model(inputs).prediction_logits.numpy(), head.get_bias()["bias"].numpy()
    head.set_bias({"bias": bias + 1})
    assert_same(model(inputs).prediction_logits, {"": before + 1})
    model.set_bias({"bias": bias})
    table = model.get_output_embeddings().embeddings.numpy()
    head.set_output_embeddings(0 * table)
    assert_same(model(inputs).prediction_logits, {"": np.broadcast_to(bias, before.shape)})
    model.set_output_embeddings(table)
    assert_same(model(inputs).prediction_logits, {"": before})
    with pytest.warns(FutureWarning, match="get_prefix_bias_name is deprecated: use get_bias"):
        assert model.get_prefix_bias_name() == f"{model.name}/cls/predictions"


# ---- checkpoints
def rewritten(folder: Path, rename: Any, **more: np.ndarray) -> Path:
    """The pretraining checkpoint under other names."""
    tensors = load_file(PRETRAINING.folder / "model.safetensors")
    folder.mkdir(exist_ok=True)
    made = {rename(k): v for k, v in tensors.items() if rename(k)}
    save_file({**made, **more}, folder / "model.safetensors")
    (folder / "config.json").write_text((PRETRAINING.folder / "config.json").read_text())
    return folder


def recorded_logits() -> dict[str, np.ndarray]:
    outputs = PRETRAINING.recorded("outputs")
    return {"": outputs["prediction_logits"]}


def test_the_tied_decoder_may_be_stored_or_not(tmp_path: Path) -> None:
    word = "lxmert.embeddings.word_embeddings.weight"
    decoder = "cls.predictions.decoder.weight"
    table = load_file(PRETRAINING.folder / "model.safetensors")[word]
    both = rewritten(tmp_path / "both", str, **{decoder: table})
    alone = rewritten(tmp_path / "alone", lambda k: decoder if k == word else k)
    for folder in (both, alone):
        model = tfzoo.TFLxmertForPreTraining.from_pretrained(folder)
        assert_same(model(pairs_of_three()).prediction_logits, recorded_logits())
    assert len(tfzoo.TFLxmertModel.from_pretrained(both).weights) == len(
        tfzoo.TFLxmertModel.from_pretrained(PRETRAINING.folder).weights
    )


def test_old_names_of_norms(tmp_path: Path) -> None:
    def old(name: str) -> str:
        ends = {"weight": "gamma", "bias": "beta"}
        body, _, leaf = name.rpartition(".")
        return f"{body}.{ends[leaf]}" if body.endswith("LayerNorm") else name

    model = tfzoo.TFLxmertForPreTraining.from_pretrained(rewritten(tmp_path, old))
    assert_same(model(pairs_of_three()).prediction_logits, recorded_logits())


def test_a_whole_checkpoint_loads_into_every_class(tmp_path: Path) -> None:
    """Whatever its `architectures` say: the published one names the bare model."""
    inputs = pairs_of_three()
    whole = PRETRAINING.load()
    bare = tfzoo.TFLxmertModel.from_pretrained(PRETRAINING.folder)
    pooled = bare(inputs).pooled_output
    assert_same(pooled, {"": whole.lxmert(inputs).pooled_output.numpy()})
    answers = tfzoo.TFLxmertForQuestionAnswering.from_pretrained(PRETRAINING.folder)
    expected = PRETRAINING.recorded("outputs")["question_answering_score"]
    assert_same(answers(inputs).question_answering_score, {"": expected})
    main = tfzoo.TFLxmertMainLayer.from_pretrained(PRETRAINING.folder)
    main.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == ["LxmertModel"]
    assert "embeddings.word_embeddings.weight" in load_file(tmp_path / "model.safetensors")


def test_a_bare_checkpoint_loads_into_heads(tmp_path: Path) -> None:
    tfzoo.TFLxmertModel.from_pretrained(PRETRAINING.folder).save_pretrained(tmp_path)
    pooled = PRETRAINING.load().lxmert(pairs_of_three()).pooled_output.numpy()
    for cls in (tfzoo.TFLxmertForPreTraining, tfzoo.TFLxmertForQuestionAnswering):
        with pytest.warns(UserWarning, match="has no weights for .*answer_head.out.kernel"):
            model = cls.from_pretrained(tmp_path)
        assert_same(model.lxmert(pairs_of_three()).pooled_output, {"": pooled})


def test_another_number_of_answers_is_a_fresh_head() -> None:
    with pytest.raises(WeightMismatchError, match=r"answer_head.logit_fc.3.weight.*\(9, 24\)"):
        tfzoo.TFLxmertForQuestionAnswering.from_pretrained(ANSWERS.folder, num_qa_labels=9)
    with pytest.warns(UserWarning, match="no weights for answer_head.out.kernel, answer_head.out"):
        model = tfzoo.TFLxmertForQuestionAnswering.from_pretrained(
            ANSWERS.folder, num_qa_labels=9, ignore_mismatched_sizes=True
        )
    assert model(pairs_of_three()).question_answering_score.shape == (3, 9)
    with pytest.raises(WeightMismatchError, match="encoder.layer.1"):
        tfzoo.TFLxmertForQuestionAnswering.from_pretrained(ANSWERS.folder, l_layers=2)


def test_auto_classes() -> None:
    folder = BY_NAME["pretraining"].folder
    assert type(tfzoo.TFAutoModel.from_pretrained(folder)) is tfzoo.TFLxmertModel
    auto = tfzoo.TFAutoModelForPreTraining
    assert type(auto.from_pretrained(folder)) is tfzoo.TFLxmertForPreTraining
    auto = tfzoo.TFAutoModelForQuestionAnswering
    answers = auto.from_pretrained(BY_NAME["answers"].folder)
    assert type(answers) is tfzoo.TFLxmertForQuestionAnswering
