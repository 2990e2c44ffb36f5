"""Record the fixtures of a family: `python -m tests.support.record timesformer`.

Each case becomes a folder in tests/fixtures/models with a tiny random checkpoint as the reference
writes it, the reference's outputs on the case's inputs, and one SGD step's change of each weight.
Folders that no case names any more are deleted. Then tfzoo's exported signatures of the family are
recorded (`record_signatures.py`), and the stubs of all packages are written (`stub.py`).
"""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Sequence

import numpy as np

from tests.support import record_signatures, reference, stub
from tests.support.cases import Case
from tests.support.paths import FIXTURES


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


def forget(family: str, cases: Sequence[Case]) -> None:
    """Delete the folders that no case of the family names."""
    named = {case.folder for case in cases}
    for path in (FIXTURES / "models" / family).glob("*"):
        if path.is_dir() and path not in named:
            shutil.rmtree(path)
            print(f"{family}/{path.name}: deleted")


def main(families: list[str]) -> None:
    """Record all cases of the families named, and their signatures; write the stubs."""
    for family in families:
        cases = importlib.import_module(f"tests.models.{family}.cases").CASES
        forget(family, cases)
        for case in cases:
            record(case)
            size = sum(file.stat().st_size for file in case.folder.iterdir())
            print(f"{case.name}: {size / 1e3:.0f} kB")
        record_signatures.main([family])
    stub.main()


if __name__ == "__main__":
    main(sys.argv[1:])
