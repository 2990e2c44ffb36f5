"""PyTorch's side of ``verify``: a program that the package starts in a process of its own.

    python -m weights_convert.reference FOLDER CLASS INPUTS.npz OUTPUTS.npz

It is the one file of the package that names PyTorch and transformers, and only `main`, which runs
in that process, imports them. Where they are not installed it ends with exit code 3, and
``verify`` compares the weights alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["ABSENT", "flatten", "main"]

#: Exit code where PyTorch or transformers is not installed.
ABSENT = 3

# Inputs that the reference takes inside dicts: tfzoo's name -> the dict's name, and the key.
_NESTED = {
    "image": ("inputs", "image"),
    "audio": ("inputs", "audio"),
    "label": ("inputs", "label"),
    "image_points": ("subsampled_output_points", "image"),
    "audio_points": ("subsampled_output_points", "audio"),
}


def main(arguments: Sequence[str]) -> int:
    """Run a checkpoint in PyTorch, in float32, and write its outputs.

    Args:
        arguments: folder of the checkpoint, class in transformers, file of the inputs, file to
            write.

    Returns:
        0, or ``ABSENT``.

    Raises:
        Exception: whatever the reference raises.
    """
    folder, name, inputs, outputs = arguments
    os.environ.setdefault("USE_TF", "0")  # transformers would load TensorFlow only to look for it
    try:
        import torch
        import transformers
    except ImportError:
        return ABSENT
    transformers.logging.set_verbosity_error()
    model, info = getattr(transformers, name).from_pretrained(
        folder, output_loading_info=True, local_files_only=True, dtype=torch.float32
    )
    if info["missing_keys"]:  # they would be random
        raise ValueError(f"the reference misses {', '.join(sorted(info['missing_keys'])[:5])}")
    with np.load(inputs) as arrays:
        tensors = _nested({key: torch.as_tensor(array) for key, array in arrays.items()})
    with torch.no_grad():
        found = flatten(model.eval()(**tensors))
    np.savez(outputs, **{key: value.numpy() for key, value in found.items()})
    return 0


def flatten(outputs: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested mappings and sequences as one flat one, without what is None.

    Args:
        outputs: of a model, on either side.
        prefix: in front of every name.

    Returns:
        Dotted name -> tensor.

    Example:
        >>> flatten({"logits": 1, "states": (2, None)})
        {'logits': 1, 'states.0': 2}
    """
    if outputs is None:
        return {}
    if isinstance(outputs, (tuple, list)):
        outputs = {str(i): value for i, value in enumerate(outputs)}
    if not isinstance(outputs, Mapping):
        return {prefix.rstrip("."): outputs}
    flat: dict[str, Any] = {}
    for name, value in outputs.items():
        flat.update(flatten(value, f"{prefix}{name}."))
    return flat


def _nested(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Put inputs into dicts where the reference expects them there."""
    inputs: dict[str, Any] = {}
    for name, value in tensors.items():
        if name in _NESTED:
            outer, inner = _NESTED[name]
            inputs.setdefault(outer, {})[inner] = value
        else:
            inputs[name] = value
    return inputs


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
