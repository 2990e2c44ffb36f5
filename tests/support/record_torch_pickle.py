"""Record files as PyTorch writes them: `python -m tests.support.record_torch_pickle`.

They hold every dtype, a transposed and an expanded tensor, a slice, a scalar, an empty tensor, a
parameter, two names of one storage; in the zip form and in the older one.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np

from tests.weights_convert.torch_toys import DATA

DTYPES = (
    *("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8"),
    *("uint64", "uint32", "uint16", "uint8", "bool"),
)


def state_dict() -> dict[str, Any]:
    """The tensors, as PyTorch's."""
    from tests.support.reference import torch

    values = torch.tensor([[0, 1, 2], [3, 1, 0]])
    tensors = OrderedDict((f"dtype.{name}", values.to(getattr(torch, name))) for name in DTYPES)
    base = torch.arange(24, dtype=torch.float32)
    tensors["whole"] = base
    tensors["transposed"] = base.reshape(2, 3, 4).permute(2, 0, 1)
    tensors["slice"] = base[5:15:2]
    tensors["scalar"] = base[7]
    tensors["expanded"] = base[:3].reshape(3, 1).expand(3, 5)
    tensors["empty"] = torch.zeros(0, 4)
    tensors["parameter"] = torch.nn.Parameter(torch.tensor([0.5, -0.0, float("inf")]))
    tensors["tied"] = tensors["parameter"]
    return tensors


def as_arrays(tensors: dict[str, Any]) -> dict[str, np.ndarray]:
    """The values, bfloat16 as its bits."""
    from tests.support.reference import torch

    return {
        name: t.detach().contiguous().view(torch.int16).numpy().view(np.uint16)
        if t.dtype == torch.bfloat16
        else t.detach().numpy()
        for name, t in tensors.items()
    }


def main() -> None:
    """Write the files anew."""
    from tests.support.reference import torch

    DATA.mkdir(parents=True, exist_ok=True)
    tensors = state_dict()
    tensors._metadata = OrderedDict({"": {"version": 1}})  # as a module's state dict has it
    torch.save(tensors, DATA / "zip.bin")
    torch.save(tensors, DATA / "legacy.bin", _use_new_zipfile_serialization=False)
    np.savez_compressed(DATA / "expected.npz", **as_arrays(tensors))
    print({file.name: file.stat().st_size for file in sorted(DATA.iterdir())})


if __name__ == "__main__":
    main()
