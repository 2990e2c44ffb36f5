"""The interpreter that has the reference, in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

__all__ = ["PINNED", "library", "reference_python", "worker_env"]

PINNED = {
    "torch": ("torch==2.13.0", "transformers==4.57.6"),  # that of the parity tests
    "newest": ("torch==2.13.0", "transformers==5.23.0"),
    "tf_keras": ("tensorflow==2.21.0", "tf-keras==2.21.0", "transformers==4.57.6"),
}


def library(kind: str) -> str:
    """What a reference runs on: the name of its package and of its workers."""
    return "tf_keras" if kind == "tf_keras" else "torch"


def reference_python(kind: str, given: Path | None) -> Path:
    """The interpreter to run the reference with.

    Args:
        kind: "torch"; "newest" for the newest release that the benchmark knows; "tf_keras" for the
            TensorFlow classes that transformers had.
        given: An interpreter that has the reference; where None, an environment with the pinned
            versions is made in the user's cache folder (pip's own settings apply), once.

    Raises:
        ValueError: `given` lacks what the reference needs.
        subprocess.CalledProcessError: The environment could not be made.
    """
    if given is None:
        return _own_environment(kind)
    code = f"import {library(kind)}, transformers"
    probe = subprocess.run(
        [given, "-c", code], env=worker_env(), capture_output=True, text=True, check=False
    )
    if probe.returncode:
        raise ValueError(f"{given} cannot {code}:\n{probe.stderr[-500:]}")
    return given


def _own_environment(kind: str) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    pinned, folder = PINNED[kind], cache / "tfzoo" / f"reference-env-{kind}"
    python, done = folder / "bin" / "python", folder / "complete.json"
    if done.is_file() and json.loads(done.read_text()) == list(pinned):
        return python
    print(f"installing {', '.join(pinned)} in {folder}", file=sys.stderr, flush=True)
    venv.create(folder, clear=True, with_pip=True)
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *pinned]
    subprocess.run(install, check=True)
    done.write_text(json.dumps(pinned))  # last, so that half an environment is made anew
    return python


def worker_env(path: Path | None = None, threads: int | None = None) -> dict[str, str]:
    """Environment variables of a worker: CPU only, offline, quiet.

    Args:
        path: Folder to import from.
        threads: Of OpenMP, where it is to be limited.
    """
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env |= {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3", "HF_HUB_OFFLINE": "1"}
    if path is not None:
        env["PYTHONPATH"] = str(path)
    if threads is not None:
        env["OMP_NUM_THREADS"] = str(threads)
    return env
