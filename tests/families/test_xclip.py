"""X-CLIP: the common checks, and what is its own."""

from __future__ import annotations

import numpy as np

from tests.families.xclip_cases import CASES
from tests.support.cases import Case
from tests.support.family_checks import FamilyChecks


class TestXCLIP(FamilyChecks):
    cases = CASES
    default_counts = {
        "TFXCLIPModel": (591, 196_585_729),
        "TFXCLIPTextModel": (196, 63_165_952),
        "TFXCLIPVisionModel": (343, 122_909_952),
    }

    @staticmethod
    def repeated(case: Case, main_output: np.ndarray, copies: int) -> np.ndarray:
        """Repeated texts and videos repeat the logits in both directions."""
        both = copies if case.model == "TFXCLIPModel" else 1
        return np.tile(main_output, (copies, both))
