"""What the tests of the command share."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfzoo
from tests.support.paths import FIXTURES, ROOT
from tfzoo.cli.__main__ import main

VIDEO = FIXTURES / "videos/bigbuckbunny.mp4"
PHOTO = FIXTURES / "photos/coffee.jpg"
LABELS = {0: "rabbit", 1: "butterfly", 2: "squirrel"}
TINY = {
    "image_size": 16,
    "patch_size": 8,
    "num_frames": 4,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "id2label": LABELS,
}


def edit_config(folder: Path, **values: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def run_json(capsys: pytest.CaptureFixture[str], *args: str | Path) -> dict[str, Any]:
    assert main([*map(str, args), "--json"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    return json.loads(out)


def fails(capsys: pytest.CaptureFixture[str], *args: str | Path, code: int = 1) -> str:
    """Its one line on stderr."""
    assert main([*map(str, args)]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("tfzoo: error: ")
    assert captured.err.count("\n") == 1, captured.err
    return captured.err


def logits_of(model: Any, frames: np.ndarray) -> np.ndarray:
    processor = tfzoo.VideoMAEImageProcessor(size={"shortest_edge": 16}, crop_size=16)
    inputs = processor(list(frames), return_tensors="np")
    return np.asarray(model(**inputs).logits)[0].astype("float64")


def environment(**settings: str) -> dict[str, str]:
    """Of a process as users start it."""
    kept = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    return kept | {"PYTHONPATH": str(ROOT)} | settings
