"""tfzoo's side of the table of conversions: loads, computes and writes the checkpoint again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import converting
import numpy as np
from with_tfzoo import TfzooSide


class ConvertingSide(TfzooSide):
    """A model that is loaded and saved."""

    def read_weights(self) -> None:
        """Look at every weight once."""
        for weight in self.model.weights:
            self.tf.reduce_sum(weight)

    def convert(self) -> dict[str, Any]:
        """Write the checkpoint; its counts."""
        from weights_convert.checkpoint import open_checkpoint

        self.model.save_pretrained(self.job["back"])
        with open_checkpoint(self.job["back"]) as tensors:
            shapes = [tensors[name].shape for name in tensors]
        config = json.loads((Path(self.job["back"]) / "config.json").read_text())
        return {
            "tensors": len(shapes),
            "parameters": sum(int(np.prod(shape)) for shape in shapes),
            "architectures": config["architectures"],
        }


if __name__ == "__main__":
    converting.run(ConvertingSide)
