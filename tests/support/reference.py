"""The oracle: transformers' PyTorch models. The only importer of torch and transformers."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np

os.environ["USE_TF"] = "0"  # transformers would load TensorFlow only to look for it
import torch
import transformers
from transformers.models.tvp.modeling_tvp import TvpFrameDownPadPrompter

import tfzoo
from tests.support.cases import Case
from tests.support.compare import flatten

LEARNING_RATE = 0.05

transformers.logging.set_verbosity_error()
logging.getLogger("transformers").setLevel(logging.ERROR)


def model_class(name: str) -> Any:
    """The reference's class, mended where it fails on what it documents."""
    cls = getattr(transformers, name)
    return _one_by_one(cls) if name.startswith("Tvp") else cls


def _one_by_one(cls: Any) -> Any:
    """TVP fails on batches: the same class, which takes their samples one after the other."""

    def forward(self: Any, labels: Any = None, head_mask: Any = None, **inputs: Any) -> Any:
        flags = {name: value for name, value in inputs.items() if not torch.is_tensor(value)}
        samples = []
        for i in range(len(inputs["input_ids"])):
            own = {k: v[i : i + 1].clone() for k, v in inputs.items() if k not in flags}
            if labels is not None:
                own["labels"] = labels[i]
            samples.append(cls.forward(self, head_mask=head_mask, **own, **flags))
        if isinstance(samples[0], tuple):
            return _joined(samples)
        return type(samples[0])(
            **{name: _joined([s[name] for s in samples]) for name in samples[0]}
        )

    return type(cls.__name__, (cls,), {"forward": forward, "__module__": cls.__module__})


def _joined(parts: list[Any]) -> Any:
    if isinstance(parts[0], tuple):
        return tuple(_joined(list(items)) for items in zip(*parts, strict=True))
    return torch.cat(parts)


_down = TvpFrameDownPadPrompter.forward
# The model passes its prompters an argument that this one does not take.
TvpFrameDownPadPrompter.forward = lambda self, x, interpolate_pad_encoding=False: _down(self, x)


def random_model(torch_class: str, config: dict[str, Any], seed: int = 0) -> Any:
    """A reference model with *all* weights and statistics random: zeros and ones hide errors."""
    cls = model_class(torch_class)
    settings = cls.config_class(**config)
    settings._attn_implementation = "eager"  # the others return no attention maps
    model = cls(settings).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if tensor.is_floating_point():
                _randomise(name, tensor, generator)
    return model


def both(torch_class: str, config: dict[str, Any], folder: Path, seed: int = 0) -> tuple[Any, Any]:
    """A random reference model, and the same checkpoint in tfzoo."""
    oracle = random_model(torch_class, config, seed)
    oracle.save_pretrained(folder)
    return oracle, getattr(tfzoo, f"TF{torch_class}").from_pretrained(folder)


def _randomise(name: str, tensor: torch.Tensor, generator: torch.Generator) -> None:
    noise = torch.randn(tensor.shape, generator=generator)
    fan_in = max(tensor[0].numel(), 1) if tensor.dim() > 1 else 1
    if "running_var" in name:
        tensor.copy_(0.5 + noise.abs())
    elif tensor.dim() <= 1:  # biases around 0, scales of norms around 1
        centre = 1.0 if name.endswith("weight") else 0.0
        tensor.copy_(centre + 0.2 * noise)
    else:  # keeps the size of activations from layer to layer, so that no layer drowns
        tensor.copy_(noise * min(1.0, 1.5 * fan_in**-0.5))


# What the reference takes inside of dicts: our name -> its input, and the entry there.
_NESTED = {
    "image": ("inputs", "image"),
    "audio": ("inputs", "audio"),
    "label": ("inputs", "label"),
    "image_points": ("subsampled_output_points", "image"),
    "audio_points": ("subsampled_output_points", "audio"),
}


def torch_inputs(inputs: dict[str, np.ndarray]) -> dict[str, Any]:
    """Arrays to tensors, in dicts where the reference looks for them there."""
    tensors: dict[str, Any] = {}
    for name, value in inputs.items():
        if name in _NESTED:
            outer, inner = _NESTED[name]
            tensors.setdefault(outer, {})[inner] = torch.as_tensor(value)
        else:
            tensors[name] = torch.as_tensor(value)
    return tensors


def run(model: Any, inputs: dict[str, np.ndarray], **flags: Any) -> dict[str, np.ndarray]:
    """All outputs as named arrays."""
    with torch.no_grad():
        outputs = model(**torch_inputs(inputs), **flags)
    return flatten(outputs, lambda tensor: tensor.detach().numpy())


def run_exactly(model: Any, inputs: dict[str, np.ndarray], **flags: Any) -> dict[str, np.ndarray]:
    """All outputs in float64, free of the rounding that float32 has on this side, too."""
    wide = {k: v.astype("float64") if v.dtype.kind == "f" else v for k, v in inputs.items()}
    torch.set_default_dtype(torch.float64)  # masks are made of it
    try:
        return run(model.double(), wide, **flags)
    finally:
        torch.set_default_dtype(torch.float32)


def sgd_step(model: Any, inputs: dict[str, np.ndarray], **flags: Any) -> dict[str, np.ndarray]:
    """The change of every weight in one SGD step of LEARNING_RATE on the model's own loss."""
    model.zero_grad()
    loss = model(**torch_inputs(inputs), **flags).loss
    loss.mean().backward()  # some are a loss of each sample
    return {
        name: (-LEARNING_RATE * p.grad).numpy()
        for name, p in model.named_parameters()
        if p.grad is not None
    }


def make(case: Case, seed: int = 0) -> Any:
    """The reference model of a case."""
    return random_model(case.torch_class, dict(case.config), seed)


def load_strictly(torch_class: str, folder: Path) -> Any:
    """Load a checkpoint into the reference; no key may be missing, left over or of other shape."""
    cls = model_class(torch_class)
    model, info = cls.from_pretrained(folder, output_loading_info=True, attn_implementation="eager")
    problems = {name: found for name, found in info.items() if found}
    assert not problems, f"{torch_class} from {folder}: {problems}"
    return model.eval()


def load_part(torch_class: str, folder: Path) -> Any:
    """Load a model whose checkpoint may hold more."""
    return model_class(torch_class).from_pretrained(folder).eval()
