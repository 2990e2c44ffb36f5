from __future__ import annotations

import pickle
from dataclasses import replace

import pytest

from tests.weights_convert.toys import FAMILY, ToySlot, toy_slots, toy_tensors
from weights_convert.errors import CheckpointError, WeightMismatchError
from weights_convert.plan import TensorInfo, make_plan, match_tensors, save_plan


def names_by_path(plan):
    return {entry.path: entry.name for entry in plan.entries}


@pytest.mark.parametrize("file", [True, False])
@pytest.mark.parametrize("model", [True, False])
def test_the_base_prefix_may_be_on_either_side(model, file):
    slots, tensors = toy_slots(base=model), toy_tensors(base=file)
    plan = make_plan(slots, tensors, FAMILY)
    assert [entry.path for entry in plan.entries] == list(slots)
    assert {entry.name for entry in plan.entries} == set(tensors)
    assert not plan.fresh
    assert not plan.ignored
    path, name = "layer.0.mlp.fc1.kernel", "layer.0.intermediate.dense.weight"
    assert names_by_path(plan)["net." * model + path] == "net." * file + name


def test_the_prefix_is_decided_once_for_the_whole_checkpoint():
    tensors = toy_tensors(base=True)
    tensors["norm.weight"] = tensors.pop("net.norm.weight")
    with pytest.raises(WeightMismatchError) as caught:
        make_plan(toy_slots(base=False), tensors, FAMILY)
    assert caught.value.missing == ("net.norm.weight",)
    assert caught.value.unexpected == ("norm.weight",)


@pytest.mark.parametrize("file", [True, False])
def test_a_head_that_the_model_lacks_is_ignored(file):
    plan = make_plan(toy_slots(base=False), toy_tensors(base=file, head=True), FAMILY)
    assert plan.ignored == ("classifier.bias", "classifier.weight")
    assert not plan.fresh


@pytest.mark.parametrize("file", [True, False])
def test_a_head_that_the_checkpoint_lacks_is_left_fresh(file):
    plan = make_plan(toy_slots(base=True, head=True), toy_tensors(base=file), FAMILY)
    assert plan.fresh == ("classifier.kernel", "classifier.bias")
    assert not plan.ignored
    assert len(plan.entries) == len(toy_slots(base=True))


def test_half_a_head_is_an_error_on_either_side():
    tensors = toy_tensors(base=True, head=True)
    del tensors["classifier.bias"]
    with pytest.raises(WeightMismatchError) as caught:
        make_plan(toy_slots(base=True, head=True), tensors, FAMILY)
    assert caught.value.missing == ("classifier.bias",)
    slots = toy_slots(base=True, head=True)
    del slots["classifier.bias"]
    with pytest.raises(WeightMismatchError) as caught:
        make_plan(slots, toy_tensors(base=True, head=True), FAMILY)
    assert caught.value.unexpected == ("classifier.bias",)


def test_heads_of_one_place_that_share_no_name_are_two_heads():
    tensors = toy_tensors(base=True) | {
        "classifier.dense.weight": TensorInfo("F32", (3, 4)),
        "classifier.dense.bias": TensorInfo("F32", (3,)),
    }
    plan = make_plan(toy_slots(base=True, head=True), tensors, FAMILY)
    assert plan.fresh == ("classifier.kernel", "classifier.bias")
    assert plan.ignored == ("classifier.dense.bias", "classifier.dense.weight")


def test_a_head_inside_the_base_model_is_named_in_full_form():
    family = replace(FAMILY, heads=("net.layer", "classifier"))
    slots = {k: v for k, v in toy_slots(base=False).items() if not k.startswith("layer.")}
    plan = make_plan(slots, toy_tensors(base=True, head=True), family)
    assert len(plan.ignored) == 5
    assert "net.layer.0.intermediate.dense.bias" in plan.ignored


def test_buffers_are_never_weights():
    tensors = toy_tensors(base=True)
    tensors["net.embeddings.position_ids"] = TensorInfo("I64", (1, 7))
    tensors["net.norm.num_batches_tracked"] = TensorInfo("I64", ())
    plan = make_plan(toy_slots(base=True), tensors, FAMILY)
    assert plan.ignored == ("net.embeddings.position_ids", "net.norm.num_batches_tracked")


@pytest.mark.parametrize(
    ("alias", "old"), [(("gamma", "weight"), "norm.gamma"), (("nrm.w", "norm.weight"), "nrm.w")]
)
def test_aliases_are_old_names(alias, old):
    tensors = toy_tensors(base=True)
    tensors[f"net.{old}"] = tensors.pop("net.norm.weight")
    plan = make_plan(toy_slots(base=False), tensors, replace(FAMILY, aliases=(alias,)))
    assert names_by_path(plan)["norm.gamma"] == f"net.{old}"


def test_an_old_and_a_new_name_of_one_tensor_cannot_both_be_right():
    tensors = toy_tensors(base=True) | {"net.norm.gamma": TensorInfo("F32", (4,))}
    with pytest.raises(CheckpointError, match="'net.norm.gamma' and 'net.norm.weight'"):
        make_plan(toy_slots(base=True), tensors, replace(FAMILY, aliases=(("gamma", "weight"),)))


class TestTies:
    family = replace(FAMILY, ties=(("cls.decoder.weight", "net.words.weight"),))
    slots = toy_slots(base=True) | {"net.words.embeddings": ToySlot("embedding", (9, 4))}
    words = TensorInfo("F32", (9, 4))

    @pytest.mark.parametrize(
        ("stored", "used"),
        [
            (["net.words.weight"], "net.words.weight"),
            (["cls.decoder.weight"], "cls.decoder.weight"),
            (["net.words.weight", "cls.decoder.weight"], "net.words.weight"),
        ],
    )
    def test_either_name_will_do(self, stored, used):
        tensors = toy_tensors(base=True) | dict.fromkeys(stored, self.words)
        plan = make_plan(self.slots, tensors, self.family)
        assert names_by_path(plan)["net.words.embeddings"] == used
        assert plan.ignored == tuple(name for name in stored if name != used)

    def test_a_tie_of_another_shape_is_not_a_tie(self):
        tensors = toy_tensors(base=True) | {"net.words.weight": self.words}
        tensors["cls.decoder.weight"] = TensorInfo("F32", (8, 4))
        with pytest.raises(WeightMismatchError) as caught:
            make_plan(self.slots, tensors, self.family)
        assert caught.value.unexpected == ("cls.decoder.weight",)

    def test_neither_name_is_missing_under_the_canonical_one(self):
        with pytest.raises(WeightMismatchError) as caught:
            make_plan(self.slots, toy_tensors(base=True), self.family)
        assert caught.value.missing == ("net.words.weight",)


def test_every_fault_is_in_one_error_that_reads_as_a_diff():
    tensors = toy_tensors(base=False, head=True)
    del tensors["norm.weight"]
    tensors["layer.1.extra.weight"] = TensorInfo("F32", (2, 2))
    tensors["layer.0.intermediate.dense.weight"] = TensorInfo("F32", (16, 4))
    with pytest.raises(WeightMismatchError) as caught:
        make_plan(toy_slots(base=True, head=True), tensors, FAMILY)
    error = caught.value
    assert error.missing == ("norm.weight",)  # as this checkpoint would spell it
    assert error.unexpected == ("layer.1.extra.weight",)
    assert error.mismatched == (("layer.0.intermediate.dense.weight", (8, 4), (16, 4)),)
    assert str(error).splitlines()[:-1] == [
        "the checkpoint does not fit the model",
        "missing from the checkpoint (1):",
        "  - norm.weight",
        "unexpected in the checkpoint (1):",
        "  + layer.1.extra.weight",
        "shapes that differ (1):",
        "  ! layer.0.intermediate.dense.weight: expected (8, 4), found (16, 4)",
    ]
    assert "config" in str(error).splitlines()[-1]


def test_long_lists_are_cut_in_the_text_but_not_in_the_error():
    names = [f"layer.{i:03d}" for i in range(100)]
    error = WeightMismatchError(unexpected=reversed(names))
    assert error.unexpected == tuple(names)
    lines = str(error).splitlines()
    assert lines[1:3] == ["unexpected in the checkpoint (100):", "  + layer.000"]
    assert lines[-1] == "  ... and 80 more"
    assert len(lines) == 23


def test_the_error_survives_the_way_between_processes():
    error = WeightMismatchError(["a"], ["b"], [("c", (1,), (2,))], "Do this.")
    twin = pickle.loads(pickle.dumps(error))
    assert (str(twin), twin.missing, twin.mismatched) == (str(error), ("a",), error.mismatched)


def test_a_head_of_another_size_is_left_fresh_only_on_request():
    slots, tensors = toy_slots(base=True, head=True), toy_tensors(base=True, head=True)
    tensors["classifier.weight"] = TensorInfo("F32", (7, 4))
    tensors["classifier.bias"] = TensorInfo("F32", (7,))
    with pytest.raises(WeightMismatchError, match="Pass ignore_mismatched_sizes=True") as caught:
        make_plan(slots, tensors, FAMILY)
    assert caught.value.mismatched == (
        ("classifier.bias", (3,), (7,)),
        ("classifier.weight", (3, 4), (7, 4)),
    )
    plan = make_plan(slots, tensors, FAMILY, ignore_mismatched_sizes=True)
    assert plan.fresh == ("classifier.kernel", "classifier.bias")
    assert plan.ignored == ("classifier.bias", "classifier.weight")
    assert len(plan.entries) == len(slots) - 2


def test_other_sizes_excuse_nothing_else():
    tensors = toy_tensors(base=True, head=True)
    tensors["classifier.bias"] = TensorInfo("F32", (7,))
    del tensors["net.norm.weight"]
    with pytest.raises(WeightMismatchError):
        make_plan(toy_slots(base=True, head=True), tensors, FAMILY, ignore_mismatched_sizes=True)


def test_a_transposed_kernel_is_a_mismatch_not_a_guess():
    tensors = toy_tensors(base=True)
    tensors["net.layer.0.intermediate.dense.weight"] = TensorInfo("F32", (4, 8))
    with pytest.raises(WeightMismatchError, match="sizes in the config") as caught:
        make_plan(toy_slots(base=True), tensors, FAMILY)
    assert caught.value.mismatched[0][1:] == ((8, 4), (4, 8))


def test_another_familys_checkpoint_is_called_that():
    with pytest.raises(WeightMismatchError, match="another family"):
        make_plan(toy_slots(base=True), {"bert.pooler.bias": TensorInfo("F32", (4,))}, FAMILY)


def test_every_variable_and_every_tensor_is_accounted_for():
    slots, tensors = toy_slots(base=True, head=True), toy_tensors(base=False, head=True)
    tensors["position_ids"] = TensorInfo("I64", (1, 7))
    tensors["norm.weight"] = TensorInfo("F32", (5,))
    tensors["more.weight"] = tensors.pop("embeddings.patch.weight")
    match = match_tensors(slots, tensors, FAMILY)
    lists = (match.filled, match.mismatched, match.missing, match.fresh)
    assert sorted(e.path for entries in lists for e in entries) == sorted(slots)
    assert match.unexpected == ("more.weight",)
    tensors["norm.weight"] = TensorInfo("F32", (4,))
    tensors["embeddings.patch.weight"] = tensors.pop("more.weight")
    plan = make_plan(slots, tensors, FAMILY)
    assert {entry.name for entry in plan.entries} | set(plan.ignored) == set(tensors)


@pytest.mark.parametrize("base", [True, False])
def test_what_is_saved_can_be_loaded(base):
    slots = toy_slots(base=base, head=base)
    saved = {entry.name: entry.checkpoint_shape for entry in save_plan(slots, FAMILY)}
    expected = toy_tensors(base=base, head=base)
    assert saved == {name: info.shape for name, info in expected.items()}
