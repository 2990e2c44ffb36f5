"""The reference's side: `from_pretrained`, then eager calls in inference mode, or SGD steps.

Runs in the reference's own environment and imports neither tfzoo nor the tests.
"""

from __future__ import annotations

from typing import Any

import measure
import numpy as np


class TorchSide:
    """One model of the reference, on the job's threads."""

    def __init__(self, job: dict[str, Any], inputs: dict[str, np.ndarray]) -> None:
        import torch
        import transformers

        torch.set_num_threads(job["threads"])
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        self.torch, self.job = torch, job
        self.cls = getattr(transformers, job["model"].removeprefix("TF"))
        self.is_mixed = job["dtype"].startswith("mixed_")
        self.dtype = getattr(torch, job["dtype"].removeprefix("mixed_"))
        self.weights_dtype = torch.float32 if self.is_mixed else self.dtype
        self.inputs = {name: self._tensor(value) for name, value in inputs.items()}
        self.versions = {"torch": torch.__version__, "transformers": transformers.__version__}

    def _tensor(self, value: np.ndarray) -> Any:
        tensor = self.torch.as_tensor(value)
        return tensor.to(self.weights_dtype) if tensor.is_floating_point() else tensor

    def load(self) -> None:
        train = self.job["train"]
        model = self.cls.from_pretrained(self.job["checkpoint"], dtype=self.weights_dtype)
        self.model = model.train() if train else model.eval()
        if train:
            parameters = self.model.parameters()
            self.optimizer = self.torch.optim.SGD(parameters, lr=self.job["learning_rate"])

    def step(self) -> Any:
        autocast = self.torch.autocast("cpu", self.dtype, enabled=self.is_mixed)
        if not self.job["train"]:
            with self.torch.inference_mode(), autocast:
                return self.model(**self.inputs)
        self.optimizer.zero_grad()
        with autocast:
            loss = self.model(**self.inputs, **self.job["loss_flags"]).loss
        loss.backward()
        self.optimizer.step()
        return float(loss)

    def arrays(self, outputs: Any) -> dict[str, np.ndarray]:
        flat = measure.flatten(outputs)
        return {name: value.float().numpy() for name, value in flat.items()}


if __name__ == "__main__":
    measure.run(TorchSide)
