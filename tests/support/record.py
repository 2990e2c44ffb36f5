"""Record the fixtures of a family: `python -m tests.support.record timesformer`.

Each case becomes a folder in tests/fixtures/models with a tiny random checkpoint as the reference
writes it, the reference's outputs on the case's inputs, and one SGD step's change of each weight.
"""

from __future__ import annotations

import importlib
import shutil
import sys

import numpy as np

from tests.support import reference
from tests.support.cases import Case


def record(case: Case) -> None:
    """Write one case's folder anew."""
    shutil.rmtree(case.folder, ignore_errors=True)
    model = reference.make(case)
    model.save_pretrained(case.folder)
    outputs = reference.run(model, case.make_inputs(), **case.all_flags)
    np.savez_compressed(case.folder / "outputs.npz", **outputs)
    if case.has_loss:
        step = reference.sgd_step(model, case.make_inputs(), **case.loss_flags)
        np.savez_compressed(case.folder / "step.npz", **step)


def main(families: list[str]) -> None:
    """Record all cases of the families named."""
    for family in families:
        for case in importlib.import_module(f"tests.models.{family}.cases").CASES:
            record(case)
            size = sum(file.stat().st_size for file in case.folder.iterdir())
            print(f"{case.name}: {size / 1e3:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
