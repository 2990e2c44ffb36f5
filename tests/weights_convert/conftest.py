"""Hypothesis keeps its notes in a temporary folder: a test run leaves the checkout clean."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

os.environ.setdefault(
    "HYPOTHESIS_STORAGE_DIRECTORY", str(Path(tempfile.gettempdir()) / "tfzoo-hypothesis")
)
