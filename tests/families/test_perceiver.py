"""Perceiver: the common checks."""

from __future__ import annotations

from tests.families.perceiver_cases import CASES
from tests.support.family_checks import FamilyChecks


class TestPerceiver(FamilyChecks):
    cases = tuple(case for case in CASES if "Multimodal" not in case.model)
    default_counts = {
        "TFPerceiverForMaskedLM": (457, 269_319_430),
    }
