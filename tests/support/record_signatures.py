"""Record the exported signature of every head: `python -m tests.support.record_signatures`.

A change of these files is a change for whoever serves such a model: look at the difference.
"""

from __future__ import annotations

import sys

from tests.support.signatures import (
    RECORDED,
    as_text,
    families_of_classes,
    smallest_case,
    traced_signature,
)


def main(families: list[str]) -> None:
    """Write the file of each family named, or of all."""
    RECORDED.mkdir(exist_ok=True)
    for family, models in families_of_classes().items():
        if families and family not in families:
            continue
        found = {model: traced_signature(smallest_case(model, family))[0] for model in models}
        (RECORDED / f"{family}.json").write_text(as_text(found), encoding="utf-8")
        print(f"{family}: {len(found)} classes")


if __name__ == "__main__":
    main(sys.argv[1:])
