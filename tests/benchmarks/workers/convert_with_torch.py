"""The reference's side of the table of conversions: loads and computes.

Runs in the reference's own environment and imports neither tfzoo nor the tests.
"""

from __future__ import annotations

from typing import Any

import converting
import numpy as np
from with_torch import TorchSide


class ConvertingSide(TorchSide):
    """A model that is loaded."""

    def __init__(self, job: dict[str, Any], inputs: dict[str, np.ndarray]) -> None:
        super().__init__(job, inputs)
        for name, (outer, inner) in job["nested"].items():  # the reference takes some in dicts
            if name in self.inputs:
                self.inputs.setdefault(outer, {})[inner] = self.inputs.pop(name)

    def read_weights(self) -> None:
        """Look at every weight once: a mapped file is only read then."""
        for tensor in self.model.state_dict().values():
            tensor.sum()

    def convert(self) -> dict[str, Any]:
        """Nothing: this side wrote the checkpoint."""
        return {}


if __name__ == "__main__":
    converting.run(ConvertingSide)
