from __future__ import annotations

import pytest

from tests.weights_convert.toys import FAMILY, ToySlot, toy_slots, toy_tensors
from weights_convert.rules import FamilyMap, checkpoint_names, family_map


def test_rows_rewrite_segments_at_any_depth_and_leave_the_rest():
    family = FamilyMap("net", (("mlp.fc1", "intermediate.dense"),))
    assert family.checkpoint_name("net.layer.3.mlp.fc1.kernel", "dense") == (
        "net.layer.3.intermediate.dense.weight"
    )
    assert family.checkpoint_name("mlp.fc1.bias", "dense") == "intermediate.dense.bias"
    assert family.checkpoint_name("a.mlp.fc10.bias", "dense") == "a.mlp.fc10.bias"
    assert family.checkpoint_name("a.xmlp.fc1.bias", "dense") == "a.xmlp.fc1.bias"


def test_a_star_carries_one_component_over():
    family = FamilyMap("", (("blocks.*.fc.*", "stage.*.linear.*"),))
    assert family.checkpoint_name("blocks.7.fc.q.kernel", "dense") == "stage.7.linear.q.weight"
    assert family.variable_path("stage.7.linear.q.weight", "dense") == "blocks.7.fc.q.kernel"
    assert family.checkpoint_name("blocks.7.a.fc.kernel", "dense") == "blocks.7.a.fc.weight"


def test_the_first_row_that_matches_wins_and_its_output_is_not_read_again():
    family = FamilyMap("", (("a.b", "b"), ("a", "z"), ("b", "y")))
    assert family.checkpoint_name("a.b.w", "raw") == "b.w"
    assert family.checkpoint_name("a.c.w", "raw") == "z.c.w"
    assert family.checkpoint_name("b.a.b.w", "raw") == "y.b.w"


def test_a_variable_at_the_top_has_no_body():
    family = FamilyMap("net", (("a", "b"),))
    assert family.checkpoint_name("logit_scale", "raw") == "logit_scale"
    assert family.variable_path("logit_scale", "raw") == "logit_scale"


@pytest.mark.parametrize("row", [("a.*", "b"), ("", "b"), ("a", "")])
def test_a_row_that_cannot_run_backwards_is_refused(row):
    with pytest.raises(ValueError, match="both sides"):
        FamilyMap("net", (row,))


@pytest.mark.parametrize("base", [True, False])
def test_names_are_those_of_the_checkpoint_one_for_each_variable(base):
    slots = toy_slots(base=base, head=base)
    names = checkpoint_names(slots, FAMILY)
    assert list(names) == list(slots)
    assert set(names.values()) == set(toy_tensors(base=base, head=base))


def test_two_variables_with_one_name_are_refused():
    family = FamilyMap("", (("left", "one"), ("right", "one")))
    slots = {"left.kernel": ToySlot("dense", (1, 1)), "right.kernel": ToySlot("dense", (1, 1))}
    with pytest.raises(
        ValueError, match=r"left\.kernel and right\.kernel both lead to one\.weight"
    ):
        checkpoint_names(slots, family)
    slots = {"a.kernel": ToySlot("dense", (1, 1)), "a.gamma": ToySlot("norm", (1,))}
    with pytest.raises(ValueError, match=r"a\.kernel and a\.gamma both lead to a\.weight"):
        checkpoint_names(slots, family)


def test_a_name_that_does_not_lead_back_is_refused():
    family = FamilyMap("", (("mine", "yours"),))
    with pytest.raises(ValueError, match=r"yours\.kernel leads to .* back to mine\.kernel"):
        checkpoint_names({"yours.kernel": ToySlot("dense", (1, 1))}, family)


def test_family_map_finds_families_by_name_and_lists_them_otherwise():
    assert family_map("timesformer").base_prefix == "timesformer"
    with pytest.raises(ValueError, match=r"'no_such'; known: .*timesformer"):
        family_map("no_such")
    with pytest.raises(ValueError, match="no weight map"):
        family_map("../timesformer")


def test_ignore_matches_whole_components_at_the_end():
    assert FAMILY.is_ignored("net.text.position_ids")
    assert FAMILY.is_ignored("position_ids")
    assert not FAMILY.is_ignored("net.my_position_ids")
    assert not FAMILY.is_ignored("net.position_ids.weight")


def test_a_head_is_a_layer_or_a_single_variable():
    family = FamilyMap("net", (("out", "decoder"),), heads=("mask_token", "out"))
    assert family.head_of("mask_token") == "mask_token"
    assert family.head_of("decoder.fc.weight") == "out"
    assert family.head_of("mask_tokens") is family.head_of("net.mask_token") is None
    assert family.full_name("mask_token", has_base=False) == "mask_token"
    assert family.full_name("norm.weight", has_base=False) == "net.norm.weight"


def test_the_first_row_that_matches_wins_whatever_it_begins_with():
    any_first = FamilyMap("", (("*.c", "any.*"), ("b.c", "own"), ("b.d", "other")))
    own_first = FamilyMap("", (("b.c", "own"), ("*.c", "any.*")))
    for family, path, name in (
        (any_first, "b.c.kernel", "any.b.weight"),
        (any_first, "b.d.kernel", "other.weight"),
        (own_first, "b.c.kernel", "own.weight"),
        (own_first, "a.c.kernel", "any.a.weight"),
    ):
        assert family.checkpoint_name(path, "dense") == name
        if family is own_first:
            assert family.variable_path(name, "dense") == path
