"""X-CLIP against the living reference."""

from __future__ import annotations

from tests.families.xclip_cases import CASES, clips
from tests.support.cases import Case
from tests.support.parity_checks import ParityChecks


class TestXCLIP(ParityChecks):
    cases = CASES
    full_size = (
        Case(
            name="xclip/full",
            model="TFXCLIPModel",
            config={},
            inputs=lambda rng: {
                "input_ids": rng.integers(0, 49407, (3, 77)),
                "attention_mask": (rng.random((3, 77)).cumsum(1) < 30).astype("int64"),
                **clips(rng, 1, 8, 3, 224, 224),
            },
        ),
    )
