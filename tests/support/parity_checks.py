"""The checks against the living reference: torch and transformers are needed.

A family's parity module subclasses them with its cases, like `family_checks.FamilyChecks`.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import tensorflow as tf

from tests.support import reference
from tests.support.cases import Case
from tests.support.compare import assert_same
from tests.support.family_checks import (
    for_each_class,
)
from weights_convert.checkpoint import open_checkpoint

# Of the reference to what it gave when it was recorded: processors round differently, an Intel one
# with AMX is 2.06e-6 off the AMD one that recorded Perceiver's convolutions.
RECORDED = 4e-6


class ParityChecks:
    """Subclass it and give it the family's cases.

    Attributes:
        cases: The family's cases.
        full_size: For each class that is compared at full size, the config's fields and inputs.
        is_deep: The full-size model is compared with the reference in float64: through many layers
            both float32 sides round by about as much as the bound allows between them.
        is_served: The full-size model is compared as a SavedModel, too. One family is enough, for
            tests/export/test_openvino.py exports all in small and a larger graph has no other
            operations; Perceiver's full sizes run in graphs.
    """

    cases: ClassVar[tuple[Case, ...]] = ()
    full_size: ClassVar[tuple[Case, ...]] = ()
    is_deep: ClassVar[bool] = False
    is_served: ClassVar[bool] = False

    def test_recorded_answers_are_the_references(self, case: Case) -> None:
        oracle = reference.load_strictly(case.torch_class, case.folder)
        outputs = reference.run(oracle, case.make_inputs(), **case.all_flags)
        assert_same(outputs, case.recorded("outputs"), bound=RECORDED)

    def test_outputs_equal_with_fresh_weights(self, case: Case, tmp_path: Path) -> None:
        oracle = reference.make(case, seed=1)
        oracle.save_pretrained(tmp_path)
        model = case.tf_class.from_pretrained(tmp_path)
        inputs = case.make_inputs()
        assert_same(
            model(inputs, **case.all_flags), reference.run(oracle, inputs, **case.all_flags)
        )

    @for_each_class
    def test_trained_checkpoint_goes_back_to_pytorch(self, case: Case, tmp_path: Path) -> None:
        model, inputs = case.load(), case.make_inputs()
        if case.has_loss:
            model.compile("adam", run_eagerly=True)
            model.fit(tf.data.Dataset.from_tensors(inputs), shuffle=False, epochs=2, verbose=0)
        model.save_pretrained(tmp_path)
        oracle = reference.load_strictly(case.torch_class, tmp_path)
        assert_same(
            model(inputs, **case.all_flags), reference.run(oracle, inputs, **case.all_flags)
        )

    @for_each_class
    def test_pytorch_gives_back_the_same_bits(self, case: Case, tmp_path: Path) -> None:
        """Written in shards by tfzoo, loaded and written by PyTorch, loaded and written again."""
        with open_checkpoint(case.folder) as tensors:
            limit = max(tensors.read(name).nbytes for name in tensors)
        case.load().save_pretrained(tmp_path / "ours", max_shard_size=limit)
        oracle = reference.load_strictly(case.torch_class, tmp_path / "ours")
        oracle.save_pretrained(tmp_path / "theirs")
        case.tf_class.from_pretrained(tmp_path / "theirs").save_pretrained(tmp_path / "back")
        with open_checkpoint(case.folder) as before:
            for stage in ("ours", "theirs", "back"):
                with open_checkpoint(tmp_path / stage) as after:
                    assert sorted(after) == sorted(before), stage
                    for name in before:
                        same = before.read(name).tobytes() == after.read(name).tobytes()
                        assert same, f"{stage}: {name}"

    def test_full_size_agrees_everywhere(self, tmp_path: Path) -> None:
        assert self.full_size, "no case: the check would check nothing"
        for case in self.full_size:
            oracle = reference.make(case)
            oracle.save_pretrained(tmp_path / "torch")
            inputs = case.make_inputs()
            run = reference.run_exactly if self.is_deep else reference.run
            expected = run(oracle, inputs, **case.all_flags)
            del oracle
            check_full_size(case, inputs, expected, tmp_path, is_served=self.is_served)


def check_full_size(
    case: Case,
    inputs: dict[str, np.ndarray],
    expected: dict[str, np.ndarray],
    folder: Path,
    is_served: bool = False,
) -> None:
    """Compare the checkpoint in `folder / "torch"` with the reference's outputs, and write it.

    Args:
        case: The case.
        inputs: Its inputs.
        expected: The reference's outputs.
        folder: Holds the reference's checkpoint, and gets what is written here.
        is_served: Whether to compare a SavedModel as well.
    """
    model = case.tf_class.from_pretrained(folder / "torch")
    tensors = {name: tf.constant(value) for name, value in inputs.items()}
    assert_same(model(tensors, **case.all_flags), expected, what="eager")
    if is_served:
        model.export(folder / "saved", verbose=False)
        served = tf.saved_model.load(str(folder / "saved")).signatures["serving_default"](**tensors)
        main = case.tf_class.main_output
        assert_same(served[main], {"": expected[main]}, what="SavedModel")
    model.save_pretrained(folder / "back")
    with open_checkpoint(folder / "torch") as before, open_checkpoint(folder / "back") as after:
        assert sorted(after) == sorted(before)
        for name in before:
            assert before.read(name).tobytes() == after.read(name).tobytes(), name
