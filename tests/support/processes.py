"""Running Python anew: what a fresh process sees is what a user sees."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT


def run_python(code: str, *args: str | Path, seconds: float = 300, **environment: str) -> str:
    """Run `code` in a fresh interpreter with warnings as errors; returns what it printed.

    Args:
        code: Python source; `sys.argv[1:]` are `args`.
        *args: Arguments.
        seconds: After which it has failed.
        **environment: Variables to set.
    """
    settings = {
        **os.environ,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
        "PYTHONPATH": str(ROOT),
        **environment,
    }
    result = subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        env=settings,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert result.returncode == 0, f"exit {result.returncode}\n{result.stdout}\n{result.stderr}"
    return result.stdout
