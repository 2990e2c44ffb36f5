"""Record LXMERT's pretraining losses: `python -m tests.support.record_lxmert`.

Each loss alone, all together, and the change of every weight in one SGD step on their sum, of the
checkpoint that `python -m tests.support.record lxmert` made.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.models.lxmert.cases import CASES, all_labels
from tests.support import reference
from tests.support.paths import FIXTURES

PRETRAINING = next(case for case in CASES if case.name == "lxmert/pretraining")
FILE = FIXTURES / "models" / "lxmert" / "losses.npz"


def torch_labels(labels: dict[str, Any]) -> dict[str, Any]:
    """Labels as the reference takes them."""
    made = reference.torch_inputs({k: v for k, v in labels.items() if k != "obj_labels"})
    if "masked_lm_labels" in made:
        made["labels"] = made.pop("masked_lm_labels")
    if "obj_labels" in labels:
        made["obj_labels"] = {
            task: tuple(map(reference.torch.as_tensor, pair))
            for task, pair in labels["obj_labels"].items()
        }
    return made


def losses(model: Any, inputs: dict[str, Any], labels: dict[str, Any]) -> dict[str, Any]:
    """Each part of the loss, as the reference computes it when asked for this part alone."""
    tensors, tasks = reference.torch_inputs(inputs), dict(model.visual_losses)

    def loss(given: dict[str, Any], only: dict[str, Any] = tasks) -> np.ndarray:
        model.visual_losses = only
        with reference.torch.no_grad():
            return model(**tensors, **torch_labels(given)).loss.numpy()

    names = {
        "loss_masked_lm": "masked_lm_labels",
        "loss_matched": "matched_label",
        "loss_ans": "ans",
    }
    parts = {part: loss({name: labels[name]}) for part, name in names.items()}
    visual = {"obj_labels": labels["obj_labels"]}
    parts |= {f"loss_{task}": loss(visual, {task: tasks[task]}) for task in tasks}
    parts["loss"] = loss(labels)  # of all tasks again
    model.visual_losses = tasks
    return parts


def step(model: Any, inputs: dict[str, Any], labels: dict[str, Any]) -> dict[str, np.ndarray]:
    """The change of every weight in one SGD step on the whole loss."""
    model.zero_grad()
    tensors = reference.torch_inputs(inputs)
    model(**tensors, **torch_labels(labels)).loss.backward()
    return {
        name: (-reference.LEARNING_RATE * p.grad).numpy()
        for name, p in model.named_parameters()
        if p.grad is not None
    }


def main() -> None:
    """Write the file anew."""
    model = reference.load_strictly("LxmertForPreTraining", PRETRAINING.folder)
    inputs = PRETRAINING.make_inputs(with_labels=False)
    labels = all_labels(np.random.default_rng(11))
    changes = {f"step/{k}": v for k, v in step(model, inputs, labels).items()}
    np.savez_compressed(FILE, **losses(model, inputs, labels), **changes)
    print(f"{FILE.name}: {FILE.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
