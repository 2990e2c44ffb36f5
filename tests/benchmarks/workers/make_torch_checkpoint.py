"""Write a checkpoint of the reference whose weights are all random: zeros and ones hide errors."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def make(job: dict[str, Any]) -> None:
    """Construct the model of the job's config and save it in the job's folder."""
    import torch
    import transformers

    cls = getattr(transformers, job["model"].removeprefix("TF"))
    model = cls(cls.config_class(**job["config"]))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if tensor.is_floating_point():
                tensor.copy_(random_values(torch, generator, name, tensor))
    model.save_pretrained(job["checkpoint"])


def random_values(torch: Any, generator: Any, name: str, tensor: Any) -> Any:
    """Values that keep the size of activations from layer to layer, so that none drowns."""
    noise = torch.randn(tensor.shape, generator=generator)
    if "running_var" in name:
        return 0.5 + noise.abs()
    if tensor.dim() > 1:
        return noise * min(1.0, tensor[0].numel() ** -0.5)
    return (1.0 if name.endswith("weight") else 0.0) + 0.2 * noise


if __name__ == "__main__":
    make(json.loads(Path(sys.argv[1]).read_text()))
