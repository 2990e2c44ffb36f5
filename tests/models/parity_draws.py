"""Random configurations of every family against the living reference.

Each draw has a seed of its own, which its name holds. To draw others, and more:

    TFZOO_DRAWS=40 TFZOO_SEED=1000 python -m pytest -m slow tests/models/parity_draws.py
    python -m tests.models.parity_draws --draws 40 --seed 1000 [FAMILY ...]

The second prints a line for each family: how many draws agree, and the worst difference.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import traceback
from pathlib import Path

import pytest

from tests.support.compare import BOUND
from tests.support.draws import Dice, compare_draw
from tests.support.families import declared

DRAWS = int(os.environ.get("TFZOO_DRAWS", "8"))
SEED = int(os.environ.get("TFZOO_SEED", "0"))
FAMILIES = declared("draws", "draw")


def check(family: str, seed: int, folder: Path) -> tuple[float, str]:
    """The worst difference of a draw, and the field that has it."""
    drawn = FAMILIES[family](Dice(seed))
    try:
        found = compare_draw(drawn, seed, folder)
        worst = max(found, key=lambda name: found[name])
        assert found[worst] <= BOUND, f"{worst} is off by {found[worst]:.2e}"
    except Exception as error:
        inputs = {name: getattr(value, "shape", value) for name, value in drawn.inputs.items()}
        error.add_note(
            f"{family}, seed {seed}: {drawn.model}({drawn.config}) on {inputs} with {drawn.flags}"
        )
        raise
    return found[worst], worst


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEED, SEED + DRAWS))
@pytest.mark.parametrize("family", FAMILIES)
def test_random_configuration(family: str, seed: int, tmp_path: Path) -> None:
    check(family, seed, tmp_path)


def main() -> None:
    """Draw, and say what agrees."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("families", nargs="*", default=list(FAMILIES), metavar="FAMILY")
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    for family in options.families:
        differences, wrong = [], []
        for seed in range(options.seed, options.seed + options.draws):
            with tempfile.TemporaryDirectory() as folder:
                try:
                    differences.append((*check(family, seed, Path(folder)), seed))
                except Exception:  # the others are drawn all the same
                    wrong.append(seed)
                    traceback.print_exc()
        worst = "worst difference {:.1e} ({}, seed {})".format(*max(differences or [(0, "-", "-")]))
        print(
            f"{family}: {len(differences)} of {options.draws} agree, seeds {options.seed} to "
            f"{options.seed + options.draws - 1}, {worst}" + (f", wrong: {wrong}" if wrong else ""),
            flush=True,
        )


if __name__ == "__main__":
    main()
