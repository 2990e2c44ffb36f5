"""Load what tfzoo wrote into the reference: no key may be missing, no bit may differ."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def reload(job: dict[str, Any]) -> dict[str, Any]:
    """What the reference complains of, and the tensors that are not as in the first checkpoint."""
    import torch
    import transformers

    cls = getattr(transformers, job["model"].removeprefix("TF"))
    before = cls.from_pretrained(job["checkpoint"]).state_dict()
    model, info = cls.from_pretrained(job["back"], output_loading_info=True)
    after = model.state_dict()
    differing = sorted(set(before) ^ set(after))
    for name in set(before) & set(after):
        one, two = (t[name].contiguous().flatten().view(torch.uint8) for t in (before, after))
        if not torch.equal(one, two):
            differing.append(name)
    problems = {kind: sorted(map(str, found)) for kind, found in info.items() if found}
    return {"problems": problems, "differing": differing}


if __name__ == "__main__":
    task = json.loads(Path(sys.argv[1]).read_text())
    Path(task["figures"]).write_text(json.dumps(reload(task)))
